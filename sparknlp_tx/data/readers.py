"""Files, folders and hub data sets to DataFrames, one a split; strictly, or refused with the line."""

import logging
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from sparknlp_tx.data.delimited import OPENERS, Dialect, read_delimited
from sparknlp_tx.data.json_files import checked_json
from sparknlp_tx.errors import InputError
from sparknlp_tx.files import local_path, temporary_directory
from sparknlp_tx.spark import tables
from sparknlp_tx.spark.table_names import TableName, has_scheme

if TYPE_CHECKING:
    import datasets

log = logging.getLogger(__name__)
BESIDE = (
    "dataset_infos.json",
    "dataset_info.json",
    "package.json",
    "metadata.json",
    "license.json",
)  # that describe a data set
FETCHED_BYTES = 2 * 10**9  # of files on another file system that are copied to this machine
READERS = {"csv": "csv", "tsv": "csv", "json": "json", "jsonl": "json", "ndjson": "json", "parquet": "parquet"}
SPLITS = {  # GLUE's mnli has two of each: the matched one is the usual one
    "validation_mismatched": r"(validation|dev)_mismatched",
    "test_mismatched": r"test_mismatched",
    "train": r"train(ing)?",
    "validation": r"(validation|valid|val|dev)(_matched)?",
    "test": r"test(_matched)?",
}


def read_files(spark: SparkSession, path: str, dialect: Dialect, config: str | None) -> dict[str, DataFrame]:
    """The files and Delta tables of a path by split; files of one split are read together."""
    if has_scheme(path) and not path.startswith("file:"):
        if tables.look_up(spark, TableName.parse(path)).kind == "delta":
            return {"train": tables.read_table(spark, path)}
        root = _fetched(spark, path)
    else:
        root = local_path(path)
    if Path(root, "_delta_log").is_dir():
        return {"train": tables.read_table(spark, str(root))}
    if (root / "dataset_dict.json").is_file() or (root / "state.json").is_file():
        return _read_saved(spark, root)
    found = {
        split: tables.read_table(spark, str(folder)) for folder in _delta_folders(root) if (split := split_of(folder.name))
    }
    if found:
        return found
    files = [root] if root.is_file() else _data_files(root, config)
    groups: dict[str, list[Path]] = {}
    for file in files:
        inside = file.relative_to(root).parts
        if _kind(file) in READERS and (file == root or not any(part.startswith(("_", ".")) for part in inside)):
            groups.setdefault(split_of("/".join(inside)) or "", []).append(file)
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
    return {split: _read_group(spark, group, dialect) for split, group in groups.items()}


