"""Every kind of task, from a table to scores: several labels a row, numbers, pairs of texts; on real Spark and through MLflow."""

import logging
import random

import mlflow
import numpy as np
import pandas as pd
import pytest
from helpers.texts import FILLER, TOPICS
from pyspark.ml.evaluation import MultilabelClassificationEvaluator, RegressionEvaluator
from pyspark.sql import functions as F

from sparknlp_tx import InferenceEngine, TransformerClassificationModel, TransformerClassifier
from sparknlp_tx.errors import InputError
from sparknlp_tx.ml import evaluate as evaluation

TEXTS = ["my card is lost", "the euro rate and my card", "please help me today"]


def rows_of_topics(number, seed=0):
    """(text, topics) rows: none, one or two topics a text."""
    draw = random.Random(seed)
    rows = []
    for _ in range(number):
        topics = draw.sample(list(TOPICS), k=draw.choice([0, 1, 1, 2]))
        words = draw.choices(FILLER, k=3) + [word for topic in topics for word in draw.choices(TOPICS[topic].split(), k=3)]
        draw.shuffle(words)
        rows.append((" ".join(words), topics))
    return rows


@pytest.fixture(scope="module")
def multi_df(spark):
    return spark.createDataFrame(rows_of_topics(300), "text string, label array<string>").coalesce(2).cache()


@pytest.fixture(scope="module")
def marked_df(multi_df):
    return multi_df.withColumn("held", F.pmod(F.xxhash64("text"), F.lit(5)) == 0)


@pytest.fixture(scope="module")
def multi_model(marked_df, settings):
    fast = settings | {"numTrainEpochs": 15.0, "learningRate": 2e-3}
    return TransformerClassifier(**fast, validationIndicatorCol="held", thresholdTuning="f1").fit(marked_df)


@pytest.fixture(scope="module")
def score_df(spark):
    """How many words of the topic `card` a text has, and a half."""
    rows = [
        (text, 0.5 + sum(word in TOPICS["card"].split() for word in text.split())) for text, _ in rows_of_topics(300, seed=1)
    ]
    return spark.createDataFrame(rows, "text string, label double").coalesce(2).cache()


@pytest.fixture(scope="module")
def regression_model(score_df, settings):
    return TransformerClassifier(**settings | {"numTrainEpochs": 20.0}, problemType="regression").fit(score_df)


def test_several_labels_a_row(multi_model, multi_df):
    model = multi_model
    assert model.labels == ["card", "rate", "transfer"]
    scored = model.transform(multi_df)
    types = dict(scored.dtypes)
    assert (types["prediction"], types["predictedLabel"], types["probability"]) == ("array<double>", "array<string>", "vector")
    for row in scored.limit(50).collect():
        p = row["probability"].toArray()
        above = [i for i in range(3) if p[i] > model.getThresholds()[i]]
        assert row["prediction"] == above
        assert row["predictedLabel"] == [model.labels[i] for i in above]
        assert np.allclose(p, 1 / (1 + np.exp(-row["rawPrediction"].toArray())))
    found = model.evaluate(multi_df)
    assert found["micro_f1"] > 0.8
    assert found["accuracy"] > 0.6
    assert found["rows"] == 300
    index = F.create_map(*(F.lit(x) for n, name in enumerate(model.labels) for x in (name, float(n))))
    indexed = scored.withColumn("label", F.transform("label", lambda name: index[name]))
    evaluator = MultilabelClassificationEvaluator(metricName="microF1Measure")
    assert evaluator.evaluate(indexed) == pytest.approx(found["micro_f1"])


def test_thresholds_are_tuned_on_the_validation_rows_stored_and_used(multi_model, marked_df, tmp_path):
    tuned = multi_model.getThresholds()
    assert len(tuned) == 3
    assert tuned != [0.5] * 3
    held = marked_df.filter("held")
    plain = multi_model.copy({multi_model.thresholds: [0.5] * 3})
    assert multi_model.evaluate(held)["macro_f1"] >= plain.evaluate(held)["macro_f1"]
    multi_model.save(str(tmp_path / "model"))
    assert TransformerClassificationModel.load(str(tmp_path / "model")).getThresholds() == tuned


