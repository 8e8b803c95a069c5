"""The saved directory: one artifact that Spark, MLflow and plain Hugging Face read. Whole or not there at all. Knows no Spark.

PATH/metadata/part-00000     Spark ML's metadata: class, uid, Params; ours beside them under "sparknlpTx"
PATH/model/                  what `save_pretrained` writes: config.json, model.safetensors, tokenizer.json, ...
"""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sparknlp_tx.errors import InputError
from sparknlp_tx.files import file_hash, local_path
from sparknlp_tx.inference.decision_rules import REGRESSION, SINGLE

FORMAT_VERSION = 1
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


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
    """The metadata file of a saved stage, ours or any other of Spark ML's; None if there is none."""
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


def param_values(metadata: dict[str, Any]) -> dict[str, Any]:
    """The Params of a saved stage by name, defaults included."""
    return metadata["defaultParamMap"] | metadata["paramMap"]


class ModelConfig(NamedTuple):
    """What a model's `config.json` says of its task."""

    problem_type: str
    labels: list[str]


def read_config(path: str | Path) -> ModelConfig:
    """The problem type of a Hugging Face directory, and the labels in the order of the logits; none for regression."""
    file = Path(path) / "config.json"
    if not file.is_file():
        raise InputError("a Hugging Face directory with a config.json", f"none in {path}", "Give the folder of a saved model.")
    config = json.loads(file.read_text())
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}  # Hugging Face leaves its default out
    labels = [name for _, name in sorted(names.items(), key=lambda item: int(item[0]))]
    problem_type = config.get("problem_type") or (SINGLE if len(labels) > 1 else REGRESSION)  # as transformers takes it
    return ModelConfig(problem_type, [] if problem_type == REGRESSION else labels)
