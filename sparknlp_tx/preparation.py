"""A corpus to Delta tables: missing splits carved out, rows shuffled, label names kept, a profile of the lot."""

import json
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FractionalType, StringType

from sparknlp_tx import splits as splits_of
from sparknlp_tx import tables
from sparknlp_tx.artifact import local_path
from sparknlp_tx.labels import label_names
from sparknlp_tx.outputs import write_table
from sparknlp_tx.tokenization import TextEncoder
from sparknlp_tx.training_columns import text_column

HELD_OUT = 0.1  # the part of the training rows that a missing validation or test split takes
LENGTH_SAMPLE = 10_000
MAX_LENGTHS = (32, 64, 128, 256, 512)


def target_name(output: str, name: str, table: str) -> str:
    """Where a table of a corpus goes: `output/table` in a folder, `output.name_table` in a schema."""
    return f"{output.rstrip('/')}/{table}" if tables.is_path(output) else f"{output}.{name}_{table}"


def carve_splits(splits: dict[str, DataFrame], seed: int) -> dict[str, DataFrame]:
    """Keep the splits there are; take `validation` and `test`, where missing, out of `train`: 10 % of it each.

    Stratified by label. Which rows are taken depends on the texts and the seed alone, not on partitions or order, and equal
    texts of a label stay on one side.
    """
    missing = [split for split in ("validation", "test") if split not in splits]
    if not missing or "train" not in splits:
        return splits
    train = splits["train"]
    label = train.schema["label"].dataType
    drawn = splits_of.draw(seed, [F.col(name) for name in train.columns if name != "label"])
    spread = not isinstance(label, ArrayType | FractionalType)  # else there is nothing to stratify by
    place = splits_of.place(drawn, F.col("label") if spread else None)
    placed = train.withColumn("__place", place).withColumn("__part", F.lit(HELD_OUT))
    if spread:  # of a label of a few rows a part is one text, as long as train keeps one
        first = F.min("__place").over(Window.partitionBy("label"))
        placed = placed.withColumn("__part", F.when(first <= 1 / (len(missing) + 1), F.greatest(F.lit(HELD_OUT), first)))
        placed = placed.withColumn("__part", F.coalesce("__part", F.lit(HELD_OUT)))
    carved = {}
    for number, split in enumerate(missing):
        inside = (F.col("__place") > number * F.col("__part")) & (F.col("__place") <= (number + 1) * F.col("__part"))
        carved[split] = placed.filter(inside).drop("__place", "__part")
    carved["train"] = placed.filter(F.col("__place") > len(missing) * F.col("__part")).drop("__place", "__part")
    return splits | carved


def shuffled(df: DataFrame, seed: int) -> DataFrame:
    """The rows in an order that the seed decides: the same rows give the same order."""
    return df.orderBy(F.xxhash64(F.lit(seed), *df.columns))


def label_table(splits: dict[str, DataFrame]) -> list[tuple[int, str]]:
    """(index, label) rows of the training and validation splits, in the order that `TransformerClassifier` gives them; none for regression."""
    found = None
    for name, df in splits.items():
        kind = df.schema["label"].dataType
        if name not in ("train", "validation"):  # what is trained on tells the labels
            continue
        if isinstance(kind, FractionalType):
            return []
        if isinstance(kind, ArrayType) and not isinstance(kind.elementType, StringType):  # 0 and 1 for each label, by place
            longest = df.agg(F.max(F.size("label")).alias("n")).collect()[0]["n"] or 0
            return [(place, str(place)) for place in range(longest)]
        labels = df.select((F.explode("label") if isinstance(kind, ArrayType) else F.col("label")).alias("label"))
        found = labels if found is None else found.union(labels)
    if found is None:
        return []
    values = sorted(row["label"] for row in found.distinct().collect() if row["label"] is not None)
    return [(index, str(value).lower() if isinstance(value, bool) else str(value)) for index, value in enumerate(values)]


def prepare(spark: SparkSession, splits: dict[str, DataFrame], output: str, name: str, seed: int) -> dict[str, str]:
    """Write the splits and `labels` as Delta tables; returns table names or paths by split."""
    written = {}
    for split, df in carve_splits(splits, seed).items():
        written[split] = target_name(output, name, split)
        write_table(shuffled(df, seed), written[split])
    read = {split: tables.read_table(spark, table) for split, table in written.items()}
    labels = spark.createDataFrame(label_table(read), "index int, label string").coalesce(1)
    written["labels"] = target_name(output, name, "labels")
    write_table(labels, written["labels"])
    return written


