"""Text corpora by name or place, as DataFrames of `text`, perhaps `text_pair`, and `label`; one a split.

A source is `docstrings`, a name that is known here, a file or folder (csv, tsv, json lines, parquet), a Delta table, or a data
set on the Hugging Face hub (Parquet-backed, as datasets 4 and later want them).
"""

import logging
import os
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, StructType

from sparknlp_tx.data.delimited import Dialect
from sparknlp_tx.data.docstring_corpus import docstring_rows
from sparknlp_tx.data.readers import SPLITS, read_files, read_hub, split_of
from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.spark import tables
from sparknlp_tx.spark.named_columns import column_of, find_column
from sparknlp_tx.spark.table_names import has_scheme, is_path

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
        dialect: how delimited files are written, where it is not to be found out.
        label_type: of Spark's, what labels are cast to, as `double`: all values of csv files are strings.
    """

    source: str
    path: str | None = None
    config: str | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    limit: int = 1_500
    dialect: Dialect = field(default_factory=Dialect)
    label_type: str | None = None


def read_corpus(spark: SparkSession, source: Source) -> dict[str, DataFrame]:
    """The splits of a source, each with `text` (string), perhaps `text_pair` (string), and `label`.

    `label` is a string, an integer, a double (regression), or `array<string>` (multi-label). Data without splits are `train`.

    Raises:
        InputError: there is no such source, or a column is missing.
    """
    corpus = CORPORA.get(source.source, Corpus(source.source, source.config))
    splits = {}
    for name, df in _read_splits(spark, source, corpus).items():
        split = split_of(name)
        if split is None:
            log.warning("split %r is left out: it is none of %s", name, ", ".join(SPLITS))
            continue
        if split != "train" and not source.label and _is_unlabelled(df, corpus):
            log.warning("split %r has no labels: it is left out here; `sparknlp-tx score` scores such tables", name)
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
        return read_hub(spark, corpus.hub, corpus.config, corpus.revision)
    if has_scheme(name) or os.path.exists(os.path.expanduser(name)):
        return read_files(spark, name, source.dialect, source.config)
    if source.path is not None or name.startswith((".", "/")):
        raise InputError("a file or a folder", f"nothing at {name}", "Check the path.")
    if not is_path(name) and spark.catalog.tableExists(name):
        return {"train": tables.read_table(spark, name)}
    if not is_path(name) or name.startswith("glue/"):
        expected = "docstrings, a known name, a file or folder, a table, or org/name on the hub"
        raise InputError(expected, repr(name), nearest(name, ["docstrings", *CORPORA]))
    return read_hub(spark, corpus.hub, corpus.config, corpus.revision)


def _normalise(df: DataFrame, source: Source, corpus: Corpus) -> DataFrame:
    """The columns under the names that the estimator has by default."""
    text = _pick(df, "text", source.text, corpus.text, TEXT_NAMES)
    pair = source.text_pair or (corpus.text_pair if not source.text else None)
    columns = {"text": _text(df, text)}
    if pair:
        columns["text_pair"] = _text(df, _pick(df, "text pair", pair, None, ()))
    if not source.label and corpus.indicators and set(corpus.indicators) <= set(df.columns):
        named = [F.when(F.col(name).cast("boolean"), F.lit(name)) for name in corpus.indicators]
        columns["label"] = F.filter(F.array(*named), lambda name: name.isNotNull())
    else:
        label = _pick(df, "label", source.label, corpus.label, LABEL_NAMES)
        _check_plain(df, label, "label")
        columns["label"] = _typed(df, label, source.label_type) if source.label_type else column_of(df, label)
    return df.select(*(column.alias(name) for name, column in columns.items()))


def _is_unlabelled(df: DataFrame, corpus: Corpus) -> bool:
    """Whether a split has no column of labels, as a competition's test rows."""
    there = {name.lower() for name in df.columns}
    usual = {name.lower() for name in (corpus.label, *LABEL_NAMES, *corpus.indicators) if name}
    return not there & usual


def _pick(df: DataFrame, what: str, given: str | None, known: str | None, usual: tuple[str, ...]) -> str:
    """The name of the column for what is wanted, or of a field of a struct."""
    for name in (given, known, *usual):
        if name and find_column(df, name):
            return name
        if name and name == given:
            raise InputError(f"{what} column {given!r}", f"columns {', '.join(df.columns)}", nearest(given, df.columns))
    option = f"--{what.replace(' ', '-')}-col"
    raise InputError(
        f"a {what} column, such as {', '.join(usual[:4])}", f"columns {', '.join(df.columns)}", f"Name it: {option}."
    )


def _typed(df: DataFrame, name: str, kind: str) -> Column:
    """A column of labels as another type.

    Raises:
        InputError: some are none of that type.
    """
    label = column_of(df, name).alias("label")
    cast = F.expr(f"try_cast(label AS {kind})")
    wrong = df.select(label).filter(F.col("label").isNotNull() & cast.isNull()).limit(3).collect()
    if wrong:
        found = ", ".join(repr(row[0]) for row in wrong)
        raise InputError(f"labels of type {kind} in column {name!r}", found, "Mend them, or leave --label-type out.")
    return column_of(df, name).cast(kind)


def _text(df: DataFrame, name: str) -> Column:
    _check_plain(df, name, "text", (ArrayType,))
    return column_of(df, name).cast("string")


def _check_plain(df: DataFrame, name: str, what: str, also: tuple = ()) -> None:
    """Raise InputError where a column of texts or labels holds structs or maps, which would be spelt as such."""
    kind = df.select(column_of(df, name).alias("it")).schema["it"].dataType
    if isinstance(kind, (StructType, MapType, *also)):
        fields = (
            f"Name a field of it: {', '.join(f'{name}.{inner}' for inner in kind.names[:5])}."
            if isinstance(kind, StructType)
            else ""
        )
        raise InputError(f"{what}s in column {name!r}", kind.simpleString()[:80], fields or "Name another column.")
