"""Bad input: the error comes before any job or training step, and says what was expected, what was found, what to do."""

import logging
from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassifier
from sparknlp_tx.errors import InputError, TrainingError
from sparknlp_tx.spark import tables
from sparknlp_tx.spark.compat import setting
from sparknlp_tx.spark.table_names import full_path, sql_name

pytestmark = pytest.mark.connect


@pytest.fixture
def refused(settings, train_df, monkeypatch):
    """fit must raise InputError with a message; before any Spark job unless told otherwise; never train."""

    def check(message, df=train_df, jobs_allowed=False, **params):
        monkeypatch.setattr("sparknlp_tx.training.fine_tune.fine_tune", forbidden)
        if not jobs_allowed:
            monkeypatch.setattr("sparknlp_tx.data.training_rows.learn_labels", forbidden)
        with pytest.raises(InputError, match=message):
            TransformerClassifier(**settings | params).fit(df)

    return check


def forbidden(*args, **kwargs):
    raise AssertionError("work has started")


def test_a_missing_column_names_the_nearest(refused):
    refused(r"Expected column 'txet' \(textCol\); found columns text, label. Did you mean 'text'\?", textCol="txet")
    refused(r"column 'Labl' \(labelCol\).*Did you mean 'label'", labelCol="Labl")
    refused(r"column 'xyz' \(textPairCol\).*There are: text, label", textPairCol="xyz")
    refused(r"column 'w' \(weightCol\)", weightCol="w")
    refused(r"column 'v' \(validationIndicatorCol\)", validationIndicatorCol="v")


def test_columns_of_another_type(refused, train_df):
    refused(r"string in column 'text' \(textCol\); found array<string>", train_df.withColumn("text", F.split("text", " ")))
    refused(r"in column 'label' \(labelCol\); found map<string,int>", train_df.withColumn("label", F.expr("map('a', 1)")))
    refused(
        r"boolean in column 'v' \(validationIndicatorCol\); found int",
        train_df.withColumn("v", F.lit(1)),
        validationIndicatorCol="v",
    )
    refused(r"in column 'w' \(weightCol\); found string", train_df.withColumn("w", F.lit("1")), weightCol="w")


def test_labels_that_cannot_be_learnt(refused, train_df):
    refused(r"at least two labels in labelCol 'label'; found only 'card'", train_df.filter("label = 'card'"), jobs_allowed=True)
    nulls = train_df.withColumn("label", F.expr("nullif(label, 'card')"))
    refused(r"a label in every row of labelCol 'label'; found 100 rows with null. Fill them in", nulls, jobs_allowed=True)
    refused("rows to train on; found an empty table", train_df.filter("1 = 0"), jobs_allowed=True)
    fractions = train_df.withColumn("label", F.expr("if(label = 'card', 0.5D, 1D)"))
    refused(r"whole numbers or names in labelCol 'label'; found 0\.5", fractions, jobs_allowed=True)
    refused("found no row with a text", train_df.withColumn("text", F.lit("")), jobs_allowed=True)


def test_too_many_labels(spark, refused, monkeypatch):
    monkeypatch.setattr("sparknlp_tx.data.label_counts.MAX_LABELS", 50)
    ids = spark.range(60).select(F.lit("a").alias("text"), F.col("id").alias("label"))
    refused(
        r"at most 50 labels in labelCol 'label'; found more than that. Is it the text or an identifier", ids, jobs_allowed=True
    )


def test_validation_rows_must_be_there_and_not_all(refused, train_df):
    for value, message in ((True, "found validation rows only"), (False, "found none of them true")):
        marked = train_df.withColumn("v", F.lit(value))
        refused(message, marked, jobs_allowed=True, validationIndicatorCol="v")


def test_null_texts_with_handle_invalid_error(refused, train_df):
    holed = train_df.withColumn("text", F.expr("nullif(text, '')")).unionByName(train_df.limit(1).withColumn("text", F.lit("")))
    refused(
        r"a text in every row, as handleInvalid='error' says; found 1 rows", holed, jobs_allowed=True, handleInvalid="error"
    )


def test_a_checkpoint_that_is_not_there(refused, tmp_path):
    refused(r"name of a model on the Hugging Face hub; found checkpoint 'no/such-model'", checkpoint="no/such-model")
    refused(r"a Hugging Face model in .*; found an empty folder", checkpoint=str(tmp_path))
    (tmp_path / "metadata").mkdir()
    refused(r"found metadata. .*its folder model/", checkpoint=str(tmp_path))