def profile(splits: dict[str, DataFrame], checkpoint: str | None = None) -> dict[str, Any]:
    """What the tables hold: rows per split and label, null and duplicate texts, leaks, lengths.

    Args:
        checkpoint: measure lengths in its sub-words too, on a sample of 10,000 texts of `train`.

    Returns:
        A JSON object; lengths as min, mean, p50, p95, max.
    """
    report: dict[str, Any] = {"splits": {split: _profile_split(df) for split, df in splits.items()}}
    if "train" in splits and "test" in splits:
        texts = [F.col(name) for name in splits["train"].columns if name != "label"]
        seen = splits["train"].select(*texts).distinct()
        report["test_rows_also_in_train"] = splits["test"].join(seen, seen.columns, "left_semi").count()
    if checkpoint and "train" in splits:
        report["tokens"] = _profile_tokens(splits["train"], checkpoint)
    return report


def _profile_split(df: DataFrame) -> dict[str, Any]:
    texts = [name for name in df.columns if name != "label"]
    empty = F.coalesce(F.col("text"), F.lit("")) == ""
    size = F.length("text")
    row = df.agg(
        F.count(F.lit(1)).alias("rows"),
        F.sum(empty.cast("long")).alias("null_or_empty_texts"),
        F.sum(F.col("label").isNull().cast("long")).alias("null_labels"),
        F.count_distinct(*(F.coalesce(F.col(name), F.lit("")) for name in texts)).alias("distinct"),
        *_summary(size),
    ).collect()[0]
    report = {name: row[name] or 0 for name in ("rows", "null_or_empty_texts", "null_labels")}
    report["duplicate_texts"] = row["rows"] - row["distinct"]
    report["characters"] = {name: row[name] for name in ("min", "mean", "p50", "p95", "max")}
    if not isinstance(df.schema["label"].dataType, FractionalType):
        several = isinstance(df.schema["label"].dataType, ArrayType)
        names = F.explode(label_names("label", df)) if several else F.col("label").cast("string")
        labels = df.select(names.alias("label"))
        report["labels"] = {r["label"]: r["count"] for r in labels.groupBy("label").count().orderBy("label").collect()}
    return report


def _summary(size: Column) -> list[Column]:
    return [
        F.min(size).alias("min"),
        F.round(F.avg(size), 1).alias("mean"),
        F.percentile_approx(size, 0.5).alias("p50"),
        F.percentile_approx(size, 0.95).alias("p95"),
        F.max(size).alias("max"),
    ]


def _profile_tokens(df: DataFrame, checkpoint: str) -> dict[str, Any]:
    import numpy as np

    from sparknlp_tx.artifact import temporary_directory
    from sparknlp_tx.preprocessing import save_tokenizer

    encoder: TextEncoder = save_tokenizer(checkpoint, None, temporary_directory("tokenizer"))
    rows = df.select([F.substring(text_column(name), 1, 100_000).alias(name) for name in df.columns if name != "label"]).limit(
        LENGTH_SAMPLE
    )
    texts = [tuple(row) if len(row) > 1 else row[0] for row in rows.dropna().collect()]
    lengths = encoder.encode(texts).lengths()
    p50, p95 = np.percentile(lengths, (50, 95))
    return {
        "sample": len(texts),
        "min": int(lengths.min()),
        "mean": round(float(lengths.mean()), 1),
        "p50": int(p50),
        "p95": int(p95),
        "max": int(lengths.max()),
        "share_cut_at": {str(limit): round(float((lengths > limit).mean()), 4) for limit in MAX_LENGTHS},
    }


def save_profile(spark: SparkSession, report: dict[str, Any], output: str, name: str) -> str:
    """Keep a profile beside the tables: `profile.json` in a local folder, else a table of one JSON string; returns which."""
    if tables.is_path(output) and not tables.has_scheme(output):
        file = Path(local_path(output), "profile.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        return str(file)
    table = target_name(output, name, "profile")
    write_table(spark.createDataFrame([(json.dumps(report),)], "profile string").coalesce(1), table)
    return table
