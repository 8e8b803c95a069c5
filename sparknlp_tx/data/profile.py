"""What the tables of a corpus hold: rows, labels, lengths, duplicates, leaks."""

import json
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FractionalType

from sparknlp_tx.data.label_columns import label_names
from sparknlp_tx.data.prepared_tables import target_name
from sparknlp_tx.data.text_columns import text_column
from sparknlp_tx.data.text_samples import length_summary, share_cut
from sparknlp_tx.files import local_path
from sparknlp_tx.inference.tokenization import TextEncoder
from sparknlp_tx.spark.outputs import write_table
from sparknlp_tx.spark.table_names import has_scheme, is_path

LENGTH_SAMPLE = 10_000
MAX_LENGTHS = (32, 64, 128, 256, 512)


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
    for same_schema in kinds.values():
        parts |= _profile_splits({split: splits[split] for split in same_schema})
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
    from sparknlp_tx.files import temporary_directory
    from sparknlp_tx.training.tokenizer import save_tokenizer

    encoder: TextEncoder = save_tokenizer(checkpoint, None, temporary_directory("tokenizer"))
    rows = df.select(
        [F.substring(text_column(df, name), 1, 100_000).alias(name) for name in df.columns if name != "label"]
    ).limit(LENGTH_SAMPLE)
    texts = [tuple(row) if len(row) > 1 else row[0] for row in rows.dropna().collect()]
    lengths = encoder.encode(texts).lengths()
    cut = {str(limit): share_cut(lengths, limit) for limit in MAX_LENGTHS}
    return {"sample": len(texts), "min": int(lengths.min()), **length_summary(lengths), "share_cut_at": cut}


def save_profile(spark: SparkSession, report: dict[str, Any], output: str, name: str) -> str:
    """Keep a profile beside the tables: `profile.json` in a local folder, else a table of one JSON string; returns which."""
    if is_path(output) and not has_scheme(output):
        file = Path(local_path(output), "profile.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        return str(file)
    table = target_name(output, name, "profile")
    write_table(spark.createDataFrame([(json.dumps(report),)], "profile string").coalesce(1), table)
    return table
