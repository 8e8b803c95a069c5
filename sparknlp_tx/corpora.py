"""Text corpora by name or place, as DataFrames of `text`, perhaps `text_pair`, and `label`; one a split.

A source is `docstrings`, a name that is known here, a file or folder (csv, tsv, json lines, parquet), a Delta table, or a data
set on the Hugging Face hub (Parquet-backed, as datasets 4 and later want them).
"""

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknlp_tx import tables
from sparknlp_tx.artifact import local_path, temporary_directory
from sparknlp_tx.docstrings import docstring_rows
from sparknlp_tx.errors import InputError, nearest

if TYPE_CHECKING:
    import datasets

EMOTIONS = [
    "anger",
    "anticipation",
    "disgust",
    "fear",
    "joy",
    "love",
    "optimism",
    "pessimism",
    "sadness",
    "surprise",
    "trust",
]  # SemEval 2018 task 1, subtask E-c
TEXT_NAMES = ("text", "sentence", "Tweet", "tweet", "sms", "content", "review", "message", "body")
LABEL_NAMES = ("label_text", "label", "labels", "category", "class", "target", "intent", "sentiment")
READERS = {"csv": "csv", "tsv": "csv", "json": "json", "jsonl": "json", "parquet": "parquet"}
SPLITS = {  # GLUE's mnli has two of each: the matched one is the usual one
    "validation_mismatched": r"(validation|dev)_mismatched",
    "test_mismatched": r"test_mismatched",
    "train": r"train(ing)?",
    "validation": r"(validation|valid|val|dev)(_matched)?",
    "test": r"test(_matched)?",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corpus:
    """A known data set: where the hub has it, in Parquet, and which of its columns are what."""

    hub: str
    config: str | None = None
    revision: str | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    indicators: tuple[str, ...] = ()  # boolean columns, one a label, that make a multi-label column


def _glue(task: str, text: str, text_pair: str | None = None) -> Corpus:
    return Corpus("nyu-mll/glue", task, text=text, text_pair=text_pair, label="label")


CORPORA = {
    "imdb": Corpus("stanfordnlp/imdb"),
    "banking77": Corpus("mteb/banking77"),
    "tweet_emotions": Corpus(
        "SemEvalWorkshop/sem_eval_2018_task_1", "subtask5.english", "refs/convert/parquet", indicators=tuple(EMOTIONS)
    ),
    "sms_spam": Corpus("ucirvine/sms_spam"),
    "amazon_polarity": Corpus("fancyzhx/amazon_polarity", text="content", label="label"),
    "glue/cola": _glue("cola", "sentence"),
    "glue/sst2": _glue("sst2", "sentence"),
    "glue/mrpc": _glue("mrpc", "sentence1", "sentence2"),
    "glue/qqp": _glue("qqp", "question1", "question2"),
    "glue/stsb": _glue("stsb", "sentence1", "sentence2"),
    "glue/mnli": _glue("mnli", "premise", "hypothesis"),
    "glue/qnli": _glue("qnli", "question", "sentence"),
    "glue/rte": _glue("rte", "sentence1", "sentence2"),
    "glue/wnli": _glue("wnli", "sentence1", "sentence2"),
    "glue/ax": _glue("ax", "premise", "hypothesis"),
}


@dataclass(frozen=True)
class Source:
    """What to read, and the columns where they are not to be guessed.

    Args:
        source: see the head of this module.
        path: for a known name: read this file or folder instead of the hub.
        config: configuration of a hub data set.
        text, text_pair, label: columns; default: what is known or usual.
        limit: of the docstrings: at most so many rows of each library.
    """

    source: str
    path: str | None = None
    config: str | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    limit: int = 1_500


def read_corpus(spark: SparkSession, source: Source) -> dict[str, DataFrame]:
    """The splits of a source, each with `text` (string), perhaps `text_pair` (string), and `label`.

    `label` is a string, an integer, a double (regression), or `array<string>` (multi-label). Data without splits are `train`.

    Raises:
        InputError: there is no such source, or a column is missing.
    """
    corpus = CORPORA.get(source.source, Corpus(source.source, source.config))
    splits = {}
    for name, df in _read_splits(spark, source, corpus).items():
        split = _split_of(name)
        if split is None:
            log.warning("split %r is left out: it is none of %s", name, ", ".join(SPLITS))
            continue
        df = _normalise(df, source, corpus)
        if source.source.startswith("glue/") and df.schema["label"].dataType.typeName() in ("long", "integer"):
            df = df.withColumn("label", F.expr("nullif(label, -1)"))  # a label that GLUE does not tell
        splits[split] = df
    return splits


def _read_splits(spark: SparkSession, source: Source, corpus: Corpus) -> dict[str, DataFrame]:
    name = source.path or source.source
    if name == "docstrings":
        return {"train": spark.createDataFrame(docstring_rows(source.limit), "text string, label string")}
    if source.path is None and source.source in CORPORA:
        return _read_hub(spark, corpus)
    if tables.has_scheme(name) or os.path.exists(name):
        return _read_files(spark, name)
    if source.path is not None or name.startswith((".", "/")):
        raise InputError("a file or a folder", f"nothing at {name}", "Check the path.")
    if not tables.is_path(name) and spark.catalog.tableExists(name):
        return {"train": tables.read_table(spark, name)}
    if not tables.is_path(name) or name.startswith("glue/"):
        expected = "docstrings, a known name, a file or folder, a table, or org/name on the hub"
        raise InputError(expected, repr(name), nearest(name, ["docstrings", *CORPORA]))
    return _read_hub(spark, corpus)


def _read_files(spark: SparkSession, path: str) -> dict[str, DataFrame]:
    """The files and Delta tables of a path by split; files of one split are read together."""
    if tables.has_scheme(path) or Path(path, "_delta_log").is_dir():
        return {"train": tables.read_table(spark, path)}
    root = local_path(path)
    found = {
        split: tables.read_table(spark, str(folder)) for folder in _delta_folders(root) if (split := _split_of(folder.name))
    }
    if found:
        return found
    files = [root] if root.is_file() else sorted(file for file in root.rglob("*") if file.is_file())
    groups: dict[str, list[Path]] = {}
    for file in files:
        inside = file.relative_to(root).parts
        if file.suffix.lstrip(".") in READERS and not any(part.startswith(("_", ".")) for part in inside):
            groups.setdefault(_split_of("/".join(inside)) or "", []).append(file)
    if not groups:
        there = ", ".join(file.name for file in files[:8]) or "no files"
        raise InputError(f"csv, tsv, json lines or parquet files in {path}", there, "Give another path, or a Delta table.")
    if "" in groups:
        if "train" in groups:
            other = ", ".join(file.name for file in groups[""][:5])
            raise InputError(
                "files named by split (train, validation, test), or none of them", f"{other} beside", "Rename them."
            )
        groups["train"] = groups.pop("")
    return {split: _read_group(spark, group) for split, group in groups.items()}


def _delta_folders(root: Path) -> list[Path]:
    """The Delta tables right below a folder."""
    return sorted(log.parent for log in root.glob("*/_delta_log")) if root.is_dir() else []


def _split_of(where: str) -> str | None:
    """The split that a path names: `test.csv`, `train-00000-of-00002.parquet`, `validation/part-0.json`."""
    for part in reversed(Path(where).parts):
        for split, pattern in SPLITS.items():
            if re.match(rf"({pattern})([-_.\d].*)?$", part, re.IGNORECASE):
                return split
    return None


def _read_group(spark: SparkSession, files: list[Path]) -> DataFrame:
    suffixes = sorted({file.suffix for file in files})
    if len(suffixes) > 1:
        raise InputError("files of one kind for a split", f"{' and '.join(suffixes)} in {files[0].parent}", "Move some away.")
    suffix = suffixes[0].lstrip(".")
    reader = spark.read.format(READERS[suffix])
    if READERS[suffix] == "csv":
        separator = "\t" if suffix == "tsv" else ","
        reader = reader.options(header=True, multiLine=True, quote='"', escape='"', sep=separator)
    return reader.load([str(file) for file in files])


def _read_hub(spark: SparkSession, corpus: Corpus) -> dict[str, DataFrame]:
    """A data set of the hub, by way of Parquet files in a temporary folder; class labels become their names."""
    import datasets

    try:
        loaded = datasets.load_dataset(corpus.hub, corpus.config, revision=corpus.revision)
    except Exception as error:  # the hub's clients raise many kinds
        raise InputError(
            f"data set {corpus.hub!r} from the Hugging Face hub",
            f"{type(error).__name__}: {str(error).strip().splitlines()[0]}",
            "Check its name and the network; with the files at hand give --path FOLDER.",
        ) from error
    folder = temporary_directory("hub")
    return {split: _to_spark(spark, rows, folder / f"{split}.parquet") for split, rows in loaded.items()}


def _to_spark(spark: SparkSession, rows: "datasets.Dataset", file: Path) -> DataFrame:
    rows.to_parquet(str(file))
    df = spark.read.parquet(str(file))
    for column, feature in rows.features.items():
        names = getattr(feature, "names", None)
        if names:  # a ClassLabel; -1 stands for a label that is not told
            df = df.withColumn(column, F.when(F.col(column) >= 0, F.array(*map(F.lit, names))[F.col(column).cast("int")]))
    return df


def _normalise(df: DataFrame, source: Source, corpus: Corpus) -> DataFrame:
    """The columns under the names that the estimator has by default."""
    text = _pick(df, "text", source.text, corpus.text, TEXT_NAMES)
    pair = source.text_pair or (corpus.text_pair if not source.text else None)
    columns = {"text": F.col(f"`{text}`").cast("string")}
    if pair:
        columns["text_pair"] = F.col(f"`{_pick(df, 'text pair', pair, None, ())}`").cast("string")
    if not source.label and corpus.indicators and set(corpus.indicators) <= set(df.columns):
        named = [F.when(F.col(name).cast("boolean"), F.lit(name)) for name in corpus.indicators]
        columns["label"] = F.filter(F.array(*named), lambda name: name.isNotNull())
    else:
        columns["label"] = F.col(f"`{_pick(df, 'label', source.label, corpus.label, LABEL_NAMES)}`")
    return df.select(*(column.alias(name) for name, column in columns.items()))


def _pick(df: DataFrame, what: str, given: str | None, known: str | None, usual: tuple[str, ...]) -> str:
    if given and given not in df.columns:
        raise InputError(f"{what} column {given!r}", f"columns {', '.join(df.columns)}", nearest(given, df.columns))
    for name in (given, known, *usual):
        if name and name in df.columns:
            return name
    option = f"--{what.replace(' ', '-')}-col"
    raise InputError(
        f"a {what} column, such as {', '.join(usual[:4])}", f"columns {', '.join(df.columns)}", f"Name it: {option}."
    )