def test_training_args_that_do_not_exist_or_are_given_twice(refused):
    refused(
        r"fields of transformers.TrainingArguments; found 'warmup_step'. Did you mean 'warmup_steps'",
        trainingArgs={"warmup_step": 5},
    )
    refused(
        r"each training setting once; found 'learning_rate' in trainingArgs, which learningRate sets",
        trainingArgs={"learning_rate": 1},
    )


def test_columns_of_scores_that_are_there_are_refused_before_training(refused, train_df):
    message = r"Expected no column 'prediction' yet; found column 'Prediction' in the DataFrame\. Drop or rename it"
    refused(message, train_df.withColumn("Prediction", F.lit(1)))
    message = r"a name of its own for each column of scores; found 'P' for predictionCol and predictedLabelCol"
    refused(message, predictionCol="p", predictedLabelCol="P")


def test_columns_without_a_name_or_with_the_same(refused, train_df):
    for param in ("textCol", "labelCol"):
        refused(rf"the name of a column \({param}\); found none\. There are: text, label\.", **{param: ""})
    refused(r"one column 'text' \(textCol\); found 2 of them", train_df.select("text", "label", F.col("label").alias("text")))


def test_numbers_that_evaluators_would_compare_wrongly_are_told(spark, train_df, settings, caplog):
    stars = train_df.withColumn("label", F.expr("CASE label WHEN 'card' THEN 1 ELSE 5 END"))
    with caplog.at_level(logging.WARNING, "sparknlp_tx"):
        TransformerClassifier(**settings | {"numTrainEpochs": 0.1}).fit(stars)
    assert "the labels are the numbers 1, 5, not 0 to 1" in caplog.text
    below = train_df.withColumn("label", F.expr("CASE label WHEN 'card' THEN -2 ELSE -1 END"))
    model = TransformerClassifier(**settings | {"numTrainEpochs": 3.0}).fit(below)
    assert model.evaluate(below).accuracy > 0.8  # numbers of their own, not places


def test_transform_refuses_before_a_job(model, test_df):
    with pytest.raises(InputError, match=r"column 'body' \(textCol\); found columns id, text, label"):
        model.copy({model.textCol: "body"}).transform(test_df)
    with pytest.raises(InputError, match=r"string in column 'id' \(textCol\); found bigint"):
        model.copy({model.textCol: "id"}).transform(test_df)
    with pytest.raises(
        InputError,
        match=r"no column 'prediction' yet; found column 'Prediction' in the DataFrame\. Drop or rename it, or set predictionCol",
    ):
        model.transform(test_df.withColumn("Prediction", F.lit(1)))
    with pytest.raises(InputError, match="one value for each of the 3 labels; found 2 values"):
        model.copy({model.thresholds: [0.5, 0.5]}).transform(test_df)
    with pytest.raises(InputError, match="two labels for threshold; found 3 labels. Set thresholds"):
        model.copy({model.threshold: 0.7}).transform(test_df)
    with pytest.raises(InputError, match="threshold or thresholds; found both"):
        model.copy({model.threshold: 0.7, model.thresholds: [0.1, 0.2, 0.3]}).transform(test_df)


def test_tables_that_are_not_there(spark, tmp_path):
    with pytest.raises(InputError, match=r"a Delta table at .*/absent; found no such folder"):
        tables.read_table(spark, str(tmp_path / "absent"))
    spark.range(3).write.parquet(str(tmp_path / "plain"))
    with pytest.raises(InputError, match=r"a Delta table at .*/plain; found .*"):
        tables.read_table(spark, str(tmp_path / "plain"))
    spark.sql("CREATE SCHEMA IF NOT EXISTS errors")
    spark.range(3).write.format("delta").mode("overwrite").saveAsTable("errors.reviews")
    with pytest.raises(InputError, match=r"a table 'errors.review'; found none of that name. Did you mean 'reviews'"):
        tables.read_table(spark, "errors.review")
    with pytest.raises(InputError, match="There is no schema 'nowhere' either"):
        tables.read_table(spark, "nowhere.review")


def test_what_is_no_delta_table_has_no_version(spark):
    spark.range(3).createOrReplaceTempView("a_view")
    assert tables.latest_version(spark, "a_view") is None
    with pytest.raises(InputError, match="a Delta table, for an older version"):
        tables.latest_version(spark, "a_view@v1")