def test_the_threshold_of_two_labels_is_tuned_too(train_df, settings):
    """One label in four is `card`: with few steps no probability passes 0.5, and still the tuned threshold finds it."""
    two = train_df.withColumn("label", F.expr("if(label = 'card', 'yes', 'no')"))
    tuned = {"numTrainEpochs": 3.0, "thresholdTuning": "f1", "validationFraction": 0.3}
    model = TransformerClassifier(**settings | tuned).fit(two)
    below, above = model.getThresholds()
    assert below + above == pytest.approx(1)
    plain = model.copy({model.thresholds: [0.5, 0.5]})
    p = np.stack(model.predict(TEXTS)["probability"])[:, 1]
    assert model.predict(TEXTS)["prediction"].tolist() == (p > above).astype(float).tolist()
    assert model.evaluate(two)["f1"] >= plain.evaluate(two)["f1"] - 0.05


def test_threshold_of_every_label(multi_model):
    assert multi_model.copy({multi_model.thresholds: [1.0] * 3}).predict(TEXTS)["predictedLabel"].tolist() == [[], [], []]
    everything = multi_model.copy({multi_model.thresholds: [0.0] * 3}).predict(TEXTS)["predictedLabel"].tolist()
    assert everything == [["card", "rate", "transfer"]] * 3
    with pytest.raises(InputError, match="thresholds from 0 to 1"):
        multi_model.copy({multi_model.thresholds: [1.5, 0.5, 0.5]}).predict(TEXTS)


@pytest.mark.parametrize("kind", ["int", "double", "boolean"])
def test_indicator_vectors_are_several_labels_too(multi_df, settings, kind):
    columns = [F.array_contains("label", name).cast(kind) for name in ("card", "rate", "transfer")]
    df = multi_df.withColumn("label", F.array(*columns))
    model = TransformerClassifier(**settings | {"numTrainEpochs": 6.0, "learningRate": 2e-3}).fit(df)
    assert model.labels == ["0", "1", "2"]
    assert model.evaluate(df)["average_precision"] > 0.6  # 0.33 by chance


def test_invalid_rows_of_several_labels(multi_model, spark):
    df = spark.createDataFrame([(1, None), (2, "my card is lost"), (3, "")], "id int, text string")
    rows = {row["id"]: row for row in multi_model.transform(df).collect()}
    assert rows[1]["prediction"] is None
    assert rows[3]["predictedLabel"] is None
    assert rows[1]["probability"] is None
    assert rows[2]["predictedLabel"] == ["card"]


def test_regression(regression_model, score_df):
    model = regression_model
    scored = model.transform(score_df)
    assert set(scored.columns) == {"text", "label", "prediction"}
    assert dict(scored.dtypes)["prediction"] == "double"
    found = model.evaluate(score_df)
    assert found["pearson"] > 0.9
    assert found["spearman"] > 0.8
    assert RegressionEvaluator(metricName="mse").evaluate(scored) == pytest.approx(found["mse"], rel=1e-3)
    assert model.labels == []
    assert model.predict([None, "my card"])["prediction"].isna().tolist() == [True, False]


def test_regression_begins_at_the_mean_target(score_df, settings):
    far = score_df.withColumn("label", F.col("label") + 1000)
    slow = settings | {"numTrainEpochs": 1.0, "learningRate": 1e-9, "headLearningRate": 1e-9}
    model = TransformerClassifier(**slow, problemType="regression").fit(far)
    assert model.predict(TEXTS)["prediction"].mean() == pytest.approx(1001.5, abs=1.5)


def test_a_new_head_begins_at_the_labels_frequencies(multi_df, settings):
    slow = settings | {"numTrainEpochs": 1.0, "learningRate": 1e-9, "headLearningRate": 1e-9}
    model = TransformerClassifier(**slow).fit(multi_df)
    share = [multi_df.filter(F.array_contains("label", name)).count() / 300 for name in model.labels]
    assert np.allclose(np.stack(model.predict(TEXTS)["probability"]).mean(axis=0), share, atol=0.1)


