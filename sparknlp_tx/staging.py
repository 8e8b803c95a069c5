"""A Spark DataFrame to Arrow files on the driver's disk, labels indexed, memory-mapped as a datasets.Dataset.

Executors pack each Arrow batch into binary rows, the driver takes them one by one and appends them to a file: what it holds in
memory at a time is one partition in the JVM and one batch in Python, however large the table is.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.errors import InputError
from sparknlp_tx.evaluation import label_name
from sparknlp_tx.progress import Progress

if TYPE_CHECKING:
    import datasets

MAX_LABELS = 10_000
PACKED_BYTES = 8 * 1024 * 1024


class TrainingColumns(NamedTuple):
    """Names of the columns to train on; None where there is none."""

    text: str
    label: str
    text_pair: str | None = None
    weight: str | None = None
    validation: str | None = None

    def select(self, df: DataFrame) -> DataFrame:
        """The columns under the names that `training.fine_tune` reads, the label as its name."""
        columns = {"text": text_column(self.text), "label": label_name(self.label, df)}
        if self.text_pair:
            columns["text_pair"] = text_column(self.text_pair)
        if self.weight:
            columns["weight"] = _column(self.weight).cast("double")
        if self.validation:
            columns["validation"] = F.coalesce(_column(self.validation), F.lit(False))
        return df.select(*(column.alias(name) for name, column in columns.items()))


class LabelCounts(NamedTuple):
    """What one aggregation says of a training table: labels in order, rows of each, rows left out for want of a text."""

    labels: list[str]
    rows: list[int]
    invalid: int


def learn_labels(df: DataFrame, columns: TrainingColumns) -> LabelCounts:
    """The labels of a table, in one aggregation: names sorted as text, numbers by value, false before true.

    Raises:
        InputError: an empty table, null labels, one label only, more than 10,000 labels, or fractions as labels.
    """
    invalid = invalid_text(columns.text, columns.text_pair)
    held_out = F.coalesce(_column(columns.validation), F.lit(False)) if columns.validation else F.lit(False)
    counts = (
        df.groupBy(_column(columns.label).alias("value"), label_name(columns.label, df).alias("name"))
        .agg(
            F.count(F.lit(1)).alias("rows"),
            F.sum(invalid.cast("long")).alias("invalid"),
            F.sum((~invalid & ~held_out).cast("long")).alias("train"),
        )
        .limit(MAX_LABELS + 1)
        .collect()
    )
    where = f"labelCol {columns.label!r}"
    if not counts:
        raise InputError("rows to train on", "an empty table", "Check the table and its filters.")
    if len(counts) > MAX_LABELS:
        raise InputError(f"at most {MAX_LABELS:,} labels in {where}", "more than that", "Is it the text or an identifier?")
    for row in counts:
        if row["name"] is None:
            raise InputError(
                f"a label in every row of {where}", f"{row['rows']} rows with null", "Fill them in, or filter them out."
            )
        if isinstance(row["value"], float) and not row["value"].is_integer():
            raise InputError(f"whole numbers or names in {where}", f"{row['value']}", "Round it, or turn it into names.")
    counts.sort(key=lambda row: row["value"])
    trained = [row for row in counts if row["train"]]
    unknown = [row["name"] for row in counts if row["rows"] > row["invalid"] and not row["train"]]
    if trained and unknown:
        remedy = "Filter them out, or put some of their rows among the training rows."
        raise InputError("validation rows with labels of the training rows", f"{', '.join(unknown[:5])} as well", remedy)
    if len(trained) < 2:
        found = f"only {trained[0]['name']!r}" if trained else "validation rows only" if unknown else "no row with a text"
        raise InputError(f"at least two labels in {where}", found, "Check the column and the table's filters.")
    return LabelCounts(
        [row["name"] for row in trained],
        [row["rows"] - row["invalid"] for row in trained],
        sum(row["invalid"] for row in counts),
    )


def invalid_text(text: str, text_pair: str | None) -> Column:
    """Whether a row has no text to work with: null or empty, or so its second text."""
    invalid = F.coalesce(_column(text), F.lit("")) == ""
    return invalid | (F.coalesce(_column(text_pair), F.lit("")) == "") if text_pair else invalid


def text_column(name: str) -> Column:
    """A text column; bytes in it that are no UTF-8, as a cast from binary can leave them, become U+FFFD."""
    return F.make_valid_utf8(_column(name))


def stage(
    df: DataFrame, columns: TrainingColumns, labels: LabelCounts, directory: Path
) -> tuple["datasets.Dataset", "datasets.Dataset | None"]:
    """Stream a table to files in a folder of the driver.

    Returns:
        The training rows and the validation rows (None without a validation column), memory-mapped, in the table's order, with
        `text`, `label` (int64, index into the labels) and, where there are such columns, `text_pair` and `weight` (float64).
    """
    df = columns.select(df.filter(~invalid_text(columns.text, columns.text_pair)))
    packed = df.mapInArrow(_pack, "batch binary")
    names = pa.array(labels.labels, pa.string())
    files = [_File(directory / "train.arrow"), _File(directory / "validation.arrow")]
    progress = Progress("staging", sum(labels.rows), "rows")
    for row in packed.toLocalIterator(prefetchPartitions=False):
        with pa.ipc.open_stream(bytes(row["batch"])) as stream:
            table = stream.read_all()
        indices = pc.index_in(table["label"].cast(pa.string()), value_set=names)
        if indices.null_count:
            raise InputError("the labels counted before", "rows with others", "The table was written to meanwhile: fit again.")
        table = table.set_column(1, "label", indices.cast(pa.int64()))
        if columns.validation:
            marked = table["validation"]
            table = table.drop_columns("validation")
            files[1].append(table.filter(marked))
            table = table.filter(pc.invert(marked))
        files[0].append(table)
        progress.update(sum(file.rows for file in files))
    progress.close()
    train, validation = (file.dataset() for file in files)
    if train is None:
        raise InputError("rows to train on", "validation rows only", "Mark fewer rows in validationIndicatorCol.")
    if columns.validation and validation is None:
        raise InputError(
            f"validation rows marked by {columns.validation!r}",
            "none of them true",
            "Mark some, or unset validationIndicatorCol.",
        )
    return train, validation


def staged_texts(rows: "datasets.Dataset") -> list[str] | list[tuple[str, str]]:
    """The texts of staged rows, or their (text, pair) tuples."""
    if "text_pair" in rows.column_names:
        return list(zip(rows["text"], rows["text_pair"], strict=True))
    return rows["text"][:]


class _File:
    """An Arrow file that tables are appended to."""

    def __init__(self, path: Path):
        self._path, self._writer, self.rows = path, None, 0

    def append(self, table: pa.Table) -> None:
        if not len(table):
            return
        if self._writer is None:
            self._writer = pa.ipc.new_stream(str(self._path), table.schema)
        self._writer.write_table(table)
        self.rows += len(table)

    def dataset(self) -> "datasets.Dataset | None":
        """The rows, memory-mapped; None where there are none."""
        import datasets

        if self._writer is None:
            return None
        self._writer.close()
        return datasets.Dataset.from_file(str(self._path))


def _pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Arrow batches to rows of one binary column, each an Arrow stream of at most about 8 MB."""
    for batch in batches:
        if not batch.num_rows:
            continue
        size = max(1, math.floor(batch.num_rows * PACKED_BYTES / max(batch.nbytes, 1)))
        for start in range(0, batch.num_rows, size):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as writer:
                writer.write_batch(batch.slice(start, size))
            yield pa.RecordBatch.from_arrays([pa.array([sink.getvalue().to_pybytes()], pa.binary())], ["batch"])


def _column(name: str) -> Column:
    return F.col(f"`{name}`")
