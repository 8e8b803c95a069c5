"""How a model directory reaches the executors: by a path that every node reads, or as an artifact of the session."""

import hashlib
import tarfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import WeakKeyDictionary

from sparknlp_tx.artifact import file_hash, temporary_directory
from sparknlp_tx.errors import InputError
from sparknlp_tx.spark_versions import add_archive, is_connect, setting

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Paths that a platform mounts on every node.
SHARED_ROOTS = ("/Volumes/", "/dbfs/", "/Workspace/")


@dataclass(frozen=True)
class ModelLocation:
    """Where an executor finds a model directory.

    Args:
        path: the directory as the driver sees it.
        files: the directory's files with the hashes of their contents, see `artifact.file_hashes`.
    """

    path: str
    files: Mapping[str, str]

    @property
    def key(self) -> str:
        """A hash of the whole content; engines are kept by it, never by path."""
        return hashlib.sha256(repr(sorted(self.files.items())).encode()).hexdigest()

    def resolve(self) -> Path:
        """The directory, as seen from this process."""
        return Path(self.path)

    def verified(self, unused: Sequence[str] = ()) -> Path:
        """The directory, the content of its files compared with their hashes.

        Args:
            unused: patterns of the files that will not be read, and so not compared either.

        Raises:
            InputError: a file is damaged or missing, or another model was saved there since.
        """
        directory = self.resolve()
        for name, known in self.files.items():
            if any(fnmatch(name, pattern) for pattern in unused):
                continue
            file = directory / name
            found = "no such file" if not file.is_file() else "" if file_hash(file) == known else "another or a damaged one"
            if found:
                remedy = "Load the model again, or save it where nothing replaces it."
                raise InputError(f"the model's file {file} as it was", found, remedy)
        return directory

    def size(self, unused: Sequence[str] = ()) -> int:
        """Bytes of the files that are read, as far as they are there."""
        used = (self.resolve() / name for name in self.files if not any(fnmatch(name, pattern) for pattern in unused))
        return sum(file.stat().st_size for file in used if file.is_file())


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
