"""Corpora by name or place, and how they become tables."""

import json
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from sparknlp_tx.data.corpora import CORPORA, Source, read_corpus
from sparknlp_tx.data.prepared_tables import label_table, prepare, shuffled
from sparknlp_tx.data.profile import profile, save_profile
from sparknlp_tx.data.splits import carve_splits
from sparknlp_tx.errors import InputError


def rows_of(df):
    return sorted(tuple(row) for row in df.collect())


def test_files_of_every_kind_give_the_same_rows(spark, tmp_path):
    rows = [('a "quoted", text\nof two lines', "x"), ("plain", "y")]
    df = spark.createDataFrame(rows, "text string, label string").coalesce(1)
    options = {"header": True, "quote": '"', "escape": '"'}
    df.write.options(**options).csv(str(tmp_path / "csv"))
    df.write.options(sep="\t", **options).csv(str(tmp_path / "tsv"))
    df.write.json(str(tmp_path / "json"))
    df.write.parquet(str(tmp_path / "parquet"))
    df.write.format("delta").save(str(tmp_path / "delta"))
    for kind in ("csv", "tsv", "json", "parquet", "delta"):
        for file in (tmp_path / kind).glob("part-*.csv") if kind == "tsv" else []:
            file.rename(file.with_suffix(".tsv"))
        splits = read_corpus(spark, Source(str(tmp_path / kind)))
        assert list(splits) == ["train"], kind
        assert rows_of(splits["train"]) == sorted(rows), kind


def test_files_named_by_split_are_splits(spark, tmp_path):
    one = spark.createDataFrame([("a", 1)], "sentence string, category int").coalesce(1)
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test", "dev"):
        one.toPandas().to_parquet(tmp_path / f"{name}.parquet")
    splits = read_corpus(spark, Source(str(tmp_path)))
    assert {split: df.count() for split, df in splits.items()} == {"train": 2, "validation": 1, "test": 1}
    assert splits["test"].columns == ["text", "label"]


def test_a_table_by_name(spark):
    spark.createDataFrame([("a", "b")], "review string, stars string").write.format("delta").mode("overwrite").saveAsTable(
        "stars"
    )
    splits = read_corpus(spark, Source("stars", label="stars"))
    assert rows_of(splits["train"]) == [("a", "b")]
    with pytest.raises(InputError, match=r"a label column, such as .*; found columns review, stars. Name it: --label-col"):
        read_corpus(spark, Source("stars"))
    with pytest.raises(InputError, match=r"text column 'revew'; found columns review, stars. Did you mean 'review'"):
        read_corpus(spark, Source("stars", text="revew", label="stars"))


def test_known_names_know_their_columns(spark, tmp_path):
    spark.createDataFrame([("a", "b", 1)], "question1 string, question2 string, label int").write.parquet(str(tmp_path / "qqp"))
    assert rows_of(read_corpus(spark, Source("glue/qqp", path=str(tmp_path / "qqp")))["train"]) == [("a", "b", 1)]
    flags = [("hurray", *[name in ("joy", "love") for name in CORPORA["tweet_emotions"].indicators])]
    schema = "Tweet string, " + ", ".join(f"{name} boolean" for name in CORPORA["tweet_emotions"].indicators)
    spark.createDataFrame(flags, schema).write.parquet(str(tmp_path / "emotions"))
    assert rows_of(read_corpus(spark, Source("tweet_emotions", path=str(tmp_path / "emotions")))["train"]) == [
        ("hurray", ["joy", "love"])
    ]
    assert len([name for name in CORPORA if name.startswith("glue/")]) == 10


def test_a_data_set_in_the_form_of_the_hub(spark, tmp_path, monkeypatch):
    """The hub's own loader, over a folder in the hub's layout: class labels become names, an untold one null."""
    import datasets

    from sparknlp_tx.data import corpora

    features = datasets.Features({"sms": datasets.Value("string"), "label": datasets.ClassLabel(names=["ham", "spam"])})
    rows = datasets.Dataset.from_dict({"sms": ["a", "b", "c"], "label": [0, 1, -1]}, features=features)
    rows.to_parquet(str(tmp_path / "data" / "train-00000-of-00001.parquet"))
    monkeypatch.setitem(corpora.CORPORA, "sms_spam", corpora.Corpus(str(tmp_path)))
    rows.to_parquet(str(tmp_path / "data" / "unsupervised-00000-of-00001.parquet"))
    splits = read_corpus(spark, Source("sms_spam"))
    assert list(splits) == ["train"]
    assert splits["train"].collect() == [("a", "ham"), ("b", "spam"), ("c", None)]


