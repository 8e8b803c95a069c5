"""Which backend runs a model: OpenVINO on CPUs where the model was exported, else torch."""

from pathlib import Path

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.backends import openvino_runtime as runtime
from sparknlp_tx.inference.backends.devices import resolve_device
from sparknlp_tx.inference.backends.openvino_backend import OpenVINOBackend
from sparknlp_tx.inference.backends.torch_backend import TorchBackend


def open_backend(
    path: str | Path, device: str = "auto", precision: str = "auto", threads: int | None = None
) -> "TorchBackend | OpenVINOBackend":
    """The way to run a model here: OpenVINO on a CPU, where the model was exported and OpenVINO is installed; else torch.

    Args:
        path: a Hugging Face directory, with or without a folder `openvino/`.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `float32`, `bfloat16`, `float16` or `int8`.
        threads: how many a CPU may use; default all its cores.

    Raises:
        InputError: the device is not there, or cannot do the precision.
    """
    device = resolve_device(device)
    if _runs_on_openvino(path, device, precision):
        return OpenVINOBackend(path, precision, threads)
    if precision == "int8":
        found = f"device {device}" if device != "cpu" else "no OpenVINO" if not runtime.is_installed() else "a model without"
        raise InputError(
            "a model quantised by model.quantize(df), on a CPU, with the extra 'cpu'", found, "Use another precision."
        )
    return TorchBackend(path, device, precision, threads)


def unused_files(path: str | Path, device: str, precision: str) -> tuple[str, ...]:
    """Patterns of a model directory's files that `open_backend` will not read."""
    if not _runs_on_openvino(path, resolve_device(device), precision):
        return (f"{runtime.FOLDER}/*",)
    return ("*.safetensors",) if precision == "int8" else ("*.safetensors", f"{runtime.FOLDER}/*int8*")


def _runs_on_openvino(path: str | Path, device: str, precision: str) -> bool:
    return device == "cpu" and precision != "float16" and runtime.is_installed() and runtime.is_exported(path, precision)
