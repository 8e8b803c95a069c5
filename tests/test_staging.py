"""Staging: rows arrive on the driver's disk whole and in order, whatever the Arrow batches are."""

import pytest
from pyspark.sql import functions as F

from sparknlp_tx import staging


@pytest.fixture
def table(spark):
    rows = spark.range(0, 1000, 1, 4).select(
        F.concat(F.lit("text "), F.col("id")).alias("text"),
        F.when(F.col("id") % 3 == 0, "b").otherwise("a").alias("label"),
        (F.col("id") % 10 == 0).alias("held"),
        (F.col("id") / 2).alias("weight"),
    )
    return rows


@pytest.mark.parametrize("packed_bytes", [200, 10**9])
def test_rows_come_whole_and_in_order(table, tmp_path, monkeypatch, packed_bytes):
    monkeypatch.setattr(staging, "PACKED_BYTES", packed_bytes)
    columns = staging.TrainingColumns("text", "label", weight="weight", validation="held")
    labels = columns.learn_labels(table)
    assert (labels.labels, labels.rows, labels.invalid) == (["a", "b"], 1000, 0)
    assert (labels.counts, labels.train) == ([600, 300], 900)
    train, validation = staging.stage(table, columns, labels, tmp_path)
    kept = [i for i in range(1000) if i % 10]
    assert train["text"][:] == [f"text {i}" for i in kept]
    assert train["label"][:] == [int(i % 3 == 0) for i in kept]
    assert train["weight"][:] == [i / 2 for i in kept]
    assert validation["text"][:] == [f"text {i}" for i in range(0, 1000, 10)]
    assert {path.name for path in tmp_path.iterdir()} == {"train.arrow", "validation.arrow", "staged"}


def test_the_rows_are_memory_mapped(table, tmp_path):
    columns = staging.TrainingColumns("text", "label")
    train, validation = staging.stage(table, columns, columns.learn_labels(table), tmp_path)
    assert validation is None
    assert train.cache_files == [{"filename": str(tmp_path / "train.arrow")}]


def test_labels_are_ordered_by_value(spark):
    def labels(values, kind):
        df = spark.createDataFrame([("x", value) for value in 2 * values], f"text string, label {kind}")
        return staging.TrainingColumns("text", "label").learn_labels(df).labels

    assert labels([10, 9, 100], "int") == ["9", "10", "100"]
    assert labels(["10", "9", "b", "B"], "string") == ["10", "9", "B", "b"]
    assert labels([True, False], "boolean") == ["false", "true"]
    assert labels([2.0, 10.0], "double") == ["2", "10"]
