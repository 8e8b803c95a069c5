"""A corpus to Delta tables: missing splits carved out, rows shuffled, label names kept, a profile of the lot."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

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
FEW_ROWS, FEW_CHARACTERS = 20_000, 20_000_000  # that the driver holds at a time
WRITERS = 4  # tables that are written at the same time: of small ones most of the time is Delta's own
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
    return df.orderBy(_order(df, seed))


def _order(df: DataFrame, seed: int) -> Column:
    return F.xxhash64(F.lit(seed), *df.columns)


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
    return write_corpus(spark, ready(spark, splits, seed), output, name)


class Corpus(NamedTuple):
    """Splits that are ready to be written.

    Attributes:
        splits: each in the order that the seed decides.
        is_small: whether they are held by the driver, so that computing on them again costs nothing.
    """

    splits: dict[str, DataFrame]
    is_small: bool


def ready(spark: SparkSession, splits: dict[str, DataFrame], seed: int) -> Corpus:
    """Carve out missing splits and shuffle each; a small corpus is computed once, and held by the driver."""
    carved = carve_splits(splits, seed)
    if len({df.schema.simpleString() for df in carved.values()}) > 1 or not _are_few(splits):
        return Corpus({split: shuffled(df, seed) for split, df in carved.items()}, is_small=False)
    schema = next(iter(carved.values())).schema
    marked = [df.select(*df.columns, _order(df, seed).alias("__order"), F.lit(s).alias("__split")) for s, df in carved.items()]
    rows = sorted(reduce(DataFrame.union, marked).collect(), key=lambda row: row["__order"])
    held: dict[str, list] = {split: [] for split in carved}
    for row in rows:
        held[row["__split"]].append(tuple(row[name] for name in schema.names))
    return Corpus({s: spark.createDataFrame(part, schema).coalesce(1) for s, part in held.items()}, is_small=True)


def _are_few(splits: dict[str, DataFrame]) -> bool:
    """Whether the rows of all splits together fit on the driver, and into a few megabytes there."""
    rows = characters = 0
    for df in splits.values():
        texts = (F.coalesce(F.length(name), F.lit(0)) for name in df.columns if name != "label")
        few = df.select(reduce(Column.__add__, texts).alias("size")).limit(FEW_ROWS + 1)
        found = few.agg(F.count(F.lit(1)).alias("rows"), F.sum("size").alias("size")).collect()[0]
        rows, characters = rows + found["rows"], characters + (found["size"] or 0)
        if rows > FEW_ROWS or characters > FEW_CHARACTERS:
            return False
    return True


def write_corpus(spark: SparkSession, corpus: Corpus, output: str, name: str) -> dict[str, str]:
    """Write splits, and a table of their labels, as Delta tables, at the same time; returns names or paths by split."""
    written = {split: target_name(output, name, split) for split in corpus.splits}
    with ThreadPoolExecutor(WRITERS) as pool:
        jobs = [pool.submit(write_table, df, written[split]) for split, df in corpus.splits.items()]
        if not corpus.is_small:
            for job in jobs:
                job.result()
        read = corpus.splits if corpus.is_small else {s: tables.read_table(spark, table) for s, table in written.items()}
        labels = spark.createDataFrame(label_table(read), "index int, label string").coalesce(1)
        written["labels"] = target_name(output, name, "labels")
        jobs.append(pool.submit(write_table, labels, written["labels"]))
        for job in jobs:
            job.result()
    return written


def profile(splits: dict[str, DataFrame], checkpoint: str | None = None) -> dict[str, Any]:
    """What the tables hold: rows per split and label, null and duplicate texts, leaks, lengths.

    Args:
        checkpoint: measure lengths in its sub-words too, on a sample of 10,000 texts of `train`.

    Returns:
        A JSON object; lengths as min, mean, p50, p95, max.
    """
    kinds: dict[str, list[str]] = {}
    for split, df in splits.items():
        kinds.setdefault(df.schema.simpleString(), []).append(split)
    parts: dict[str, Any] = {}
    for alike in kinds.values():
        parts |= _profile_splits({split: splits[split] for split in alike})
    report: dict[str, Any] = {"splits": {split: parts[split] for split in splits}}
    if "train" in splits and "test" in splits:
        texts = [F.col(name) for name in splits["train"].columns if name != "label"]
        seen = splits["train"].select(*texts).distinct()
        report["test_rows_also_in_train"] = splits["test"].join(seen, seen.columns, "left_semi").count()
    if checkpoint and "train" in splits:
        report["tokens"] = _profile_tokens(splits["train"], checkpoint)
    return report


def _profile_splits(splits: dict[str, DataFrame]) -> dict[str, dict[str, Any]]:
    """The profiles of splits of one schema, in two aggregations."""
    df = reduce(DataFrame.union, (df.withColumn("__split", F.lit(split)) for split, df in splits.items()))
    texts = [name for name in df.columns if name not in ("label", "__split")]
    empty = F.coalesce(F.col("text"), F.lit("")) == ""
    rows = df.groupBy("__split").agg(
        F.count(F.lit(1)).alias("rows"),
        F.sum(empty.cast("long")).alias("null_or_empty_texts"),
        F.sum(F.col("label").isNull().cast("long")).alias("null_labels"),
        F.count_distinct(*(F.coalesce(F.col(name), F.lit("")) for name in texts)).alias("distinct"),
        *_summary(F.length("text")),
    )
    found = {row["__split"]: row for row in rows.collect()}
    reports: dict[str, dict[str, Any]] = {}
    for split in splits:
        row = found[split].asDict() if split in found else {}
        report: dict[str, Any] = {name: row.get(name) or 0 for name in ("rows", "null_or_empty_texts", "null_labels")}
        report["duplicate_texts"] = report["rows"] - (row.get("distinct") or 0)
        report["characters"] = {name: row.get(name) for name in ("min", "mean", "p50", "p95", "max")}
        reports[split] = report
    if not isinstance(df.schema["label"].dataType, FractionalType):
        several = isinstance(df.schema["label"].dataType, ArrayType)
        names = F.explode(label_names("label", df)) if several else F.col("label").cast("string")
        counts = df.select("__split", names.alias("label")).groupBy("__split", "label").count().collect()
        for split, report in reports.items():
            labels = {row["label"]: row["count"] for row in counts if row["__split"] == split}
            report["labels"] = dict(sorted(labels.items(), key=lambda item: (item[0] is not None, item[0] or "")))
    return reports


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
    rows = df.select(
        [F.substring(text_column(df, name), 1, 100_000).alias(name) for name in df.columns if name != "label"]
    ).limit(LENGTH_SAMPLE)
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
