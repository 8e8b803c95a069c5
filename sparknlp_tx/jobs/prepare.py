"""Prepare: a corpus to Delta tables, and a profile of it."""

import argparse
import time
from typing import Any

from pyspark.sql import SparkSession

from sparknlp_tx import tables
from sparknlp_tx.cli import make_parser
from sparknlp_tx.errors import InputError
from sparknlp_tx.progress import say, since


def prepare_parser(description: str) -> argparse.ArgumentParser:
    """Flags of `prepare`."""
    parser = make_parser("prepare.py", description)
    parser.add_argument("--source", required=True, help="what to read; see above")
    parser.add_argument("--output", required=True, help="a folder (has a /), or catalog.schema")
    parser.add_argument("--name", help="prefix of the tables in a schema; default from the source")
    parser.add_argument("--path", help="with a known name: read this file or folder instead of the hub")
    parser.add_argument("--config", help="configuration of a hub data set")
    parser.add_argument("--text-col")
    parser.add_argument("--text-pair-col")
    parser.add_argument("--label-col")
    parser.add_argument("--checkpoint", help="profile the lengths in its sub-words, too")
    parser.add_argument("--limit", type=int, default=1_500, help="docstrings: rows of each library (default %(default)s)")
    parser.add_argument("--seed", type=int, default=42)
    return parser


def prepare(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Write a corpus as Delta tables and profile it."""
    from sparknlp_tx import corpora, preparation

    begin = time.monotonic()
    source = corpora.Source(
        source=options.source,
        path=options.path,
        config=options.config,
        text=options.text_col,
        text_pair=options.text_pair_col,
        label=options.label_col,
        limit=options.limit,
    )
    name = options.name or _short_name(options.source)
    _check_output(spark, options)
    if options.checkpoint:
        from sparknlp_tx.pretrained import check_checkpoint

        check_checkpoint(options.checkpoint)
    splits = corpora.read_corpus(spark, source)
    written = preparation.prepare(spark, splits, options.output, name, options.seed)
    read = {split: tables.read_table(spark, table) for split, table in written.items() if split != "labels"}
    report = preparation.profile(read, options.checkpoint)
    kept = preparation.save_profile(spark, report, options.output, name)
    print_profile(report)
    rows = {split: part["rows"] for split, part in report["splits"].items()}
    return {"job": "prepare", "tables": written, "rows": rows, "profile": kept, "seconds": since(begin)}


def _short_name(source: str) -> str:
    """`data/tickets.csv`, `main.raw.tickets` and `org/tickets` to `tickets`."""
    last = source.rstrip("/").rpartition("/")[2]
    last = last.partition(".")[0] if tables.is_path(source) or last.endswith((".csv", ".tsv", ".json", ".jsonl")) else last
    return last.rpartition(".")[2].replace("-", "_")


def _check_output(spark: SparkSession, options: argparse.Namespace) -> None:
    """Raise InputError where the output is no place for tables, or is what is read."""
    if not tables.is_path(options.output):
        if not spark.catalog.databaseExists(options.output):
            remedy = f"Create it: CREATE SCHEMA {options.output}. For a folder write ./{options.output}."
            raise InputError(f"a schema {options.output!r}", "none of that name", remedy)
        target = options.output + "."
    else:
        target = tables.full_path(options.output) + "/"
    read = options.path or options.source
    read = tables.full_path(read) + "/" if tables.is_path(read) else read
    if read.startswith(target):
        raise InputError("an output that is not what is read", options.output, "Name another folder or schema.")


def print_profile(report: dict[str, Any]) -> None:
    """A profile as a person reads it, on standard error."""
    for split, part in report["splits"].items():
        size = part["characters"]
        say(
            f"{split}: {part['rows']:,} rows, {part['null_or_empty_texts']:,} without text, {part['duplicate_texts']:,} "
            f"duplicates; characters: mean {size['mean']}, 95 % under {size['p95']}, longest {size['max']}"
        )
        labels = sorted(part.get("labels", {}).items(), key=lambda item: -item[1])
        if labels:
            most = ", ".join(f"{label} {rows:,}" for label, rows in labels[:12])
            say(f"  {len(labels)} labels: {most}" + (f", ... {labels[-1][0]} {labels[-1][1]:,}" if len(labels) > 12 else ""))
    if report.get("test_rows_also_in_train"):
        say(f"{report['test_rows_also_in_train']:,} rows of test have texts that stand in train, too")
    if "tokens" in report:
        cut = ", ".join(f"{100 * share:.1f} % at {limit}" for limit, share in report["tokens"]["share_cut_at"].items())
        say(f"sub-words: mean {report['tokens']['mean']}, 95 % under {report['tokens']['p95']}; texts cut: {cut}")
