"""Summaries of models of two labels have the tables by threshold that Spark ML's have."""

import numpy as np
import pytest
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

from sparknlp_tx.evaluation.curves import BINS, measured_curve
from sparknlp_tx.ml.summary import EvaluationSummary

pytestmark = pytest.mark.connect
TABLES = ("roc", "pr", "precisionByThreshold", "recallByThreshold", "fMeasureByThreshold")


def summary_of(scored, labels=("a", "b")):
    curve = measured_curve(scored)
    return EvaluationSummary({"rows": 1}, {}, labels, lambda: scored, lambda: curve)


def rows_of(table):
    return [tuple(row) for row in table.collect()]


def test_the_tables_are_those_of_spark_on_the_same_scores(spark):
    rows = [(float(n % 17), float((n * n + n // 3) % 5 < 2), 1.0 + n % 3) for n in range(120)]  # ties, and weights
    df = VectorAssembler(inputCols=["x"], outputCol="features").transform(
        spark.createDataFrame(rows, "x double, label double, weight double").coalesce(1)
    )
    theirs = LogisticRegression(weightCol="weight", maxIter=5).fit(df).evaluate(df)
    score = vector_to_array(F.col("probability"))[1]
    scored = theirs.predictions.select(
        F.col("label").cast("int").alias("__truth"), score.alias("__score"), F.col("weight").alias("__weight")
    )
    ours = summary_of(scored)
    for name in TABLES:
        table, expected = getattr(ours, name), getattr(theirs, name)
        assert table.columns == expected.columns
        assert np.allclose(rows_of(table), rows_of(expected)), name


def test_many_thresholds_are_binned_and_what_cannot_count_is_left_out(spark):
    n = F.col("id")
    scores = (F.pmod(F.xxhash64(n), F.lit(1_000_003)) / 1_000_003).alias("__score")
    scored = spark.range(5000).select(F.when(n % 3 == 0, 1).otherwise(0).alias("__truth"), scores, F.lit(1.0).alias("__weight"))
    odd = spark.sql("SELECT -1 AS __truth, 0.5D AS __score, 1.0D AS __weight UNION ALL SELECT 1, null, 1.0D")
    ours = summary_of(scored.unionByName(odd))
    found = rows_of(ours.recallByThreshold)
    assert BINS <= len(found) < 2 * BINS
    assert found == sorted(found, reverse=True, key=lambda row: row[0])
    assert found[-1][1] == 1.0
    assert rows_of(ours.precisionByThreshold)[-1][1] == pytest.approx(1667 / 5000)
    f1, f2 = rows_of(ours.fMeasureByThreshold), rows_of(ours.fBetaByThreshold(2.0))
    assert f1 == rows_of(ours.fBetaByThreshold(1.0)) != f2


@pytest.mark.parametrize("truth", [0, 1])
def test_one_class_and_no_rows(spark, truth):
    scored = spark.createDataFrame([(truth, 0.2, 1.0), (truth, 0.7, 2.0)], "__truth int, __score double, __weight double")
    ours = summary_of(scored)
    assert rows_of(ours.precisionByThreshold) == [(0.7, truth), (0.2, truth)]
    assert rows_of(ours.recallByThreshold)[-1] == (0.2, truth)
    assert rows_of(summary_of(scored.limit(0)).roc) == []


def test_a_model_of_two_labels_has_them_and_one_of_three_has_not(model, train_df, test_df, settings):
    from sparknlp_tx import TransformerClassifier

    two = F.col("label") != "rate"
    binary = TransformerClassifier(**settings | {"numTrainEpochs": 1.0, "predictionCol": "ml.prediction"}).fit(
        train_df.filter(two)
    )
    found = binary.evaluate(test_df.filter(two))
    fpr, tpr = np.asarray(rows_of(found.roc)).T
    assert ((fpr[1:] - fpr[:-1]) * (tpr[1:] + tpr[:-1]) / 2).sum() == pytest.approx(found.areaUnderROC)
    scored = binary.transform(test_df)
    assert "ml.prediction" in scored.columns
    assert scored.schema["ml.prediction"].metadata["ml_attr"]["vals"] == binary.labels
    assert not any(hasattr(model.evaluate(test_df), name) for name in TABLES)


@pytest.mark.parametrize("name", ["ml.prediction", "pre`diction", "a b,c", "täxt"])
def test_outputs_are_named_as_they_stand(model, test_df, name):
    params = ("predictionCol", "probabilityCol", "predictedLabelCol")
    named = model.copy({model.getParam(param): f"{name}.{param}" for param in params})
    rows, expected = named.transform(test_df), model.transform(test_df)
    for param in params:
        quoted = f"{name}.{param}".replace("`", "``")
        values = [
            row[0] for row in rows.select("id", F.col(f"`{quoted}`")).orderBy("id").select(F.col(f"`{quoted}`")).collect()
        ]
        assert values == [row[0] for row in expected.orderBy("id").select(model.getOrDefault(param)).collect()]


def test_a_stream_is_not_observed(spark, model, test_df, tmp_path):
    from sparknlp_tx.errors import InputError

    test_df.limit(1).write.format("delta").save(str(tmp_path / "in"))
    stream = spark.readStream.format("delta").load(str(tmp_path / "in"))
    with pytest.raises(InputError, match="stream.*foreachBatch"):
        model.observe(stream)