def test_paths_with_a_scheme_stay_as_they_are():
    for path in ("dbfs:/mnt/x", "s3://bucket/x", "abfss://c@a.net/x", "hdfs:/x"):
        assert full_path(path) == path
        assert sql_name(path) == f"delta.`{path}`"
    assert full_path("file:/a/b") == "/a/b"
    assert full_path("data/x").startswith("/")


def test_values_that_transformers_does_not_take_are_refused_before_a_job(refused):
    refused(
        r"values that transformers.TrainingArguments takes; found .*eval_strategy", trainingArgs={"eval_strategy": "sometimes"}
    )
    refused("values that transformers.TrainingArguments takes", trainingArgs={"warmup_steps": "many"})


def test_thresholds_are_checked_before_training(refused):
    refused("one value for each of the 3 labels; found 2", jobs_allowed=True, thresholds=[0.5, 0.5])
    refused("two labels for threshold; found 3", jobs_allowed=True, threshold=0.9)


def test_validation_labels_that_were_never_trained_on(refused, train_df):
    held = train_df.withColumn("v", F.col("label") == "card")
    refused("labels of the training rows; found card as well", held, jobs_allowed=True, validationIndicatorCol="v")


def test_a_maximum_length_with_no_room_for_text(settings, train_df):
    with pytest.raises(InputError, match="a maxLength of at least 3 tokens; found 2"):
        TransformerClassifier(**settings | {"maxLength": 2}).fit(train_df)


def test_a_checkpoint_with_the_head_of_another_task(refused, checkpoint, tmp_path):
    import json
    import shutil

    copy = shutil.copytree(checkpoint, tmp_path / "c")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"architectures": ["BertForQuestionAnswering"]}))
    refused(r"one for sequence classification; found BertForQuestionAnswering in .*\. Give the model", checkpoint=str(copy))


def test_a_checkpoint_without_a_tokenizer(refused, checkpoint, tmp_path):
    import shutil

    shutil.copytree(checkpoint, tmp_path / "c", ignore=shutil.ignore_patterns("tokenizer*", "vocab*"))
    refused(r"a tokenizer in .*; found config.json, model.safetensors", checkpoint=str(tmp_path / "c"))


def test_params_that_do_not_go_together(refused, train_df):
    numbers = train_df.withColumn("label", F.rand(1))
    regression = {"problemType": "regression", "df": numbers}
    refused("validationIndicatorCol or validationFraction; found both", train_df.withColumn("v", F.lit(True)),
            validationIndicatorCol="v", validationFraction=0.1)  # fmt: skip
    refused("validation rows; found earlyStoppingPatience without any. Set validation", earlyStoppingPatience=2)
    refused("validation rows; found thresholdTuning without any", thresholdTuning="f1")
    refused("labels, for thresholdTuning; found problemType 'regression'", **regression, validationFraction=0.1,
            thresholdTuning="f1")  # fmt: skip
    refused("labels, for classWeights; found problemType 'regression'", **regression, classWeights="balanced")
    refused("labels, for precision 'int8'; found problemType 'regression'", **regression, precision="int8")
    refused("thresholdTuning or thresholds; found both", thresholdTuning="f1", thresholds=[0.1] * 3, validationFraction=0.1)
    refused("no thresholds for regression", **regression, thresholds=[0.5], jobs_allowed=True)


def test_thresholds_are_not_tuned_where_the_largest_probability_wins(refused):
    tuning = {"thresholdTuning": "f1", "validationFraction": 0.1}
    refused("two labels, or several a row, for thresholdTuning; found 3 labels", jobs_allowed=True, **tuning)


def test_unknown_metrics_are_refused_with_the_list(refused, train_df):
    refused("a metric of single_label_classification; found 'acuracy'. Did you mean 'accuracy'", metricForBestModel="acuracy")
    refused("a metric of single_label_classification; found 'xyz'. There are: accuracy, ", metricForBestModel="xyz")
    both = {"metricForBestModel": "macro_f1", "trainingArgs": {"metric_for_best_model": "accuracy"}}
    refused("each training setting once", **both)


def test_a_label_column_that_does_not_go_with_the_problem_type(refused, train_df):
    several = train_df.withColumn("label", F.array("label"))
    refused("a number in column 'label'.*found string. Cast it, or set problemType", problemType="regression")
    refused("a string, a boolean or a number in column 'label'", several, problemType="single_label_classification")
    refused("array<string>, or an array of numbers or booleans, in column 'label'", problemType="multi_label_classification")


