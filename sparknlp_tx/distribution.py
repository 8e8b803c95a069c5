"""How a model directory reaches the executors: by a path that every node reads, or as an artifact of the session."""

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sparknlp_tx.artifact import content_key, temporary_directory
from sparknlp_tx.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Paths that a platform mounts on every node.
SHARED_ROOTS = ("/Volumes/", "/dbfs/", "/Workspace/")


@dataclass(frozen=True)
class ModelLocation:
    """Where an executor finds a model directory.

    Args:
        path: the directory as the driver sees it.
        artifact: name of the session artifact that carries it; None where every node reads the path.
        key: hash of the content; engines are kept by it, never by path.
    """

    path: str
    artifact: str | None
    key: str

    def resolve(self) -> Path:
        """The directory, as seen from this process."""
        if self.artifact is None:
            return Path(self.path)
        from pyspark import SparkFiles

        return Path(SparkFiles.get(self.artifact))

    def verified(self) -> Path:
        """The directory, its content compared with the key.

        Raises:
            InputError: files are damaged or missing, or another model was saved there since.
        """
        directory = self.resolve()
        if content_key(directory) != self.key:
            remedy = "Load the model again, or save it where nothing replaces it."
            raise InputError(f"the model's files in {directory} as they were", "other or damaged ones", remedy)
        return directory


def distribute(spark: "SparkSession", directory: str, key: str) -> ModelLocation:
    """Make a model directory known to the executors of a session; starts no job.

    In local mode, and on a path that a platform mounts everywhere, the path itself serves. Otherwise the directory travels as
    an archive, a session artifact: Spark takes it once for a session, and each executor unpacks it once.
    """
    master = spark.conf.get("spark.master", "") or ""
    local = master == "local" or master.startswith("local[")
    if (local and not _is_connect(spark)) or directory.startswith(SHARED_ROOTS):
        return ModelLocation(directory, None, key)
    name = f"sparknlp_tx-{key[:16]}.tar"
    if name not in _distributed.setdefault(spark, set()):
        archive = temporary_directory("archive") / name  # the driver serves it from there as long as it lives
        with tarfile.open(archive, "w") as tar:
            for file in sorted(Path(directory).rglob("*")):  # Spark refuses an entry for the folder itself
                tar.add(file, arcname=str(file.relative_to(directory)), recursive=False)
        spark.addArtifacts(str(archive), archive=True)
        _distributed[spark].add(name)
    return ModelLocation(directory, name, key)


_distributed: WeakKeyDictionary["SparkSession", set[str]] = WeakKeyDictionary()


def executors_have_gpus(spark: "SparkSession") -> bool:
    """Whether the session's configuration gives GPUs to its tasks."""
    return float(spark.conf.get("spark.task.resource.gpu.amount", "0") or 0) > 0


def _is_connect(spark: "SparkSession") -> bool:
    return type(spark).__module__.startswith("pyspark.sql.connect")
