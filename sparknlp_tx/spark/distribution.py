"""How a model directory reaches the executors: by a path that every node reads, or as an artifact of the session."""

import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import WeakKeyDictionary

from sparknlp_tx.files import temporary_directory
from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.spark.compat import add_archive, is_connect, setting

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Paths that a platform mounts on every node.
SHARED_ROOTS = ("/Volumes/", "/dbfs/", "/Workspace/")


@dataclass(frozen=True)
class SessionArtifact(ModelLocation):
    """A model directory that travels to the executors as an artifact of the session.

    Args:
        artifact: its name.
    """

    artifact: str

    def resolve(self) -> Path:
        from pyspark import SparkFiles

        return Path(SparkFiles.get(self.artifact))

    def __reduce__(self) -> tuple:
        """Pickled inside a task, as TorchDistributor does for the processes that it starts, it is where the node has the directory."""
        from pyspark import TaskContext

        if TaskContext.get() is None:
            return SessionArtifact, (self.path, self.files, self.artifact)
        return ModelLocation, (str(self.verified()), self.files)


def distribute(spark: "SparkSession", directory: str, files: Mapping[str, str]) -> ModelLocation:
    """Make a model directory known to the executors of a session; starts no job.

    In local mode, and on a path that a platform mounts everywhere, the path itself serves. Otherwise the directory travels as
    an archive, a session artifact: Spark takes it once for a session, and each executor unpacks it once.
    """
    in_place = ModelLocation(directory, files)
    if is_local(spark) or directory.startswith(SHARED_ROOTS):
        return in_place
    with _distributing:  # fits and scoring in several threads share what is sent
        sent = _distributed.setdefault(spark, {})
        if in_place.key not in sent:
            sent[in_place.key] = _send(spark, directory, in_place.key)
    return SessionArtifact(directory, files, sent[in_place.key])


def _send(spark: "SparkSession", directory: str, key: str) -> str:
    """Send a directory as an archive of its own name: sessions of one cluster, of other processes too, may send the same content."""
    archive = temporary_directory("archive") / f"sparknlp_tx-{key[:16]}-{uuid4().hex[:8]}.tar"
    with tarfile.open(archive, "w") as tar:
        for file in sorted(Path(directory).rglob("*")):  # Spark refuses an entry for the folder itself
            tar.add(file, arcname=str(file.relative_to(directory)), recursive=False)
    add_archive(spark, archive)  # the driver serves it from there as long as it lives
    return archive.name


_distributed: WeakKeyDictionary["SparkSession", dict[str, str]] = WeakKeyDictionary()  # for each key the archive's name
_distributing = threading.Lock()


def executors_have_gpus(spark: "SparkSession") -> bool:
    """Whether the session's configuration gives GPUs to its tasks."""
    return float(setting(spark, "spark.task.resource.gpu.amount", "0")) > 0


def is_local(spark: "SparkSession") -> bool:
    """Whether the executors are this machine: they see its files and its devices."""
    master = setting(spark, "spark.master", "")
    return (master == "local" or master.startswith("local[")) and not is_connect(spark)