def _fetched(spark: SparkSession, path: str) -> Path:
    """The files at a path that Spark alone sees, copied to this machine.

    Raises:
        InputError: nothing is there, or more than 2 GB.
    """
    if not tables.files_at(spark, path):
        raise InputError("a file or a folder", f"nothing at {path}", "Check the path.")
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
    size = files.agg(F.sum("length")).collect()[0][0] or 0
    if size > FETCHED_BYTES:
        raise InputError(
            f"at most {FETCHED_BYTES:,} bytes of files at {path}", f"{size:,}", "Write them as a Delta table first."
        )
    folder, root = temporary_directory("fetched"), tables.resolved(path)
    for row in files.select("path", "content").toLocalIterator():
        inside = tables.resolved(row["path"]).removeprefix(root).strip("/")
        file = folder.joinpath(inside or Path(root).name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(row["content"])
    return folder


def _data_files(root: Path, config: str | None) -> list[Path]:
    """The files of a folder that may hold rows: not those that describe a data set, and of one configuration alone.

    Raises:
        InputError: the folder has several configurations, as a clone of a hub data set may; says which.
    """
    files = sorted(file for file in root.rglob("*") if file.is_file() and file.name.lower() not in BESIDE)
    for file in root.glob("sample_submission*"):
        log.warning("%s is left out: it shows how to hand in answers", file)
        files = [other for other in files if other != file]
    places: dict[str, list[Path]] = {}
    for file in files:
        if _kind(file) in READERS:
            inside = file.relative_to(root).parts[:-1]
            named = [p for p in inside if not split_of(p) and "=" not in p and not p.startswith(("_", ".")) and p != "data"]
            places.setdefault("/".join(named), []).append(file)
    if len(places) < 2:
        return files
    names = [name or "." for name in places]
    if config is None or config not in places:
        found = f"{len(names)}: {', '.join(names[:8])}"
        remedy = "Name one: --hub-config NAME; or give its folder."
        raise InputError(f"one configuration in {root}" if config is None else f"the configuration {config!r}", found, remedy)
    return places[config]


def _delta_folders(root: Path) -> list[Path]:
    """The Delta tables right below a folder."""
    return sorted(log.parent for log in root.glob("*/_delta_log")) if root.is_dir() else []


def split_of(where: str) -> str | None:
    """The split that a path names: `test.csv`, `train-00000-of-00002.parquet`, `validation/part-0.json`."""
    for part in reversed(Path(where).parts):
        for split, pattern in SPLITS.items():
            if re.match(rf"({pattern})([-_.\d].*)?$", part, re.IGNORECASE):
                return split
    return None


def _kind(file: Path) -> str:
    """The kind of a file by its name, whatever its capitals, packed or not: `TICKETS.CSV`, `a.jsonl.gz`."""
    name = file.name.lower()
    for packed in (".gz", ".bz2", ".xz", ".zst"):
        name = name.removesuffix(packed)
    return name.rpartition(".")[2]


def _read_group(spark: SparkSession, files: list[Path], dialect: Dialect) -> DataFrame:
    kinds = sorted({_kind(file) for file in files})
    if len(kinds) > 1:
        found = f"{' and '.join('.' + kind for kind in kinds)} in {files[0].parent}"
        raise InputError("files of one kind for a split", found, "Move some away.")
    if READERS[kinds[0]] == "csv":
        return _delimited(spark, files, dialect)
    paths = [str(_plainly_named(file)) for file in files]
    if READERS[kinds[0]] == "parquet":
        return _parquet(spark, paths)
    arrays = [checked_json(file) for file in files]
    if len(set(arrays)) > 1:
        raise InputError("json files of one kind for a split", "arrays and lines", "Move some away.")
    return spark.read.option("multiLine", arrays[0]).json(paths)


def _parquet(spark: SparkSession, paths: list[str]) -> DataFrame:
    """Parquet files; times in nanoseconds, as pandas writes them, would make Spark refuse the whole file."""
    import pyarrow.parquet as pq

    if any("[ns" in str(kind) for kind in pq.read_schema(paths[0]).types):
        spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    return spark.read.parquet(*paths)


def _plainly_named(file: Path) -> Path:
    """A file whose name Spark takes for no pattern, nor leaves out, nor reads as packed: itself, or a copy."""
    packed = file.suffix if file.suffix in (".gz", ".bz2", ".zst") else ""
    pattern = re.search(r"[\[\]{}*?\\]", str(file)) or file.name.startswith(("_", "."))
    if not pattern and (packed or file.suffix.lower() not in OPENERS):
        return file
    folder = temporary_directory("named")
    if file.suffix.lower() in OPENERS:  # Spark knows other endings, or none
        with OPENERS[file.suffix.lower()](file, "rb") as stream, open(folder / f"file.{_kind(file)}", "wb") as whole:  # type: ignore[operator]
            shutil.copyfileobj(stream, whole)
        return folder / f"file.{_kind(file)}"
    return Path(shutil.copyfile(file, folder / f"file.{_kind(file)}{packed}"))


def _delimited(spark: SparkSession, files: list[Path], dialect: Dialect) -> DataFrame:
    """The records of delimited files, which all have the same columns, as strings."""
    header: list[str] = []
    rows: list[list[str | None]] = []
    for file in files:
        found = read_delimited(file, dialect)
        if header and found.header != header:
            expected = f"the columns of {files[0].name} in {file.name}: {', '.join(header)}"
            raise InputError(expected, ", ".join(found.header), "Move one of them away.")
        header = found.header
        rows += found.rows
    fields = [StructField(name or f"_c{place}", StringType()) for place, name in enumerate(header)]
    return spark.createDataFrame(rows, StructType(fields))


def read_hub(spark: SparkSession, name: str, config: str | None, revision: str | None) -> dict[str, DataFrame]:
    """A data set of the hub, by way of Parquet files in a temporary folder; class labels become their names."""
    import datasets

    try:
        loaded = datasets.load_dataset(name, config, revision=revision)
    except Exception as error:  # the hub's clients raise many kinds
        raise InputError(
            f"data set {name!r} from the Hugging Face hub",
            f"{type(error).__name__}: {str(error).strip().splitlines()[0]}",
            "Check its name and the network; with the files at hand give --path FOLDER.",
        ) from error
    folder = temporary_directory("hub")
    return {split: _to_spark(spark, rows, folder / f"{split}.parquet") for split, rows in loaded.items()}


def _read_saved(spark: SparkSession, root: Path) -> dict[str, DataFrame]:
    """What `save_to_disk` of datasets wrote: one data set, or one for each split."""
    import datasets

    loaded = datasets.load_from_disk(str(root))
    splits = loaded if isinstance(loaded, dict) else {"train": loaded}
    folder = temporary_directory("saved")
    return {str(split): _to_spark(spark, rows, folder / f"{split}.parquet") for split, rows in splits.items()}


def _to_spark(spark: SparkSession, rows: "datasets.Dataset", file: Path) -> DataFrame:
    rows.to_parquet(str(file))
    df = spark.read.parquet(str(file))
    for column, feature in rows.features.items():
        names = getattr(feature, "names", None)
        if names:  # a ClassLabel; -1 stands for an unknown label
            df = df.withColumn(column, F.when(F.col(column) >= 0, F.array(*map(F.lit, names))[F.col(column).cast("int")]))
    return df
