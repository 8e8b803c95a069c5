"""A Spark DataFrame to Arrow files on the driver's disk, labels indexed, memory-mapped as a datasets.Dataset.

Executors pack each Arrow batch into binary rows, the driver takes them one by one and appends them to a file: what it holds in
memory at a time is one partition in the JVM and one batch in Python, however large the table is.
"""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from sparknlp_tx.decisions import MULTI, REGRESSION, SINGLE
from sparknlp_tx.errors import InputError
from sparknlp_tx.labels import LabelCounts, label_name, label_names, learn_labels
from sparknlp_tx.progress import Progress

if TYPE_CHECKING:
    import datasets

CARVED = "__validation"
PACKED_BYTES = 8 * 1024 * 1024


class TrainingColumns(NamedTuple):
    """Names of the columns to train on, None where there is none; and the kind of task."""

    text: str
    label: str
    text_pair: str | None = None
    weight: str | None = None
    validation: str | None = None
    problem_type: str = SINGLE

    def learn_labels(self, df: DataFrame) -> LabelCounts:
        """The labels of a table, in one aggregation.

        Raises:
            InputError: they cannot be learnt from; says why, and what to do.
        """
        held_out = F.coalesce(_column(self.validation), F.lit(False)) if self.validation else F.lit(False)
        weight = _column(self.weight).cast("double") if self.weight else F.lit(1.0)
        bad_weight = weight.isNull() | F.isnan(weight) | (weight < 0)
        if self.validation:  # validation rows need no weight
            bad_weight = bad_weight & ~held_out
        invalid = invalid_text(self.text, self.text_pair)
        return learn_labels(df, self.label, self.problem_type, invalid, held_out, bad_weight)

    def select(self, df: DataFrame) -> DataFrame:
        """The columns under the names that `training.fine_tune` reads, labels as their names, targets as doubles."""
        named = {SINGLE: label_name, MULTI: label_names}.get(self.problem_type)
        label = named(self.label, df) if named else _column(self.label).cast("double")
        columns = {"text": text_column(self.text), "label": label}
        if self.text_pair:
            columns["text_pair"] = text_column(self.text_pair)
        if self.weight:
            columns["weight"] = F.coalesce(_column(self.weight).cast("double"), F.lit(1.0))  # validation rows may have none
        if self.validation:
            columns["validation"] = F.coalesce(_column(self.validation), F.lit(False))
        return df.select(*(column.alias(name) for name, column in columns.items()))


def carve_validation(df: DataFrame, columns: TrainingColumns, fraction: float, seed: int) -> tuple[DataFrame, TrainingColumns]:
    """Mark a part of the rows for validation, of each label the same part where a row has one.

    Which rows hangs on their texts, their label and the seed alone; equal texts of a label stay on one side.
    """
    texts = [name for name in (columns.text, columns.text_pair) if name]
    draw = F.xxhash64(F.lit(seed), *(F.coalesce(_column(name), F.lit("")) for name in texts))
    if columns.problem_type == SINGLE:
        place = F.cume_dist().over(Window.partitionBy(_column(columns.label)).orderBy(draw))
    else:
        place = (F.pmod(draw, F.lit(1_000_000)) + 1) / 1_000_000
    return df.withColumn(CARVED, place <= fraction), columns._replace(validation=CARVED)


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
        `text`, `label` and, where there are such columns, `text_pair` and `weight` (float64). A label is its index, int64; of
        several a row a list of them; for regression the target, float64.
    """
    files = [_File(directory / "train.arrow"), _File(directory / "validation.arrow")]
    if (directory / "staged").exists():  # by a fit that was killed later
        return files[0].dataset(), files[1].dataset()
    df = columns.select(df.filter(~invalid_text(columns.text, columns.text_pair)))
    packed = df.mapInArrow(_pack, "batch binary")
    names = pa.array(labels.labels, pa.string())
    index = _targets if columns.problem_type == REGRESSION else partial(_indices, names=names)
    progress = Progress("staging", labels.rows, "rows")
    for row in packed.toLocalIterator(prefetchPartitions=False):
        with pa.ipc.open_stream(bytes(row["batch"])) as stream:
            table = stream.read_all()
        table = table.set_column(1, "label", index(table["label"].combine_chunks()))
        if columns.validation:
            marked = table["validation"]
            table = table.drop_columns("validation")
            files[1].append(table.filter(marked))
            table = table.filter(pc.invert(marked))
        files[0].append(table)
        progress.update(sum(file.rows for file in files))
    progress.close()
    for file in files:
        file.close()
    train, validation = (file.dataset() for file in files)
    if train is None:
        raise InputError("rows to train on", "validation rows only", "Mark fewer rows in validationIndicatorCol.")
    if columns.validation and validation is None:
        raise InputError(
            f"validation rows marked by {columns.validation!r}",
            "none of them true",
            "Mark some, or unset validationIndicatorCol.",
        )
    (directory / "staged").touch()
    return train, validation


def fingerprint(df: DataFrame, columns: TrainingColumns) -> dict[str, Any]:
    """The number of rows to train on and a hash of them all, whatever their order; one aggregation."""
    rows = columns.select(df)
    row = rows.agg(
        F.count(F.lit(1)).alias("rows"), F.sum(F.xxhash64(*rows.columns).cast("decimal(38,0)")).cast("string").alias("hash")
    ).collect()[0]
    return row.asDict()


def _indices(labels: pa.Array, names: pa.Array) -> pa.Array:
    """Names, or lists of names, to their indices among all names."""
    several = pa.types.is_list(labels.type)
    found = pc.index_in((labels.flatten() if several else labels).cast(pa.string()), value_set=names).cast(pa.int64())
    if found.null_count or labels.null_count:
        raise InputError("the labels counted before", "rows with others", "The table was written to meanwhile: fit again.")
    if not several:
        return found
    lengths = pc.list_value_length(labels).to_numpy()
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32()), found)


def _targets(labels: pa.Array) -> pa.Array:
    return labels


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

    def close(self) -> None:
        """No more rows will come."""
        if self._writer is not None:
            self._writer.close()
        else:
            self._path.unlink(missing_ok=True)  # of a fit that was killed meanwhile

    def dataset(self) -> "datasets.Dataset | None":
        """The rows, memory-mapped; None where there are none."""
        import datasets

        if not self._path.is_file():
            return None
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
