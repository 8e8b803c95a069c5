"""Write a text corpus as Delta tables: train, validation, test, labels; with a profile of what they hold.

  sparknlp-tx prepare --source banking77 --output main.support
  sparknlp-tx prepare --source docstrings --output demo/delta
  sparknlp-tx prepare --source ./tickets --output data/tickets --text-col body --label-col queue
  sparknlp-tx prepare --source banking77 --path ./banking77 --output data/banking77

SOURCE is one of
  docstrings                      the docstrings of installed libraries, labelled by library; needs no download
  a known name                    imdb, banking77, tweet_emotions, sms_spam, amazon_polarity, glue/TASK (cola, sst2, mrpc, qqp,
                                  stsb, mnli, qnli, rte, wnli, ax): from the Hugging Face hub, or from files with --path
  a file or a folder              csv, tsv, json lines, parquet; files named by split are splits
  a Delta table                   a folder, or [catalog.][schema.]table
  org/name                        any Parquet-backed data set on the Hugging Face hub

OUTPUT with a / is a folder (OUTPUT/train, ...); otherwise a schema (OUTPUT.NAME_train, ...). The tables have the columns text,
label and, for sentence pairs, text_pair. Splits that exist are kept; a missing validation or test split is carved out of train:
10 %, stratified, by the seed. Rows are shuffled. The last line of standard output is a JSON object with the results.
"""

import argparse
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession

from sparknlp_tx.cli.commands.common import CommandResult, Explained
from sparknlp_tx.cli.flags import make_parser
from sparknlp_tx.errors import InputError
from sparknlp_tx.progress import say, since
from sparknlp_tx.spark import tables
from sparknlp_tx.spark.table_names import full_path, is_path

if TYPE_CHECKING:
    from sparknlp_tx.data.corpora import Source

LABEL_TYPES = ("string", "boolean", "int", "bigint", "double")


def parser() -> argparse.ArgumentParser:
    """Flags of `prepare`."""
    parser = make_parser("prepare", __doc__)
    parser.add_argument("--source", required=True, help="what to read; see above")
    parser.add_argument("--output", required=True, help="a folder (has a /), or catalog.schema")
    parser.add_argument("--name", help="prefix of the tables in a schema; default from the source")
    parser.add_argument("--path", help="with a known name: read this file or folder instead of the hub")
    parser.add_argument("--hub-config", help="configuration of a hub data set")
    parser.add_argument("--text-col")
    parser.add_argument("--text-pair-col")
    parser.add_argument("--label-col")
    parser.add_argument("--label-type", choices=LABEL_TYPES, help="of the labels, where files tell none: double for regression")
    parser.add_argument("--encoding", help="of csv and tsv files; default UTF-8, or UTF-16 with its mark")
    parser.add_argument("--sep", help="csv and tsv: between fields; default found out")
    parser.add_argument("--quote", help="csv and tsv: around fields, '' for none; default found out")
    parser.add_argument(
        "--escape", help="csv and tsv: before a quote inside quotes, the quote itself or a backslash; default found out"
    )
    parser.add_argument("--checkpoint", help="profile the lengths in its sub-words, too")
    parser.add_argument("--limit", type=int, default=1_500, help="docstrings: rows of each library (default %(default)s)")
    parser.add_argument("--seed", type=int, default=42)
    return parser


@dataclass(kw_only=True)
class PrepareResult(CommandResult):
    """What `prepare` wrote.

    Attributes:
        tables: names or folders by split, and `labels`; rows: how many by split.
        profile: where the profile lies: a file, or a table.
        seconds: the whole command.
    """

    command = "prepare"
    tables: dict[str, str]
    rows: dict[str, int]
    profile: str
    seconds: float


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Call `prepare` with the flags' values."""
    from sparknlp_tx.data.corpora import Source
    from sparknlp_tx.data.delimited import Dialect

    source = Source(
        source=options.source,
        path=options.path,
        config=options.hub_config,
        text=options.text_col,
        text_pair=options.text_pair_col,
        label=options.label_col,
        limit=options.limit,
        label_type=options.label_type,
        dialect=Dialect(
            options.encoding,
            _character(options.sep, "--sep"),
            options.quote and _character(options.quote, "--quote"),
            _character(options.escape, "--escape"),
        ),
    )
    return prepare(
        spark,
        source=source,
        output=options.output,
        name=options.name,
        checkpoint=options.checkpoint,
        seed=options.seed,
        explain=options.explain,
    ).as_dict()