def test_labels_of_several_a_row_that_cannot_be_learnt(spark, refused):
    def df(kind, *labels):
        return spark.createDataFrame(
            [(f"text {n}", label) for n, label in enumerate(labels)], f"text string, label array<{kind}>"
        )

    jobs = {"jobs_allowed": True}
    refused("a label in every row of labelCol 'label'; found 2 rows with null", df("string", ["a"], None, ["a", None]), **jobs)
    refused("arrays of one length in labelCol 'label'; found lengths 1, 2", df("int", [0, 1], [1]), **jobs)
    refused(r"0 and 1 in the arrays of labelCol 'label'; found \[0, 7\]", df("int", [0, 1], [0, 7]), **jobs)
    refused("at least one label in labelCol 'label'; found none", df("string", [], []), **jobs)
    refused("rows to train on; found an empty table", df("string", ["a"]).filter("1 = 0"), **jobs)
    held = df("string", ["a"], ["b"]).withColumn("v", F.array_contains("label", "b"))
    refused("labels of the training rows; found b as well", held, validationIndicatorCol="v", **jobs)


def test_targets_that_are_no_numbers(refused, train_df):
    holed = train_df.withColumn("label", F.expr("if(label = 'card', double('NaN'), if(label = 'rate', null, 1D))"))
    refused(
        "a finite number in every row of labelCol 'label'; found 200 rows", holed, problemType="regression", jobs_allowed=True
    )


def test_weights_that_are_none(refused, train_df):
    for weight in ("-1D", "null", "double('NaN')", "double('Infinity')", "double('-Infinity')", "1e31D"):
        bad = train_df.withColumn("w", F.expr(f"if(label = 'card', {weight}, 1D)"))
        refused("a weight of 0 or more in every row; found 100 rows", bad, weightCol="w", jobs_allowed=True)


@pytest.mark.parametrize("label", ["label", "array(label)", "double(length(label))"])
def test_weights_of_0_only(refused, train_df, label, monkeypatch):
    monkeypatch.setattr("sparknlp_tx.ml.estimator.stage", forbidden)
    asked = {"weightCol": "w", "jobs_allowed": True} | ({"problemType": "regression"} if "double" in label else {})
    message = "a weight of 1e-12 or more in some training row; found weights of 0 only. Mend weightCol"
    for weight in ("0", "0D", "1e-300D"):
        refused(message, train_df.select("text", F.expr(label).alias("label"), F.expr(weight).alias("w")), **asked)
    held = train_df.select("text", F.expr(label).alias("label"), F.expr("length(text) % 2 = 0").alias("v"))
    held = held.withColumn("w", F.expr("if(v, 1D, 0D)"))  # those for validation do not count
    refused(message, held, validationIndicatorCol="v", **asked)


def test_a_label_with_one_row(refused, train_df):
    lonely = train_df.unionByName(train_df.limit(1).withColumn("label", F.lit("lonely")))
    refused("at least two training rows of each label.*found one of 'lonely'. Filter it out", lonely, jobs_allowed=True)


def test_a_loss_that_is_no_number_stops_the_fit(train_df, settings):
    wild = {"learningRate": 1e30, "headLearningRate": 1e30, "trainingArgs": {"max_grad_norm": 0.0, "logging_steps": 1}}
    with pytest.raises(
        TrainingError, match=r"a finite loss; found (loss|grad_norm) (nan|inf) at step \d+\. Lower learningRate"
    ):
        TransformerClassifier(**settings | wild).fit(train_df)


def test_texts_too_few_to_carve_validation_rows_out(spark, refused):
    few = spark.createDataFrame([("my card", "card"), ("the rate", "rate")] * 20, "text string, label string")
    message = "validation rows, in '__validation'; found too few different texts to carve some out. Raise validationFraction"
    refused(message, few, jobs_allowed=True, validationFraction=0.01)


def test_a_setting_that_a_session_does_not_tell_has_its_default():
    """As on serverless compute, where asking for most settings is an error."""

    class Told:
        def get(self, name, default):
            raise RuntimeError(f"[CONFIG_NOT_AVAILABLE] Configuration {name} is not available.")

    assert setting(SimpleNamespace(conf=Told()), "spark.task.cpus", "1") == "1"