def test_sources_that_are_not_there(spark, tmp_path):
    with pytest.raises(InputError, match=r"found 'imbd'. Did you mean 'imdb'"):
        read_corpus(spark, Source("imbd"))
    with pytest.raises(InputError, match="a file or a folder; found nothing at ./absent"):
        read_corpus(spark, Source("./absent"))
    (tmp_path / "a.docx").touch()
    with pytest.raises(InputError, match=r"csv, tsv, json lines or parquet files in .*; found a.docx"):
        read_corpus(spark, Source(str(tmp_path)))
    with pytest.raises(InputError, match=r"data set 'no/such' from the Hugging Face hub; found .*--path FOLDER"):
        read_corpus(spark, Source("no/such"))


@pytest.fixture
def corpus(spark):
    return spark.range(2000).select(
        F.concat(F.lit("text "), F.col("id") % 1900).alias("text"),
        F.when(F.col("id") % 1900 % 10 == 0, "rare").otherwise("often").alias("label"),
    )


def test_splits_are_carved_stratified_seeded_and_without_leaks(corpus):
    splits = carve_splits({"train": corpus}, seed=1)
    counts = {split: df.count() for split, df in splits.items()}
    assert sum(counts.values()) == 2000
    assert counts["test"] == pytest.approx(200, abs=10)
    assert counts["validation"] == pytest.approx(200, abs=10)
    for df in splits.values():
        assert df.filter("label = 'rare'").count() / df.count() == pytest.approx(0.1, abs=0.02)
    assert splits["test"].join(splits["train"], "text").count() == 0  # equal texts stay on one side
    again = carve_splits({"train": corpus.repartition(7)}, seed=1)
    assert rows_of(again["test"]) == rows_of(splits["test"])
    assert rows_of(carve_splits({"train": corpus}, seed=2)["test"]) != rows_of(splits["test"])


def test_splits_that_exist_are_kept(corpus):
    splits = carve_splits({"train": corpus, "test": corpus.limit(5)}, seed=1)
    assert splits["test"].count() == 5
    assert splits["train"].count() + splits["validation"].count() == 2000


def test_rows_are_shuffled_the_same_way_each_time(corpus):
    order = [row["text"] for row in shuffled(corpus, 1).collect()]
    assert order == [row["text"] for row in shuffled(corpus.repartition(5), 1).collect()]
    assert order != [row["text"] for row in corpus.collect()]


def test_labels_have_the_models_order(spark):
    def table(values, kind):
        return label_table({"train": spark.createDataFrame([("x", value) for value in values], f"text string, label {kind}")})

    assert table([10, 9], "int") == [(0, "9"), (1, "10")]
    assert table(["b", "a"], "string") == [(0, "a"), (1, "b")]
    assert table([["b", "c"], ["a"], []], "array<string>") == [(0, "a"), (1, "b"), (2, "c")]
    assert table([0.5, 1.5], "double") == []


def test_tables_and_profile_in_a_folder_and_in_a_schema(spark, corpus, tmp_path):
    written = prepare(spark, {"train": corpus}, str(tmp_path), "x", seed=1)
    assert written["validation"] == f"{tmp_path}/validation"
    splits = {name: spark.read.format("delta").load(table) for name, table in written.items()}
    labels = splits.pop("labels")
    assert rows_of(labels) == [(0, "often"), (1, "rare")]
    report = profile(splits)
    assert json.loads(Path(save_profile(spark, report, str(tmp_path), "x")).read_text()) == report
    assert sum(part["rows"] for part in report["splits"].values()) == 2000
    assert sum(part["duplicate_texts"] for part in report["splits"].values()) == 100
    assert report["splits"]["train"]["characters"]["min"] == 6
    assert report["test_rows_also_in_train"] == 0
    spark.sql("CREATE SCHEMA IF NOT EXISTS prepared")
    written = prepare(spark, {"train": corpus.limit(100)}, "prepared", "tickets", seed=1)
    assert written["train"] == "prepared.tickets_train"
    assert spark.table("prepared.tickets_labels").count() == 2
    assert json.loads(spark.table(save_profile(spark, report, "prepared", "tickets")).collect()[0]["profile"]) == report


