"""Saving and loading stages: a Spark ML directory that holds a plain Hugging Face directory. It appears whole or not at all.

PATH/metadata/part-00000     Spark ML's metadata: class, uid, Params; ours beside them under "sparknlpTx"
PATH/model/                  what `save_pretrained` writes: config.json, model.safetensors, tokenizer.json, ...
"""

import atexit
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pyspark
from pyspark.ml.param import Params
from pyspark.ml.util import DefaultParamsReader, MLReader, MLWriter

from sparknlp_tx.errors import InputError
from sparknlp_tx.version import __version__

FORMAT_VERSION = 1
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def local_path(path: str | os.PathLike) -> Path:
    """The path that Python sees for a path as Spark writes it: `/a/b`, `a/b`, `file:/a/b`.

    Raises:
        InputError: another file system.
    """
    parsed = urlparse(str(path))
    if parsed.scheme not in ("", "file"):
        raise InputError(
            "a path on a file system that this Python sees",
            str(path),
            "Save to a local or mounted folder and copy it from there.",
        )
    return Path(unquote(parsed.path) if parsed.scheme else str(path)).absolute()


def temporary_directory(purpose: str) -> Path:
    """A folder that lives as long as this process: DataFrames may be evaluated long after the model that made them."""
    directory = Path(tempfile.mkdtemp(prefix=f"sparknlp_tx-{purpose}-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def write_directory(path: str | os.PathLike, write: Callable[[Path], None], overwrite: bool = False) -> Path:
    """Make a directory by `write(folder)` so that it appears at `path` whole or not at all.

    Raises:
        InputError: something is at `path` already, and `overwrite` is false.
    """
    target = local_path(path)
    check_absent(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.new")
    try:
        fresh.mkdir()
        write(fresh)
        if target.exists():
            old = fresh.with_suffix(".old")
            os.replace(target, old)
            os.replace(fresh, target)
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        else:
            os.replace(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def check_absent(path: str | os.PathLike, overwrite: bool = False) -> None:
    """Raise InputError where a save would hit something that is there."""
    target = local_path(path)
    if target.exists() and not overwrite:
        raise InputError(f"nothing at {target} yet", "a file or folder there", "Save elsewhere, or with write().overwrite().")


class StageWriter(MLWriter):
    """Writes an estimator or a model; works on classic and on Connect sessions alike."""

    def __init__(self, instance: Any):
        super().__init__()
        self.instance = instance

    def save(self, path: str) -> None:
        """Write to a local path, e.g. `/models/a` or `file:/models/a`."""
        write_directory(path, self._write, self.shouldOverwrite)

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
        "class": f"{type(instance).__module__}.{type(instance).__name__}",
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
        """Read from a local path.

        Raises:
            InputError: the folder is not what this class writes, is of a later version, or lacks files.
        """
        folder = local_path(path)
        metadata = read_metadata(folder)
        name = metadata["class"].rpartition(".")[2]
        if name != self.cls.__name__:
            raise InputError(f"a saved {self.cls.__name__} in {folder}", f"a {name}", f"Load it with {name}.load.")
        instance = self.cls()
        instance._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(instance, metadata)
        instance._load_state(folder, metadata["sparknlpTx"])
        return instance


def read_metadata(folder: str | Path) -> dict[str, Any]:
    """The metadata of a saved stage, read without Spark."""
    file = Path(folder, "metadata", "part-00000")
    if not file.is_file():
        found = (
            "no such folder" if not Path(folder).is_dir() else ", ".join(sorted(os.listdir(folder))[:10]) or "an empty folder"
        )
        raise InputError(f"a saved model in {folder} (metadata/, model/)", found, "Give the folder that model.save wrote.")
    metadata = json.loads(file.read_text())
    own = metadata.get("sparknlpTx")
    if own is None:
        raise InputError(
            f"a stage of sparknlp_tx in {folder}", metadata.get("class", "something else"), "Load it with its own class."
        )
    if own["formatVersion"] > FORMAT_VERSION:
        raise InputError(
            f"a model of format {FORMAT_VERSION} or earlier in {folder}",
            f"format {own['formatVersion']}, written by sparknlp_tx {own['version']}",
            "Install that version or a later one.",
        )
    return metadata


def check_model_files(folder: str | Path) -> Path:
    """The Hugging Face directory in a saved model's folder.

    Raises:
        InputError: files are missing; says which.
    """
    model = Path(folder, "model")
    missing = [name for name in MODEL_FILES if not (model / name).is_file()]
    if "model.safetensors" in missing and (model / "model.safetensors.index.json").is_file():
        missing.remove("model.safetensors")
    if missing:
        raise InputError(f"a complete model in {model}", f"no {', no '.join(missing)}", "Save or copy it again.")
    return model
