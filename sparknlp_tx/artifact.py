"""The saved directory: one artifact that Spark, MLflow and plain Hugging Face read. Whole or not there at all. Knows no Spark.

PATH/metadata/part-00000     Spark ML's metadata: class, uid, Params; ours beside them under "sparknlpTx"
PATH/model/                  what `save_pretrained` writes: config.json, model.safetensors, tokenizer.json, ...
"""

import atexit
import hashlib
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sparknlp_tx.errors import InputError

FORMAT_VERSION = 1
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def local_path(path: str | os.PathLike) -> Path:
    """The path that Python sees for a path as Spark writes it: `/a/b`, `a/b`, `~/b`, `file:/a/b`.

    As Hadoop's paths, `file:/a/b` has no escapes: a `%20`, a `#` or a `?` is a part of the name.

    Raises:
        InputError: another file system.
    """
    text = str(path)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", text)
    host, _, rest = text[5:].removeprefix("//").partition("/") if text.startswith("file://") else ("", "", "")
    if (scheme and scheme[1].lower() != "file") or host:
        raise InputError(
            "a path on a file system that this Python sees",
            text,
            "Save to a local or mounted folder and copy it from there.",
        )
    if text.startswith("file://"):
        return Path("/" + rest).absolute()
    return Path(text[5:] if scheme else text).expanduser().absolute()


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
            shutil.rmtree(old)
        else:
            os.replace(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def check_space(folder: Path, needed: float, what: str) -> None:
    """Raise InputError where a folder's disk has fewer free bytes than are needed."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        remedy = "Free some, or set stagingDir (checkpointDir, where that is set) to a folder on a larger disk."
        raise InputError(f"{needed / 1e9:,.1f} GB free in {folder}, for {what}", f"{free / 1e9:,.1f} GB", remedy)


def check_absent(path: str | os.PathLike, overwrite: bool = False) -> None:
    """Raise InputError where a save would hit something that is there."""
    target = local_path(path)
    if not target.exists():
        return
    if not overwrite:
        raise InputError(f"nothing at {target} yet", "a file or folder there", "Save elsewhere, or with write().overwrite().")
    if metadata_file(target) is None and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"a saved stage at {target}, to overwrite", "something else", "Save elsewhere, or remove it yourself.")


def metadata_file(folder: Path) -> Path | None:
    """The file with the metadata of a saved stage, be it ours or another of Spark ML's; None where there is none."""
    return next((file for file in sorted(folder.glob("metadata/part-*")) if file.is_file()), None)


def read_metadata(folder: str | Path) -> dict[str, Any]:
    """The metadata of a saved stage, read without Spark."""
    folder = Path(folder)
    file = metadata_file(folder)
    if file is None:
        found = "a file" if folder.is_file() else "no such folder"
        if folder.is_dir():
            found = ", ".join(sorted(os.listdir(folder))[:10]) or "an empty folder"
        raise InputError(f"a saved model in {folder} (metadata/, model/)", found, "Give the folder that model.save wrote.")
    return check_metadata(file.read_text(), folder)


def check_metadata(text: str, folder: str | Path) -> dict[str, Any]:
    """The metadata of a saved stage in a folder, from its text.

    Raises:
        InputError: it is damaged, not ours, or of a later version.
    """
    try:
        metadata = json.loads(text)
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict) or not {"class", "uid", "paramMap", "defaultParamMap"} <= metadata.keys():
        raise InputError(f"JSON in {folder}/metadata", "a damaged file", "Save or copy the model again.")
    own = metadata.get("sparknlpTx")
    if own is None:
        name = metadata["class"].rpartition(".")[2]
        raise InputError(f"a stage of sparknlp_tx in {folder}", metadata["class"], f"Load it with {name}.load.")
    written = own.get("formatVersion") if isinstance(own, dict) else None
    if not isinstance(written, int) or isinstance(written, bool):
        raise InputError(f"the number of a format in {folder}/metadata", repr(written), "Save or copy the model again.")
    if written > FORMAT_VERSION:
        raise InputError(
            f"a model of format {FORMAT_VERSION} or earlier in {folder}",
            f"format {written}, written by sparknlp_tx {own.get('version', 'of a later version')}",
            "Install that version or a later one.",
        )
    return metadata


def check_model_files(folder: str | Path, known: Mapping[str, str] | None = None) -> Path:
    """The Hugging Face directory in a saved model's folder.

    Args:
        known: the files that were saved, by their paths in it, with their hashes.

    Raises:
        InputError: files are missing or damaged, or its labels are not those that belong to the weights; says which.
    """
    model = Path(folder, "model")
    missing = [name for name in MODEL_FILES if not (model / name).is_file()]
    index = model / "model.safetensors.index.json"
    if index.is_file():  # weights in several files
        shards = set(json.loads(index.read_text())["weight_map"].values())
        missing.remove("model.safetensors")
        missing += sorted(shard for shard in shards if not (model / shard).is_file())
    missing += sorted(name for name in set(known or ()).difference(missing) if not (model / name).is_file())
    if missing:
        raise InputError(f"a complete model in {model}", f"no {', no '.join(missing)}", "Save or copy it again.")
    config = (known or {}).get("config.json")
    if config is not None and file_hash(model / "config.json") != config:
        remedy = "Load the model again, or save it where nothing replaces it."
        raise InputError(f"{model / 'config.json'} as it was saved with the model", "another one", remedy)
    for file in sorted(model.glob("*.safetensors")):
        _check_weights(file)
    for name in ("config.json", "tokenizer_config.json"):
        try:
            json.loads((model / name).read_text(encoding="utf-8"))
        except ValueError:
            raise InputError(f"JSON in {model / name}", "a damaged file", "Save or copy the model again.") from None
    return model


def _check_weights(file: Path) -> None:
    """Raise InputError where a file of weights is not as long as its own head says: a copy that broke off, or a full disk."""
    size = file.stat().st_size
    try:
        with open(file, "rb") as stream:
            head = int.from_bytes(stream.read(8), "little")
            if head > size:
                raise ValueError
            tensors = json.loads(stream.read(head))
        whole = 8 + head + max((t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__"), default=0)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"weights in {file}", f"a damaged file of {size:,} bytes", "Save or copy the model again.") from None
    if size != whole:
        raise InputError(f"{whole:,} bytes of weights in {file}", f"{size:,} bytes", "Save or copy the model again.")


def directory_bytes(directory: str | Path) -> int:
    """Size of the files of a directory."""
    return sum(file.stat().st_size for file in Path(directory).rglob("*") if file.is_file())


def linked_copy(directory: str | Path) -> Path:
    """A temporary folder with the same files, linked where that is possible: to add files to a model that stays as it is."""
    copy = temporary_directory("model")
    copy_linked(directory, copy)
    return copy


def copy_linked(directory: str | Path, target: Path) -> None:
    """Copy a folder's files into another one, linked where that is possible."""
    shutil.copytree(directory, target, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(os.path.realpath(source), target)  # the hub's cache is made of symbolic links
    except FileExistsError:  # the same, of a fit that was killed
        pass
    except OSError:  # another file system
        shutil.copy2(source, target)


def file_hashes(directory: str | Path) -> dict[str, str]:
    """The files of a directory, by their paths in it, with a hash of the content of each."""
    files = sorted(path for path in Path(directory).rglob("*") if path.is_file())
    return {file.relative_to(directory).as_posix(): file_hash(file) for file in files}


def file_hash(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def param_values(metadata: dict[str, Any]) -> dict[str, Any]:
    """The Params of a saved stage by name, defaults included."""
    return metadata["defaultParamMap"] | metadata["paramMap"]