@pytest.mark.parametrize("kind", ["single", "multi", "regression"])
def test_pairs_of_texts_with_every_kind_of_label(spark, settings, kind):
    """The label tells whether both texts are of one topic."""
    draw = random.Random(2)
    rows = []
    for _ in range(120):
        one, two = draw.choices(list(TOPICS), k=2)
        text, pair = (" ".join(draw.choices(TOPICS[topic].split(), k=3)) for topic in (one, two))
        label = {"single": str(one == two), "multi": sorted({one, two}), "regression": float(one == two)}[kind]
        rows.append((text, pair, label))
    type_ = {"single": "string", "multi": "array<string>", "regression": "double"}[kind]
    df = spark.createDataFrame(rows, f"a string, b string, label {type_}")
    task = {"problemType": "regression"} if kind == "regression" else {}
    model = TransformerClassifier(**settings | {"numTrainEpochs": 1.0}, textCol="a", textPairCol="b", **task).fit(df)
    swapped = model.transform(df.select(F.col("b").alias("a"), F.col("a").alias("b")))
    column = "prediction" if kind == "regression" else "probability"
    given = [row[column] for row in model.transform(df).select(column).collect()]
    assert given != [row[column] for row in swapped.select(column).collect()]  # both texts are read, in their order
    assert model.evaluate(df)["rows"] == 120


@pytest.mark.parametrize("which", ["multi_model", "regression_model"])
def test_pyfunc_predict_and_transform_agree(which, request, spark, tracking):
    from sparknlp_tx.tracking.models import log_model

    model = request.getfixturevalue(which)
    with mlflow.start_run():
        info = log_model(model)
    served = mlflow.pyfunc.load_model(info.model_uri).predict(pd.DataFrame({"text": TEXTS}))
    here = model.predict(TEXTS)
    spark_rows = model.transform(spark.createDataFrame([(t,) for t in TEXTS], "text string").coalesce(1)).collect()
    for n, row in enumerate(spark_rows):
        assert np.allclose(served["prediction"][n], row["prediction"], atol=1e-5)
        assert np.allclose(here["prediction"][n], row["prediction"], atol=1e-5)
    if which == "multi_model":
        assert served["predictedLabel"].tolist() == here["predictedLabel"].tolist()


def test_int8_of_several_labels_keeps_float32s(multi_model, multi_df):
    quantised = multi_model.quantize(multi_df)
    assert quantised.summary["int8"]["agreement"] == 1.0
    texts = [row["text"] for row in multi_df.limit(100).collect()]
    exact = multi_model.copy({multi_model.precision: "float32"})
    assert quantised.predict(texts)["predictedLabel"].tolist() == exact.predict(texts)["predictedLabel"].tolist()


def test_probabilities_are_refused_for_regression(regression_model):
    engine = InferenceEngine.from_pretrained(regression_model.directory)
    with pytest.raises(InputError, match="labels, for probabilities; found one of regression"):
        engine.predict_proba(["a text"])


def test_int8_is_refused_for_regression(regression_model, score_df):
    with pytest.raises(InputError, match="labels, for int8 to keep; found a model of regression"):
        regression_model.quantize(score_df)


@pytest.mark.parametrize("which", ["multi_model", "regression_model", "model"])
def test_what_is_too_large_to_measure_here_is_counted_by_spark_alike(which, request, monkeypatch):
    model = request.getfixturevalue(which)
    df = request.getfixturevalue({"multi_model": "multi_df", "regression_model": "score_df", "model": "test_df"}[which])
    df = df.repartition(3).withColumn("w", F.pmod(F.xxhash64("text"), F.lit(3)))
    model = model.copy({model.weightCol: "w"})
    measured = model.evaluate(df)
    repeated = df.withColumn("n", F.explode(F.sequence(F.lit(1), F.lit(2)))).filter("n <= w").drop("w")
    unlike = {"rows", "spearman"}  # how many there are, and ranks, are of rows
    assert measured == pytest.approx(model.evaluate(repeated) | {name: measured[name] for name in unlike & set(measured)})
    monkeypatch.setattr(evaluation, "COLLECTED_NUMBERS", 0)
    counted = model.evaluate(df)
    assert {"rows", "pearson" if which == "regression_model" else "macro_f1"} <= set(counted) <= set(measured)
    assert counted == pytest.approx({name: measured[name] for name in counted})


def test_a_model_that_predicts_nothing_does_not_end_in_silence(marked_df, settings, caplog):
    rare = marked_df.withColumn(
        "label",
        F.when(F.pmod(F.xxhash64("text"), F.lit(7)) == 0, F.array(F.lit("x"))).otherwise(F.array().cast("array<string>")),
    )
    slow = settings | {"numTrainEpochs": 1.0, "learningRate": 1e-9, "headLearningRate": 1e-9}
    with caplog.at_level(logging.WARNING):
        TransformerClassifier(**slow, validationIndicatorCol="held").fit(rare)
    assert "predicts no label for any of the" in caplog.text
    assert "thresholdTuning='f1'" in caplog.text
