"""A Spark DataFrame to Arrow files of tokens on the driver's disk, labels indexed, memory-mapped as a datasets.Dataset.

Executors tokenise, all at once, pack what they have into binary rows and keep these on their disks; the driver takes some megabytes
at a time and appends them to a file: that is what it holds in memory, however large the table and its partitions are.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from sparknlp_tx.data.label_counts import LabelCounts
from sparknlp_tx.data.splits import VALIDATION
from sparknlp_tx.data.staging_tasks import pack
from sparknlp_tx.data.text_columns import invalid_text
from sparknlp_tx.data.training_rows import TrainingColumns
from sparknlp_tx.errors import InputError
from sparknlp_tx.files import check_space, link_file
from sparknlp_tx.inference.decision_rules import REGRESSION
from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.progress import Progress

if TYPE_CHECKING:
    import datasets

ROW_BYTES, CHARACTER_BYTES = 64, 1.5  # on the disk, at most: 5 bytes a token, which has 4 to 5 characters
RECEIVED_BYTES = 16 * 1024 * 1024  # that the driver takes at a time
SAMPLED_ROWS = 2_000  # training rows, and validation rows, whose texts are kept: to try the export on, and to calibrate int8


def stage(
    df: DataFrame, columns: TrainingColumns, labels: LabelCounts, tokenizer: ModelLocation, directory: Path
) -> tuple["datasets.Dataset", "datasets.Dataset | None"]:
    """Tokenise a table on the executors and stream the tokens to files in a folder of the driver.

    Args:
        tokenizer: where executors find the folder that `save_tokenizer` wrote.

    Returns:
        The training rows and the validation rows (None without a validation column), memory-mapped, in the table's order, with
        `input_ids`, `length`, `labels` and, where there are such, `token_type_ids` and `weight` (float64). A label is its index,
        int64; of several a row a list of them; for regression the target, float64. Some 2,000 rows of each have their `text` (and
        `text_pair`), the others null.

    Raises:
        InputError: the folder's disk is too small, or there are no rows for training or none for validation.
    """
    files = [_File(directory / "train.arrow"), _File(directory / "validation.arrow")]
    if (directory / "staged").exists():  # by a fit that was killed later
        return files[0].dataset(), files[1].dataset()
    needed = labels.rows * ROW_BYTES + labels.characters * CHARACTER_BYTES
    check_space(directory, needed, "the tokens of the training table")
    df = columns.select(df.filter(~invalid_text(df, columns.texts)))
    every, every_validation = (max(1, rows // SAMPLED_ROWS) for rows in (labels.train, labels.rows - labels.train))
    packer = partial(pack, tokenizer=tokenizer, sampling=(every, every_validation))
    packed = df.mapInArrow(packer, "part int, number int, batch binary")
    _receive(packed, columns, labels, files)
    train, validation = (file.dataset() for file in files)
    if train is None:
        raise InputError("rows to train on", "validation rows only", "Mark fewer rows in validationIndicatorCol.")
    if columns.validation and validation is None:
        found, remedy = "none of them true", "Mark some, or unset validationIndicatorCol."
        if columns.validation == VALIDATION:  # rows of one text stay together
            found, remedy = "too few different texts to carve some out", "Raise validationFraction, or set it to 0."
        raise InputError(f"validation rows, in {columns.validation!r}", found, remedy)
    (directory / "staged").touch()
    return train, validation


def stage_once(
    df: DataFrame, columns: TrainingColumns, labels: LabelCounts, tokenizer: ModelLocation, directory: Path, shared: Path
) -> None:
    """Have the staged rows in a folder by links to those that another fit of the same rows and tokenizer has staged, or stages now.

    Args:
        shared: the folder of all of them: a folder for each tokenizer, which knows maxLength, and kind of labels.
    """
    if (directory / "staged").exists():
        return
    told = json.dumps([tokenizer.key, columns, asdict(labels)], sort_keys=True)
    folder = shared / hashlib.sha256(told.encode()).hexdigest()[:16]
    with _staging_shared:
        folder.mkdir(parents=True, exist_ok=True)
        stage(df, columns, labels, tokenizer, folder)
    for name in ("train.arrow", "validation.arrow", "staged"):  # the last one says that the others are whole
        if (folder / name).exists():
            link_file(str(folder / name), str(directory / name))


_staging_shared = threading.Lock()


def _batches(packed: DataFrame) -> Iterator[bytes]:
    """The packed batches in their order, some megabytes of them at a time.

    Until then the executors keep them on their disks, if the session can. `toLocalIterator` alone would have them work one after
    another, and Spark 4.2 keeps all that it has given in the driver's heap, until it is through.
    """
    try:
        packed.persist(StorageLevel.DISK_ONLY)
    except PySparkException:  # serverless sessions keep nothing
        yield from (bytes(row["batch"]) for row in packed.toLocalIterator(prefetchPartitions=False))
        return
    try:
        sizes = packed.select("part", "number", F.length("batch").alias("size")).collect()
        group: list[Row] = []
        held = 0
        for row in [*sorted(sizes), None]:
            if group and (row is None or held + row["size"] > RECEIVED_BYTES):
                yield from _fetched(packed, group[0], group[-1])
                group, held = [], 0
            if row is not None:
                group.append(row)
                held += row["size"]
    finally:
        packed.unpersist()


def _fetched(packed: DataFrame, first: Row, last: Row) -> Iterator[bytes]:
    """The batches from one to another, both included."""
    place = F.struct("part", "number")
    begin, end = (F.struct(*(F.lit(row[name]).alias(name) for name in ("part", "number"))) for row in (first, last))
    among = packed.filter(F.col("part").between(first["part"], last["part"]) & (place >= begin) & (place <= end))
    for row in sorted(among.collect()):
        yield bytes(row["batch"])


def _receive(packed: DataFrame, columns: TrainingColumns, labels: LabelCounts, files: list["_File"]) -> None:
    """Append the packed rows to the files of training and validation rows."""
    names = pa.array(labels.labels, pa.string())
    progress = Progress("staging", labels.rows, "rows")
    for batch in _batches(packed):
        with pa.ipc.open_stream(batch) as stream:
            table = stream.read_all()
        label = table["label"].combine_chunks()
        table = table.append_column("labels", label if columns.problem_type == REGRESSION else _indices(label, names))
        table = table.drop_columns("label")
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


def _indices(labels: pa.Array, names: pa.Array) -> pa.Array:
    """Names, or lists of names, to their indices among all names."""
    several = pa.types.is_list(labels.type)
    found = pc.index_in((labels.flatten() if several else labels).cast(pa.string()), value_set=names).cast(pa.int64())
    if found.null_count or labels.null_count:
        raise InputError("the labels counted before", "rows with others", "The table has changed during the fit: fit again.")
    if not several:
        return found
    lengths = pc.list_value_length(labels).to_numpy()
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32()), found)


def with_texts(rows: "datasets.Dataset") -> "datasets.Dataset":
    """Those of the staged rows that have their texts."""
    return rows.select(np.flatnonzero(pc.is_valid(rows.data["text"]).to_numpy()))


def staged_texts(rows: "datasets.Dataset") -> list[str] | list[tuple[str, str]]:
    """The texts of staged rows, or their (text, pair) tuples."""
    if "text_pair" in rows.column_names:
        return list(zip(rows["text"], rows["text_pair"], strict=True))
    return rows["text"][:]


class _File:
    """An Arrow file that tables are appended to."""

    def __init__(self, path: Path):
        self._path, self.rows = path, 0
        self._writer: Any = None

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
            self._path.unlink(missing_ok=True)  # of a fit that was killed

    def dataset(self) -> "datasets.Dataset | None":
        """The rows, memory-mapped; None where there are none."""
        import datasets

        if not self._path.is_file():
            return None
        return datasets.Dataset.from_file(str(self._path))