def test_the_profile_measures_sub_words(spark, checkpoint):
    df = spark.createDataFrame([("card " * 40, "a"), ("card", "b")], "text string, label string")
    tokens = profile({"train": df}, checkpoint)["tokens"]
    assert (tokens["min"], tokens["max"]) == (3, 42)
    assert tokens["share_cut_at"] == {"32": 0.5, "64": 0.0, "128": 0.0, "256": 0.0, "512": 0.0}


def test_the_profile_counts_what_is_wrong(spark):
    rows = [("a", "x"), ("a", "x"), (None, "y"), ("", None)]
    train = spark.createDataFrame(rows, "text string, label string")
    part = profile({"train": train, "test": train.limit(2)})
    assert part["test_rows_also_in_train"] == 2
    assert part["splits"]["train"]["null_or_empty_texts"] == 2
    assert part["splits"]["train"]["null_labels"] == 1


def test_tables_that_prepare_wrote_are_read_as_splits(spark, corpus, tmp_path):
    prepare(spark, {"train": corpus}, str(tmp_path), "x", seed=1)
    splits = read_corpus(spark, Source(str(tmp_path)))
    assert sorted(splits) == ["test", "train", "validation"]
    assert sum(df.count() for df in splits.values()) == 2000


def test_folders_that_cannot_be_understood_lose_nothing(spark, tmp_path):
    for name in ("train.csv", "tickets.csv"):
        (tmp_path / name).write_text("text,label\na,b\n")
    with pytest.raises(InputError, match="files named by split .*, or none of them; found tickets.csv beside"):
        read_corpus(spark, Source(str(tmp_path)))
    (tmp_path / "tickets.csv").rename(tmp_path / "train.tsv")
    with pytest.raises(InputError, match=r"files of one kind for a split; found \.csv and \.tsv"):
        read_corpus(spark, Source(str(tmp_path)))
    (tmp_path / "train.tsv").rename(tmp_path / "test.csv")
    (tmp_path / "train.csv").rename(tmp_path / "tickets.csv")
    assert sorted(read_corpus(spark, Source(str(tmp_path)))) == ["test", "train"]


def test_mnli_has_two_of_each(spark, tmp_path, caplog):
    df = spark.createDataFrame([("a", "b", -1), ("c", "d", 2)], "premise string, hypothesis string, label int").coalesce(1)
    for name in ("train", "dev_matched", "dev_mismatched", "test_matched", "test_mismatched"):
        df.toPandas().to_parquet(tmp_path / f"{name}.parquet")
    splits = read_corpus(spark, Source("glue/mnli", path=str(tmp_path)))
    assert sorted(splits) == ["test", "test_mismatched", "train", "validation", "validation_mismatched"]
    assert sorted(row["label"] or 0 for row in splits["test"].collect()) == [0, 2]


@pytest.mark.parametrize("rows", [2, 3, 4, 8, 9, 30])
def test_a_few_rows_a_label_give_what_they_can(spark, rows):
    df = spark.range(2 * rows).select(
        F.concat(F.lit("t "), "id").alias("text"), (F.col("id") % 2).cast("string").alias("label")
    )
    splits = carve_splits({"train": df}, seed=1)
    counts = {split: part.count() for split, part in splits.items()}
    assert sum(counts.values()) == 2 * rows
    assert (counts["validation"] >= 2, counts["test"] >= 2, counts["train"] >= 2) == (rows > 2, rows > 2, True)


def test_each_row_is_in_one_part_whatever_its_draw(spark):
    """At the bounds: draws that end in 000000 were in no part."""
    from sparknlp_tx.data.splits import PLACES, place

    draws = [0, 1, PLACES - 1, PLACES, -PLACES, -1, 2**63 - 1, -(2**63), 99_999, 100_000, 199_999, 200_000]
    df = spark.createDataFrame([(draw,) for draw in draws], "draw long")
    places = [row[0] for row in df.select(place(F.col("draw"))).collect()]
    assert all(0 < p <= 1 for p in places)


