"""Saved stages on file systems that Spark alone sees (object stores, HDFS): the same files, as a table that Spark writes and reads.

PATH/metadata         Spark ML's metadata, as a text file, written last: `Pipeline.load` reads it there
PATH/files, files-2   the files of model/ in pieces: number (their order), name, content; a Parquet table. The metadata says which
PATH/metadata-next    the metadata once more, of a stage that was saved over another one

Spark removes what it overwrites before it writes. So a stage that is there stays whole until the new one is: its pieces go to the
folder that is not in use, the metadata to `metadata-next`, and only then to `metadata`. A reader that finds no `metadata` takes
`metadata-next`. At last the pieces that are no longer in use are overwritten with none: Spark's API has no way to remove a folder.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from sparknlp_tx.errors import InputError, reason_of
from sparknlp_tx.files import file_hashes, temporary_directory
from sparknlp_tx.inference.model_directory import check_metadata

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

log = logging.getLogger(__name__)

FILES = ("files", "files-2")
METADATA = ("metadata", "metadata-next")
PIECE_SCHEMA = "number long, name string, content binary"
PIECE_BYTES = 8 * 1024 * 1024
PIECES = 4  # that travel at once


def is_remote(path: str) -> bool:
    """Whether a path names a file system of Spark's."""
    return urlparse(str(path)).scheme not in ("", "file")


def write_remote(spark: "SparkSession", path: str, metadata: dict[str, Any], model: Path | None, overwrite: bool) -> None:
    """Write a stage's metadata, and its model directory where it has one; whatever ends it, the old stage or the new one is whole.

    Raises:
        InputError: something is there already and `overwrite` is false, or it is no saved stage; Spark does not know the file
            system.
    """
    there = _metadata(spark, path)
    if there is not None and not overwrite:
        raise InputError(f"nothing at {path} yet", "a saved stage there", "Save elsewhere, or with write().overwrite().")
    old = None if there is None else check_metadata(there, path)
    if old is None and _holds_files(spark, path):
        raise InputError(f"nothing at {path} yet", "files that are no saved stage", "Save elsewhere, or remove them yourself.")
    used = None if old is None else _files_folder(old, path)
    folder = FILES[1] if used == FILES[0] else FILES[0]
    if model is not None:
        metadata = metadata | {"sparknlpTx": metadata["sparknlpTx"] | {"filesFolder": folder}}
        _write_pieces(spark, f"{path}/{folder}", model)
    if there is not None:
        if _text(spark, f"{path}/{METADATA[0]}") is None:  # an earlier save was killed here
            _write_text(spark, f"{path}/{METADATA[0]}", there)
        _write_text(spark, f"{path}/{METADATA[1]}", json.dumps(metadata))
    _write_text(spark, f"{path}/{METADATA[0]}", json.dumps(metadata))
    if used is not None:
        _empty(spark, f"{path}/{used}")


def _files_folder(metadata: dict[str, Any], path: str) -> str | None:
    """The folder with a stage's pieces; None for a stage without any.

    Raises:
        InputError: it is none that `write_remote` writes to.
    """
    own = metadata["sparknlpTx"]
    folder = own.get("filesFolder", FILES[0])
    if folder not in FILES:
        raise InputError(f"files or files-2 as the folder of {path}", repr(folder), "Save or copy the model again.")
    return folder if own.get("files") is not None else None


def _write_pieces(spark: "SparkSession", folder: str, model: Path) -> None:
    """Write the files of a directory as a table, some pieces at a time, in place of what is there."""
    group: list[tuple[int, str, bytearray]] = []
    mode = "overwrite"

    def flush() -> None:
        nonlocal mode
        spark.createDataFrame(group, PIECE_SCHEMA).coalesce(1).write.mode(mode).parquet(folder)
        mode = "append"
        group.clear()

    for piece in _pieces(model):
        group.append(piece)
        if len(group) == PIECES:
            flush()
    if group:
        flush()


