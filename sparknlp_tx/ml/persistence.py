"""Spark ML's writer and reader of our stages; on classic and Connect sessions."""

import json
import shutil
import time
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyspark
from pyspark.ml.param import Params
from pyspark.ml.util import DefaultParamsReader, MLReadable, MLReader, MLWritable, MLWriter

from sparknlp_tx.errors import InputError
from sparknlp_tx.files import local_path
from sparknlp_tx.inference.model_directory import FORMAT_VERSION, read_metadata, write_directory
from sparknlp_tx.spark.object_store import is_remote, read_remote, write_remote
from sparknlp_tx.version import __version__

if TYPE_CHECKING:
    from typing_extensions import Self

CLASSES = "sparknlp_tx.classification"  # where saved stages say that their class is, whatever module holds it


class StageWriter(MLWriter):
    """Writes an estimator or a model as `inference.model_directory` lays it out."""

    def __init__(self, instance: Any):
        super().__init__()
        self.instance = instance

    def save(self, path: str) -> None:
        """Write to a local path, e.g. `/models/a` or `file:/models/a`, or to any other that Spark writes to, e.g. `s3a://b/a`.

        Raises:
            InputError: something is there already, and `overwrite()` was not called, or it is no saved stage; no path.
        """
        if not isinstance(path, str | PathLike) or not str(path):
            raise InputError("a path to save to", repr(path), "Give one, e.g. models/tickets.")
        if not is_remote(path):
            write_directory(path, self._write, self.shouldOverwrite)
            return
        metadata = stage_metadata(self.instance, self.instance._saved_state())
        write_remote(self.sparkSession, str(path), metadata, self.instance._model_dir, self.shouldOverwrite)

    def _write(self, folder: Path) -> None:
        own = self.instance._saved_state()
        if self.instance._model_dir is not None:
            shutil.copytree(self.instance._model_dir, folder / "model")
        metadata = folder / "metadata"
        metadata.mkdir()
        (metadata / "part-00000").write_text(json.dumps(stage_metadata(self.instance, own)) + "\n")
        (metadata / "_SUCCESS").touch()


def stage_metadata(instance: Params, own: dict[str, Any]) -> dict[str, Any]:
    """Spark ML's metadata of a stage, and under `sparknlpTx` what is ours."""
    return {
        "class": f"{CLASSES}.{type(instance).__name__}",
        "timestamp": round(time.time() * 1000),
        "sparkVersion": pyspark.__version__,
        "uid": instance.uid,
        "paramMap": {param.name: value for param, value in instance._paramMap.items()},
        "defaultParamMap": {param.name: value for param, value in instance._defaultParamMap.items()},
        "language": "Python",
        "sparknlpTx": {"formatVersion": FORMAT_VERSION, "version": __version__, **own},
    }


class StageReader(MLReader):
    """Reads what `StageWriter` wrote."""

    def __init__(self, cls: type):
        super().__init__()
        self.cls = cls

    def load(self, path: str) -> Any:
        """Read from a local path, or from any other that Spark reads.

        Raises:
            InputError: the folder is not what this class writes, is of a later version, or lacks files.
        """
        if is_remote(path):
            metadata, folder = read_remote(self.sparkSession, str(path))
        else:
            folder = local_path(path)
            metadata = read_metadata(folder)
        name = metadata["class"].rpartition(".")[2]
        if name != self.cls.__name__:
            raise InputError(f"a saved {self.cls.__name__} in {path}", f"a {name}", f"Load it with {name}.load.")
        instance = self.cls()
        unknown = [param for param in metadata["paramMap"] | metadata["defaultParamMap"] if not instance.hasParam(param)]
        if unknown:
            raise InputError(
                f"Params of sparknlp_tx {__version__} in {path}", ", ".join(unknown), "Install the version that saved it."
            )
        instance._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(instance, metadata)
        instance._load_state(folder, metadata["sparknlpTx"])
        return instance


class SavedStage(MLReadable, MLWritable):
    """A stage with a writer and a reader, and perhaps a Hugging Face directory."""

    _model_dir: Path | None = None
    if TYPE_CHECKING:

        @classmethod
        def load(cls, path: str) -> Self: ...

    def write(self) -> StageWriter:
        """A writer: `write().overwrite().save(path)`."""
        return StageWriter(self)

    @classmethod
    def read(cls) -> StageReader:
        """A reader: `read().load(path)`."""
        return StageReader(cls)

    def _saved_state(self) -> dict[str, Any]:
        return {}

    def _load_state(self, folder: Path, own: dict[str, Any]) -> None:
        pass
