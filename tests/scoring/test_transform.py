"""transform and predict on real Spark."""

from functools import partial

import numpy as np
import pytest
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassifier
from sparknlp_tx.scoring.executor import score_arrow, score_pandas

pytestmark = pytest.mark.every_session


def test_it_has_learnt_and_every_row_comes_back_once_in_its_place(model, test_df):
    scored = model.transform(test_df)
    assert scored.columns == ["id", "text", "label", "rawPrediction", "probability", "prediction", "predictedLabel"]
    rows = scored.collect()
    assert sorted(row["id"] for row in rows) == list(range(90))
    assert sum(row["label"] == row["predictedLabel"] for row in rows) >= 85
    again = {row["id"]: row for row in model.transform(test_df.repartition(7)).collect()}
    for row in rows:
        assert row["predictedLabel"] == model.labels[int(row["prediction"])] == again[row["id"]]["predictedLabel"]
        assert np.argmax(row["probability"].toArray()) == row["prediction"]
        assert row["probability"].toArray().sum() == pytest.approx(1)
        assert np.allclose(row["rawPrediction"].toArray(), again[row["id"]]["rawPrediction"].toArray(), atol=1e-5)


def test_transform_and_predict_agree(model, test_df):
    rows = model.transform(test_df).collect()
    predicted = model.predict([row["text"] for row in rows])
    assert list(predicted.columns) == ["rawPrediction", "probability", "prediction", "predictedLabel"]
    assert predicted["predictedLabel"].tolist() == [row["predictedLabel"] for row in rows]
    expected = np.stack([row["probability"].toArray() for row in rows])
    assert np.allclose(np.stack(predicted["probability"]), expected, atol=1e-5)


def test_small_arrow_batches_lose_no_row(spark, model, test_df):
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "7")
    try:
        small = {row["id"]: row["predictedLabel"] for row in model.transform(test_df).collect()}
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert small == {row["id"]: row["predictedLabel"] for row in model.transform(test_df).collect()}


@pytest.fixture
def gappy(spark):
    rows = [(0, "my card is lost"), (1, None), (2, ""), (3, "exchange rate of the euro")]
    return spark.createDataFrame(rows, "id int, text string").coalesce(1)


def test_null_and_empty_texts_keep_skip_error(model, gappy):
    kept = {row["id"]: row for row in model.transform(gappy).collect()}
    assert len(kept) == 4
    for invalid in (1, 2):
        assert all(kept[invalid][name] is None for name in ("rawPrediction", "probability", "prediction", "predictedLabel"))
    skipped = model.copy({model.handleInvalid: "skip"}).transform(gappy)
    assert {row["id"]: row["predictedLabel"] for row in skipped.collect()} == {i: kept[i]["predictedLabel"] for i in (0, 3)}
    with pytest.raises(
        Exception, match="no null and no empty text, as handleInvalid='error' says; found 2 of them among 4 rows"
    ):
        model.copy({model.handleInvalid: "error"}).transform(gappy).collect()


def test_predict_handles_invalid_texts_alike(model):
    texts = ["my card", None, ""]
    assert model.predict(texts)["predictedLabel"].tolist()[1:] == [None, None]
    assert model.copy({model.handleInvalid: "skip"}).predict(texts).index.tolist() == [0]
    with pytest.raises(ValueError, match="handleInvalid='error'"):
        model.copy({model.handleInvalid: "error"}).predict(texts)
    assert len(model.predict([])) == 0


def test_spark_evaluators_take_our_columns(spark, settings, train_df):
    numbered = train_df.withColumn("label", (F.col("label") == "card").cast("int"))
    model = TransformerClassifier(**settings | {"numTrainEpochs": 2.0}).fit(numbered)
    assert model.labels == ["0", "1"]
    evaluator = MulticlassClassificationEvaluator(metricName="accuracy")
    scored = model.transform(numbered)
    assert evaluator.evaluate(scored) == pytest.approx(model.evaluate(numbered)["accuracy"])


@pytest.fixture
def rows_run(monkeypatch, tmp_path):
    """A function that tells how many rows went through the model in the executors since it was called last."""
    log = tmp_path / "rows"
    path = str(log)

    def counting(real, scoring, observed=False):
        def score(batches):
            from sparknlp_tx.scoring.executor import task_engine

            engine = task_engine(scoring)
            backend = engine.backend

            class Counting:
                device, packs, fetch = backend.device, backend.packs, staticmethod(backend.fetch)

                def __call__(self, inputs):
                    ids = inputs["input_ids"]
                    with open(path, "a") as file:
                        file.write(f"{(ids == ids[0, 0]).sum()}\n")  # each text begins with the same token
                    return backend(inputs)

            engine.backend = Counting()
            try:
                yield from real(scoring, observed)(batches)
            finally:
                engine.backend = backend

        return score

    def rows() -> int:
        found = sum(map(int, log.read_text().split())) if log.exists() else 0
        log.unlink(missing_ok=True)
        return found

    for real in (score_arrow, score_pandas):
        monkeypatch.setattr(f"sparknlp_tx.scoring.udf.{real.__name__}", partial(counting, real))
    return rows


def test_a_row_goes_through_the_model_once_per_action_whatever_is_done_with_the_columns(model, test_df, rows_run, tmp_path):
    scored = model.transform(test_df)
    assert rows_run() == 0  # no job yet
    found = scored.filter("prediction = 1").select("id", vector_to_array("probability")[1].alias("p")).collect()
    assert all(row["p"] > 1 / 3 for row in found)
    assert rows_run() == 90
    several = (
        scored.withColumn("x", F.col("prediction") + 1)
        .filter("x > 0")
        .filter("predictedLabel != ''")
        .select("x", "probability")
    )
    assert several.count() == 90
    assert rows_run() == 90
    joined = scored.join(test_df.select("id", F.col("label").alias("truth")), "id").filter("predictedLabel = truth")
    assert joined.select("id", "rawPrediction").collect()
    assert rows_run() == 90
    for sink in ("a", "b"):
        scored.write.format("delta").save(str(tmp_path / sink))
        assert rows_run() == 90
    cached = scored.cache()
    for sink in ("c", "d"):
        cached.filter("prediction = 0").write.format("delta").save(str(tmp_path / sink))
    assert cached.count() == 90
    cached.unpersist()
    assert rows_run() == 90
    scored.select("id").collect()
    assert rows_run() == 0  # nobody asked for a score


def test_sentence_pairs_are_scored_as_pairs(spark, settings):
    same = [(f"card {i}", f"card {i}", "same") for i in range(60)]
    other = [(f"card {i}", f"euro {i}", "other") for i in range(60)]
    df = spark.createDataFrame(same + other, "a string, b string, label string").coalesce(1)
    model = TransformerClassifier(**settings | {"numTrainEpochs": 6.0}, textCol="a", textPairCol="b").fit(df)
    assert model.evaluate(df)["accuracy"] > 0.95
    assert model.predict([("card 1", "card 1"), ("card 1", "euro 2")])["predictedLabel"].tolist() == ["same", "other"]
    holed = spark.createDataFrame([("card 1", None)], "a string, b string")
    assert model.transform(holed).collect()[0]["prediction"] is None
    with pytest.raises(ValueError, match=r"\(text, pair\) tuples, as textPairCol is set"):
        model.predict(["card 1"])