def _write_text(spark: "SparkSession", folder: str, text: str) -> None:
    spark.createDataFrame([(text,)], "value string").coalesce(1).write.mode("overwrite").text(folder)


def _empty(spark: "SparkSession", folder: str) -> None:
    """Leave no pieces in a folder; the stage that was saved is whole already, whatever happens here."""
    try:
        spark.createDataFrame([], PIECE_SCHEMA).coalesce(1).write.mode("overwrite").parquet(folder)
    except Exception as error:
        log.warning("The files of the model that was replaced are still in %s: %s", folder, reason_of(error))


def read_remote(spark: "SparkSession", path: str) -> tuple[dict[str, Any], Path]:
    """A stage's metadata, and a temporary folder with the files of its model directory in `model/`.

    Raises:
        InputError: nothing is there, or not what `write_remote` wrote; files are damaged or missing.
    """
    text = _metadata(spark, path)
    if text is None:
        raise InputError(f"a saved stage at {path}", "nothing", "Give the path that save wrote to.")
    metadata = check_metadata(text, path)
    folder = temporary_directory("loaded")
    files = _files_folder(metadata, path)
    if files is not None:
        try:
            _fetch(spark.read.parquet(f"{path}/{files}"), folder / "model")
        except Exception as error:
            if "PATH_NOT_FOUND" in str(error):
                raise InputError(f"the model's files in {path}/{files}", "none", "Save or copy the model again.") from None
            raise
        known, found = metadata["sparknlpTx"]["files"], file_hashes(folder / "model")
        wrong = sorted(name for name in known.keys() | found.keys() if known.get(name) != found.get(name))
        if wrong:
            raise InputError(f"the model's files at {path} as they were", f"others: {', '.join(wrong[:5])}", "Save it again.")
    return metadata, folder


def _metadata(spark: "SparkSession", path: str) -> str | None:
    """The text of a saved stage's metadata; None where there is none."""
    found = (_text(spark, f"{path}/{name}") for name in METADATA)
    return next((text for text in found if text is not None), None)


def _text(spark: "SparkSession", folder: str) -> str | None:
    """The text in a folder; None where there is none, or none yet."""
    try:
        lines = [row[0] for row in spark.read.text(folder).collect()]
    except Exception as error:  # its class depends on the kind of session
        if "PATH_NOT_FOUND" in str(error):
            return None
        if "No FileSystem for scheme" in str(error) or "ClassNotFoundException: Class org.apache.hadoop.fs" in str(error):
            remedy = "Add its jars to the session (for s3a: hadoop-aws), or give a path that is mounted."
            raise InputError("a path on a file system that Spark knows", folder, remedy) from None
        raise
    return "\n".join(lines) if lines else None


def _holds_files(spark: "SparkSession", path: str) -> bool:
    """Whether there is a file in a folder, or in one of its folders."""
    try:
        files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
        return bool(files.select("path").limit(1).collect())
    except Exception as error:  # its class depends on the kind of session
        if "PATH_NOT_FOUND" in str(error):
            return False
        raise


def _pieces(model: Path) -> Iterator[tuple[int, str, bytearray]]:
    """The files of a directory in pieces, an empty file as one."""
    number = 0
    for file in sorted(path for path in model.rglob("*") if path.is_file()):
        with open(file, "rb") as stream:
            piece: bytes | None = stream.read(PIECE_BYTES)
            while piece is not None:
                yield number, file.relative_to(model).as_posix(), bytearray(piece)
                number += 1
                piece = stream.read(PIECE_BYTES) or None


def _fetch(table: "DataFrame", folder: Path) -> None:
    """Write the files of a table of pieces."""
    from pyspark.sql import functions as F

    count = table.count()
    for start in range(0, count, PIECES):
        group = table.filter(F.col("number").between(start, start + PIECES - 1)).orderBy("number").collect()
        for row in group:
            file = folder / row["name"]
            if folder.resolve() not in file.resolve().parents:
                raise InputError("files within a model's folder", repr(row["name"]), "Load only models that you trust.")
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(file, "ab") as stream:
                stream.write(row["content"])
