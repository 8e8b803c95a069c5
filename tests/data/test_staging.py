"""Staging: rows arrive on the driver's disk whole, once and in order, whatever the Arrow batches are."""

from dataclasses import replace

import pytest
from pyspark.sql import functions as F

from sparknlp_tx.data import staging
from sparknlp_tx.data import staging_tasks as binary_rows
from sparknlp_tx.data.training_rows import TrainingColumns
from sparknlp_tx.files import file_hashes
from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.inference.tokenization import TextEncoder
from sparknlp_tx.training.tokenizer import save_tokenizer


@pytest.fixture(scope="module")
def tokenizer(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(checkpoint, 8, folder)
    return ModelLocation(str(folder), file_hashes(folder))


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
def test_rows_come_whole_and_in_order(table, tokenizer, tmp_path, monkeypatch, packed_bytes):
    monkeypatch.setattr(binary_rows, "PACKED_BYTES", packed_bytes)
    columns = TrainingColumns("text", "label", weight="weight", validation="held")
    labels = columns.learn_labels(table)
    assert (labels.labels, labels.rows, labels.invalid) == (["a", "b"], 1000, 0)
    assert (labels.counts, labels.train) == ([600, 300], 900)
    monkeypatch.setattr(staging, "RECEIVED_BYTES", 20_000)
    train, validation = staging.stage(table, columns, labels, tokenizer, tmp_path)
    kept = [i for i in range(1000) if i % 10]
    rows = train[:]
    assert rows["text"] == [f"text {i}" for i in kept]
    expected = TextEncoder(tokenizer.path).encode(rows["text"])
    assert rows["input_ids"] == expected.input_ids
    assert rows["token_type_ids"] == expected.token_type_ids
    assert rows["length"] == expected.lengths().tolist()
    assert rows["labels"] == [int(i % 3 == 0) for i in kept]
    assert rows["weight"] == [i / 2 for i in kept]
    assert validation["text"][:] == [f"text {i}" for i in range(0, 1000, 10)]
    assert {path.name for path in tmp_path.iterdir()} == {"train.arrow", "validation.arrow", "staged"}


def test_a_session_that_keeps_nothing(table, tokenizer, tmp_path, monkeypatch):
    from pyspark.errors import PySparkException
    from pyspark.sql.classic.dataframe import DataFrame

    def refuse(self, *args):
        raise PySparkException("[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported on serverless compute.")

    monkeypatch.setattr(DataFrame, "persist", refuse)
    columns = TrainingColumns("text", "label")
    train, _ = staging.stage(table, columns, columns.learn_labels(table), tokenizer, tmp_path)
    assert train["text"][:] == [f"text {i}" for i in range(1000)]


def test_texts_of_a_sample_alone_are_kept(table, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "SAMPLED_ROWS", 50)
    columns = TrainingColumns("text", "label", validation="held")
    train, validation = staging.stage(table, columns, columns.learn_labels(table), tokenizer, tmp_path)
    for rows, one_in in ((train, 18), (validation, 2)):  # of 900 and 100 rows in four partitions
        texts = staging.staged_texts(staging.with_texts(rows))
        assert len(rows) / one_in <= len(texts) <= len(rows) / one_in + 4
        assert None not in texts


def test_a_full_disk_is_told_before_any_work(table, tokenizer, tmp_path, monkeypatch):
    columns = TrainingColumns("text", "label")
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10_000}))
    with pytest.raises(
        ValueError, match=r"Expected 0\.1 GB free in .*, for the tokens .*; found 0\.0 GB\. Free some, or set stagingDir"
    ):
        staging.stage(table, columns, replace(columns.learn_labels(table), rows=10**6), tokenizer, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_rows_are_memory_mapped(table, tokenizer, tmp_path):
    columns = TrainingColumns("text", "label")
    train, validation = staging.stage(table, columns, columns.learn_labels(table), tokenizer, tmp_path)
    assert validation is None
    assert train.cache_files == [{"filename": str(tmp_path / "train.arrow")}]


def test_labels_are_ordered_by_value(spark):
    def labels(values, kind):
        df = spark.createDataFrame([("x", value) for value in 2 * values], f"text string, label {kind}")
        return TrainingColumns("text", "label").learn_labels(df).labels

    assert labels([10, 9, 100], "int") == ["9", "10", "100"]
    assert labels(["10", "9", "b", "B"], "string") == ["10", "9", "B", "b"]
    assert labels([True, False], "boolean") == ["false", "true"]
    assert labels([2.0, 10.0], "double") == ["2", "10"]
