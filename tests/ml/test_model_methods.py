"""Our estimator and model behave as Spark ML's own do: methods, evaluators, pipelines, tuning, functions, streams."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import BinaryLogisticRegressionSummary, LogisticRegression, LogisticRegressionModel
from pyspark.ml.evaluation import BinaryClassificationEvaluator, MulticlassClassificationEvaluator
from pyspark.ml.feature import IndexToString, SQLTransformer, StringIndexer
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassificationModel, TransformerClassifier
from sparknlp_tx.errors import InputError
from sparknlp_tx.ml import estimator as classification
from sparknlp_tx.ml.params import check_thresholds
from sparknlp_tx.ml.summary import EvaluationSummary

pytestmark = pytest.mark.every_session

# What LogisticRegression has and we have not, and why.
LEFT_OUT = {
    **dict.fromkeys(("featuresCol", "getFeaturesCol", "setFeaturesCol", "numFeatures"), "texts are the features: textCol"),
    **dict.fromkeys(("maxIter", "getMaxIter", "setMaxIter"), "numTrainEpochs; steps: trainingArgs max_steps"),
    **dict.fromkeys(("regParam", "getRegParam", "setRegParam"), "trainingArgs weight_decay"),
    **dict.fromkeys(("elasticNetParam", "getElasticNetParam", "setElasticNetParam"), "no L1 penalty in fine-tuning"),
    **dict.fromkeys(("tol", "getTol", "setTol"), "earlyStoppingPatience"),
    **dict.fromkeys(("fitIntercept", "getFitIntercept", "setFitIntercept"), "the checkpoint's head decides"),
    **dict.fromkeys(("standardization", "getStandardization", "setStandardization"), "texts have no scale"),
    **dict.fromkeys(("family", "getFamily", "setFamily"), "problemType"),
    **dict.fromkeys(("aggregationDepth", "getAggregationDepth", "setAggregationDepth"), "no tree of aggregations"),
    **dict.fromkeys(("maxBlockSizeInMB", "getMaxBlockSizeInMB", "setMaxBlockSizeInMB"), "batchSize, tokensPerBatch"),
    **dict.fromkeys(("coefficients", "coefficientMatrix", "intercept", "interceptVector"), "the weights lie in model/"),
    **{
        f"{verb}{bound}BoundsOn{what}": "no bounds on weights"
        for verb in ("", "get", "set")
        for bound in ("Lower", "Upper", "lower", "upper")
        for what in ("Coefficients", "Intercepts")
    },
}


def public(cls):
    return {name for name in dir(cls) if not name.startswith("_")}


def test_what_logistic_regression_has_and_we_have_not_has_a_reason(model):
    lacking = public(LogisticRegression) - public(TransformerClassifier)
    lacking |= public(LogisticRegressionModel) - public(TransformerClassificationModel) - set(vars(model))
    assert lacking - set(LEFT_OUT) == set()
    assert {name for name in LEFT_OUT if name in public(TransformerClassifier)} == set()


def test_thresholds_are_treated_as_there(model):
    for stage in (LogisticRegression, TransformerClassifier):
        assert stage().getThreshold() == 0.5
        assert stage().setThreshold(0.3).getThresholds() == pytest.approx([0.7, 0.3])
        assert stage().setThresholds([0.6, 0.2]).getThreshold() == pytest.approx(0.25)
    ours = TransformerClassifier()
    assert (
        not ours.setThresholds([0.6, 0.2]).setThreshold(0.4).isSet("thresholds")
    )  # which theirs does on classic sessions alone
    assert not ours.setThreshold(0.4).setThresholds([0.6, 0.2]).isSet("threshold")
    both = model.copy({model.threshold: 0.3, model.thresholds: [0.7, 0.3]})
    check_thresholds(both)
    with pytest.raises(InputError, match=r"threshold or thresholds; found both, 0\.4 and \[0\.7, 0\.3\]"):
        check_thresholds(both.copy({model.threshold: 0.4}))


# What its summaries have and ours have not, and why.
SUMMARY_LEFT_OUT = {
    **dict.fromkeys(("falsePositiveRateByLabel", "weightedFalsePositiveRate"), "precisionByLabel"),
    "weightedTruePositiveRate": "weightedRecall",
    **dict.fromkeys(("featuresCol", "labelCol", "predictionCol", "probabilityCol", "scoreCol", "weightCol"), "the model's"),
}


def test_what_summaries_of_logistic_regression_have_and_ours_have_not_has_a_reason():
    lacking = public(BinaryLogisticRegressionSummary) - public(EvaluationSummary) - {"labels"}
    assert lacking == set(SUMMARY_LEFT_OUT)


def test_vectors_of_one_text(model):
    text = "my card is lost"
    expected = model.predict([text]).iloc[0]
    assert np.allclose(model.predictRaw(text).toArray(), expected["rawPrediction"])
    assert np.allclose(model.predictProbability(text).toArray(), expected["probability"])
    assert model.copy({model.probabilityCol: "", model.textCol: "body"}).predictProbability(text).size == model.numClasses
    assert model.hasSummary
    with pytest.raises(InputError, match="no null and no empty text"):
        model.predictRaw("")


def test_evaluate_gives_a_summary(model, test_df):
    from pyspark.sql.types import DoubleType

    found = model.evaluate(test_df)
    assert dict(found) == model.evaluate(test_df)
    index = F.create_map(*(F.lit(x) for pair in zip(model.labels, range(3), strict=True) for x in pair))
    scored = model.transform(test_df).withColumn("index", index[F.col("label")].cast(DoubleType()))
    evaluator = MulticlassClassificationEvaluator(labelCol="index")
    for ours, name in (
        (found.accuracy, "accuracy"),
        (found.weightedPrecision, "weightedPrecision"),
        (found.weightedRecall, "weightedRecall"),
    ):
        assert ours == pytest.approx(evaluator.evaluate(scored, {evaluator.metricName: name}))
    for beta in (1.0, 2.0):
        maps = {evaluator.metricName: "weightedFMeasure", evaluator.beta: beta}
        assert found.weightedFMeasure(beta) == pytest.approx(evaluator.evaluate(scored, maps))
    for position in range(3):
        for ours, name in ((found.precisionByLabel, "precisionByLabel"), (found.recallByLabel, "recallByLabel")):
            maps = {evaluator.metricName: name, evaluator.metricLabel: float(position)}
            assert ours[position] == pytest.approx(evaluator.evaluate(scored, maps))
    assert found.predictions.columns == model.transform(test_df).columns
    with pytest.raises(KeyError, match="no mse for this kind of task"):
        found.meanSquaredError  # noqa: B018


def test_rows_count_as_their_weights_say(spark, model, test_df, tmp_path, monkeypatch):
    """A row of weight 2 counts as two rows, one of weight 0 as none; where the column is missing all count alike."""
    wrong = F.when(F.col("id") % 5 == 0, "card").otherwise(F.col("label"))  # so that the metrics are not all 1
    df = test_df.select("id", "text", wrong.alias("label"), (F.col("id") % 3).alias("w"))
    weighted = model.copy({model.weightCol: "w"})
    repeated = df.withColumn("n", F.explode(F.sequence(F.lit(1), F.lit(2)))).filter("n <= w")
    found, expected = weighted.evaluate(df), model.evaluate(repeated)
    assert dict(found) == pytest.approx(dict(expected) | {"rows": 60})
    assert found.recallByLabel == pytest.approx(expected.recallByLabel)
    assert found["accuracy"] < 1
    assert weighted.evaluate(df.drop("w")) == model.evaluate(df)
    monkeypatch.setattr("sparknlp_tx.ml.evaluate.COLLECTED_NUMBERS", 0)
    counted = weighted.evaluate(df)
    assert {"accuracy", "macro_f1", "rows"} <= set(counted)
    assert counted == pytest.approx({name: found[name] for name in counted})
    with pytest.raises(InputError, match=r"a weight of 0 or more in every row; found 90 rows"):
        weighted.evaluate(df.withColumn("w", -1 - F.col("w")))
    with pytest.raises(InputError, match=r"double or .* in column 'w' \(weightCol\); found string"):
        weighted.evaluate(df.withColumn("w", F.lit("1")))


def test_what_executors_refuse_is_told_in_our_words(model, test_df):
    strict = model.copy({model.handleInvalid: "error"})
    with pytest.raises(
        InputError, match=r"^Expected no null and no empty text, as handleInvalid='error' says; found \d+ of them"
    ):
        strict.evaluate(test_df.withColumn("text", F.lit("")))


def test_spark_knows_the_labels_of_the_prediction(model, test_df):
    scored = model.transform(test_df)
    assert scored.schema["prediction"].metadata["ml_attr"]["vals"] == list(model.labels)
    assert scored.schema["probability"].metadata["ml_attr"]["num_attrs"] == 3
    named = IndexToString(inputCol="prediction", outputCol="named").transform(scored)
    assert named.where("named != predictedLabel").count() == 0


def test_evaluators_of_spark_take_the_columns_as_they_are(train_df, settings):
    df = train_df.withColumn("label", (F.col("label") == "card").cast("int"))
    model = TransformerClassifier(**settings | {"numTrainEpochs": 3.0}).fit(df)
    scored = model.transform(df)
    assert BinaryClassificationEvaluator().evaluate(scored) > 0.9
    for name in ("accuracy", "f1", "logLoss"):
        assert MulticlassClassificationEvaluator(metricName=name).evaluate(scored) == pytest.approx(
            {"logLoss": model.evaluate(df)["log_loss"]}.get(name, 1.0), abs=0.11
        )


def test_after_a_string_indexer_labels_have_its_names_and_order(train_df, test_df, settings):
    """In a fold that lacks a label too; a table of its numbers without their names is measured alike."""
    indexed = StringIndexer(inputCol="label", outputCol="index", stringOrderType="alphabetDesc").fit(train_df)
    rows = indexed.transform(train_df)
    fold = rows.filter("label != 'rate'")
    ours = TransformerClassifier(**settings | {"labelCol": "index"})
    model = ours.fit(fold)
    assert model.labels == ["transfer", "rate", "card"]
    scored = model.transform(indexed.transform(test_df).filter("label != 'rate'"))
    accuracy = MulticlassClassificationEvaluator(labelCol="index", metricName="accuracy").evaluate(scored)
    assert accuracy > 0.9
    assert scored.where("predictedLabel = label").count() / scored.count() == accuracy
    plain = scored.select("text", (F.col("index") + 0).alias("index"))
    assert "ml_attr" not in plain.schema["index"].metadata
    assert model.evaluate(plain).accuracy == model.evaluate(scored.select("text", "index")).accuracy == accuracy


def pipeline(settings, **params):
    before = SQLTransformer(statement="SELECT *, lower(text) AS lowered FROM __THIS__")
    ours = TransformerClassifier(**settings | {"numTrainEpochs": 1.0, "textCol": "lowered"} | params)
    return ours, Pipeline(stages=[before, ours, IndexToString(inputCol="prediction", outputCol="named")])


LOAD = """
import json, sys
from sparknlp_tx import local_session
from pyspark.ml.tuning import CrossValidatorModel
spark = local_session(master="local[1]")
model = CrossValidatorModel.load(sys.argv[1])
rows = model.transform(spark.read.parquet(sys.argv[2])).select("id", "named", "prediction").orderBy("id").collect()
print(json.dumps([model.avgMetrics, [[row["named"], row["prediction"]] for row in rows]]))
"""


@pytest.mark.slow
def test_tuning_over_a_pipeline_saved_and_loaded_in_a_fresh_process(spark, train_df, test_df, settings, tmp_path):
    indexed = train_df.withColumn("label", F.expr("CASE label WHEN 'card' THEN 0 WHEN 'rate' THEN 1 ELSE 2 END"))
    ours, stages = pipeline(settings, numTrainEpochs=6.0)
    grid = ParamGridBuilder().addGrid(ours.learningRate, [1e-6, 1e-3]).build()
    tuner = CrossValidator(
        estimator=stages,
        estimatorParamMaps=grid,
        evaluator=MulticlassClassificationEvaluator(metricName="accuracy"),
        numFolds=2,
        seed=1,
    )
    tuner.write().overwrite().save(str(tmp_path / "unfitted"))
    again = CrossValidator.load(str(tmp_path / "unfitted"))
    assert [sorted((p.name, v) for p, v in each.items()) for each in again.getEstimatorParamMaps()] == [
        sorted((p.name, v) for p, v in each.items()) for each in grid
    ]
    fitted = again.fit(indexed)
    assert np.argmax(fitted.avgMetrics) == 1
    fitted.write().overwrite().save(str(tmp_path / "fitted"))
    test_df.write.parquet(str(tmp_path / "test"))
    command = [sys.executable, "-c", LOAD, str(tmp_path / "fitted"), str(tmp_path / "test")]
    environment = {name: value for name, value in os.environ.items() if "SPARK" not in name}  # classic, whatever saved it
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr[-2000:]
    metrics, rows = json.loads(answer.stdout.splitlines()[-1])
    assert metrics == fitted.avgMetrics
    here = fitted.transform(test_df).select("named", "prediction", "id").orderBy("id").collect()
    assert rows == [[row["named"], row["prediction"]] for row in here]


def test_a_pipeline_is_saved_and_loaded(model, test_df, settings, tmp_path):
    stages = pipeline(settings)[1].getStages()
    fitted = PipelineModel([stages[0], model.copy({model.textCol: "lowered"}), stages[2]])
    fitted.write().overwrite().save(str(tmp_path / "p"))
    loaded = PipelineModel.load(str(tmp_path / "p"))
    assert loaded.transform(test_df).collect() == fitted.transform(test_df).collect()
    Pipeline(stages=stages).write().overwrite().save(str(tmp_path / "u"))
    again = Pipeline.load(str(tmp_path / "u")).getStages()[1]
    assert again.extractParamMap() == stages[1].extractParamMap()


@pytest.mark.slow  # and so not on a cluster
def test_a_split_with_parallel_fits_trains_one_after_another(train_df, settings, capsys):
    ours = TransformerClassifier(**settings | {"numTrainEpochs": 1.0})
    df = train_df.withColumn("label", (F.col("label") == "card").cast("int"))
    grid = ParamGridBuilder().addGrid(ours.seed, [1, 2]).build()
    split = TrainValidationSplit(
        estimator=ours, estimatorParamMaps=grid, evaluator=BinaryClassificationEvaluator(), parallelism=2, seed=1
    )
    said, until = "", time.monotonic() + 120
    with ThreadPoolExecutor(1) as pool:
        with classification._alone():  # as if another fit trained until both of these wait for it
            fitted = pool.submit(split.fit, df)
            while said.count("this one waits") < 2 and not fitted.done() and time.monotonic() < until:
                time.sleep(0.1)
                said += capsys.readouterr().err
        metrics = fitted.result().validationMetrics
    assert said.count("another fit trains in this process: this one waits for it") == 2
    alone = split.copy({split.parallelism: 1}).fit(df).validationMetrics
    assert metrics == alone


def test_fit_with_maps(train_df, settings):
    ours = TransformerClassifier(**settings | {"numTrainEpochs": 1.0})
    models = ours.fit(train_df, [{ours.maxLength: 8}, {ours.maxLength: 16}])
    assert [model.getMaxLength() for model in models] == [8, 16]
    assert ours.fit(train_df, {ours.predictionCol: "p"}).getPredictionCol() == "p"
    assert dict(ours.fitMultiple(train_df, [{ours.seed: 5}])).keys() == {0}
    assert "textCol: column of the texts (default: text" in ours.explainParams()


def test_they_show_what_matters(model, settings, test_df):
    estimator = TransformerClassifier(**settings, textCol="body")
    assert f"checkpoint    {settings['checkpoint']}" in repr(estimator)
    assert "learns        label from body" in repr(estimator)
    assert "batchSize=8" in repr(estimator)
    assert "predicts      3 labels: card, rate, transfer" in repr(model)
    assert "trained       300 rows in " in repr(model)
    assert "<th>predicts</th><td>3 labels: card, rate, transfer</td>" in model._repr_html_()
    assert "problem       Expected thresholds with one value for each of the 3 labels" in repr(
        model.copy().setThresholds([0.5])
    )
    assert "none: not fitted" in repr(TransformerClassificationModel())
    assert "loss " in repr(model.summary)
    assert "not by this library" in repr(TransformerClassificationModel().summary)
    assert "accuracy" in repr(model.evaluate(test_df))
    named = model.copy()
    named.labels = ["<b>", "x", "y"]
    assert "&lt;b&gt;" in named._repr_html_()