def prepare(
    spark: SparkSession,
    *,
    source: "Source | str",
    output: str,
    name: str | None = None,
    checkpoint: str | None = None,
    seed: int = 42,
    explain: bool = False,
) -> PrepareResult | Explained:
    """Write a corpus as Delta tables and profile it.

    Args:
        source: what to read, or its name alone.
        output: a folder, or `catalog.schema`.
        name: prefix of the tables in a schema; default from the source.
        checkpoint: whose sub-words the profile counts as well; default none.
        seed: of the splits and of the rows' order.

    Raises:
        InputError: the source cannot be read as it was written, or the output is no place for tables; nothing was written.
    """
    from sparknlp_tx.data.corpora import Source, read_corpus
    from sparknlp_tx.data.prepared_tables import ready, write_corpus
    from sparknlp_tx.data.profile import profile, save_profile

    begin = time.monotonic()
    source = Source(source) if isinstance(source, str) else source
    _check_output(spark, output, source.path or source.source)
    if checkpoint:
        from sparknlp_tx.training.checkpoint import check_checkpoint

        check_checkpoint(checkpoint)
    splits = read_corpus(spark, source)
    if explain:
        return _explained(splits, output)
    corpus = ready(spark, splits, seed)
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(profile, corpus.splits, checkpoint) if corpus.is_small else None
        written = write_corpus(spark, corpus, output, name or _short_name(source.source))
        read = {split: tables.read_table(spark, table) for split, table in written.items() if split != "labels" and not early}
        report = early.result() if early else profile(read, checkpoint)
    kept = save_profile(spark, report, output, name or _short_name(source.source))
    print_profile(report)
    rows = {split: part["rows"] for split, part in report["splits"].items()}
    for split in (split for split, number in rows.items() if not number):
        say(f"warning: {split} has no rows: there are too few to take some; leave --{split} out in train")
    return PrepareResult(tables=written, rows=rows, profile=kept, seconds=since(begin))


def _explained(splits: dict[str, DataFrame], output: str) -> Explained:
    """What would be read, without writing it."""
    columns = {split: [f"{name} {kind}" for name, kind in df.dtypes] for split, df in splits.items()}
    for split, named in columns.items():
        say(f"{split}: {', '.join(named)}")
    missing = [split for split in ("validation", "test") if split not in splits]
    say(f"to {output}" + (f", with {' and '.join(missing)} carved out of train" if missing else ""))
    return Explained("prepare", {"splits": columns, "output": output, "carved": missing})


def _character(text: str | None, flag: str) -> str | None:
    """A separator as people write it: `;`, `tab` or `\\t`."""
    found = {"tab": "\t", "\\t": "\t"}.get(text or "", text)
    if found is not None and len(found) != 1:
        raise InputError(f"one character for {flag}", repr(text), "Such as ';' or tab.")
    return found


def _short_name(source: str) -> str:
    """`data/tickets.v2.csv.gz`, `main.raw.tickets` and `org/tickets` to `tickets_v2` and `tickets`."""
    last = source.rstrip("/").rpartition("/")[2]
    for _ in range(2):
        last = re.sub(r"\.(csv|tsv|json|jsonl|ndjson|parquet|gz|bz2|xz|zst)$", "", last, flags=re.IGNORECASE)
    last = last if is_path(source) or os.path.exists(source) else last.rpartition(".")[2]
    return re.sub(r"\W+", "_", last, flags=re.ASCII).strip("_") or "corpus"


def _check_output(spark: SparkSession, output: str, read: str) -> None:
    """Raise InputError where the output is no place for tables, or is what is read."""
    if not is_path(output):
        if not spark.catalog.databaseExists(output):
            remedy = f"Create it: CREATE SCHEMA {output}. For a folder write ./{output}."
            raise InputError(f"a schema {output!r}", "none of that name", remedy)
        target = output + "."
    else:
        target = full_path(output) + "/"
    read = full_path(read) + "/" if is_path(read) else read
    if read.startswith(target):
        raise InputError("an output that is not what is read", output, "Name another folder or schema.")


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
