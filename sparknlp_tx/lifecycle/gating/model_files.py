"""What lies in a model's files: safetensors and no pickle, no code from the hub; and the licence of its checkpoint."""

import json
from pathlib import Path

PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".npy", ".h5", ".msgpack")  # numpy's may hold objects


def logged_root(directory: str | Path) -> Path:
    """The folder that is a model as MLflow logs it, where `directory` lies in one; else the saved stage around it."""
    folders = [Path(directory), *list(Path(directory).parents)[:4]]
    return next((folder for folder in folders if (folder / "MLmodel").is_file()), folders[1])


def unsafe_files(directory: str | Path) -> list[str]:
    """Why a model's files are not safe to load, a few words each; none where they are.

    Args:
        directory: the Hugging Face directory of a model; what MLflow logged around it is looked at as well.
    """
    root = logged_root(directory)
    found = []
    for file in sorted(root.rglob("*")):
        name = str(file.relative_to(root))
        exported = file.suffix == ".bin" and file.with_suffix(".xml").is_file()  # OpenVINO's
        if file.suffix in PICKLES or (file.suffix == ".bin" and not exported):
            found.append(f"{name} is, or may hold, a pickle")
    if not list(Path(directory).glob("*.safetensors")):
        found.append("there is no file of safetensors")
    for name in ("config.json", "tokenizer_config.json"):
        file = Path(directory, name)
        if file.is_file() and "auto_map" in json.loads(file.read_text(encoding="utf-8")):
            found.append(f"{name} names code to load from the hub (auto_map)")
    return found


def checkpoint_licence(checkpoint: str) -> str | None:
    """The licence that a checkpoint's model card says, as the hub spells it; None where there is no card, or it says none.

    Args:
        checkpoint: a folder with a README.md, or a name on the hub, which is asked where it can be.
    """
    from huggingface_hub import ModelCard

    place = Path(checkpoint) / "README.md" if Path(checkpoint).is_dir() else checkpoint
    if isinstance(place, Path) and not place.is_file():
        return None
    try:
        licence = ModelCard.load(place, ignore_metadata_errors=True).data.to_dict().get("license")
    except Exception:  # the hub's, of a network that is not there, of a card that is none
        return None
    return str(licence).lower() if licence else None