def test_indicators_are_labels_by_their_place(spark, tmp_path):
    rows = [(f"text {n}", [n % 2, 0, 1]) for n in range(30)]
    df = spark.createDataFrame(rows, "text string, label array<int>")
    written = prepare(spark, {"train": df}, str(tmp_path), "x", seed=1)
    assert rows_of(spark.read.format("delta").load(written["labels"])) == [(0, "0"), (1, "1"), (2, "2")]
    report = profile({"train": df})
    assert report["splits"]["train"]["labels"] == {"0": 15, "2": 30}


def test_files_with_odd_names_and_fields_of_structs(spark, tmp_path):
    (tmp_path / "tickets[1].json").write_text('[{"text": "a", "label": 1},\n {"text": "b", "label": 2}]')
    assert rows_of(read_corpus(spark, Source(str(tmp_path / "tickets[1].json")))["train"]) == [("a", 1), ("b", 2)]
    (tmp_path / "{a}.NDJSON").write_text('{"ticket": {"text": "a"}, "label": "x"}\n')
    source = str(tmp_path / "{a}.NDJSON")
    assert rows_of(read_corpus(spark, Source(source, text="ticket.text"))["train"]) == [("a", "x")]
    with pytest.raises(InputError, match=r"ticket\.text"):
        read_corpus(spark, Source(source, text="ticket"))
    (tmp_path / "b.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": "b", "labe\n')
    with pytest.raises(InputError, match="1 of 2 lines .* line 2"):
        read_corpus(spark, Source(str(tmp_path / "b.jsonl")))
    (tmp_path / "C.CSV").write_text(" Text , label\n'a, b',x\n".replace("'", '"'))
    assert rows_of(read_corpus(spark, Source(str(tmp_path / "C.CSV")))["train"]) == [("a, b", "x")]


def test_files_on_another_file_system_are_fetched(spark, tmp_path, tmp_path_factory):
    """`viewfs://store/files` is the folder of all temporary files."""
    folder = tmp_path / "my data"
    folder.mkdir()
    (folder / "train.csv").write_text("text,label\na,x\nb,y\n")
    (folder / "test.csv").write_text("text,label\nc,x\n")
    (tmp_path / "one.jsonl").write_text('{"text": "a", "label": "x"}\n')
    there = "viewfs://store/files" + str(tmp_path).removeprefix(str(tmp_path_factory.getbasetemp()))
    splits = read_corpus(spark, Source(f"{there}/my data"))
    assert {split: df.count() for split, df in splits.items()} == {"train": 2, "test": 1}
    assert rows_of(read_corpus(spark, Source(f"{there}/one.jsonl"))["train"]) == [("a", "x")]
    for nothing, words in ((f"{there}/none.csv", "nothing at"), ("s3q://bucket/a.csv", "file system that Spark knows")):
        with pytest.raises(InputError, match=words):
            read_corpus(spark, Source(nothing))


def test_types_that_files_do_not_tell(spark, tmp_path):
    import pandas as pd

    (tmp_path / "stars.csv").write_text("text,label\na,1.5\nb,2\n")
    splits = read_corpus(spark, Source(str(tmp_path / "stars.csv"), label_type="double"))
    assert rows_of(splits["train"]) == [("a", 1.5), ("b", 2.0)]
    (tmp_path / "stars.csv").write_text("text,label\na,1.5\nb,none\n")
    with pytest.raises(InputError, match="double.*'none'.*--label-type"):
        read_corpus(spark, Source(str(tmp_path / "stars.csv"), label_type="double"))
    times = pd.to_datetime(["2026-01-01", "2026-01-02"]).astype("datetime64[ns]")
    pd.DataFrame({"text": ["a", "b"], "label": ["x", "y"], "asked": times}).to_parquet(tmp_path / "times.parquet")
    assert rows_of(read_corpus(spark, Source(str(tmp_path / "times.parquet")))["train"]) == [("a", "x"), ("b", "y")]
