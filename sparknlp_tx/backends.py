"""The two ways to run a padded batch: torch (any GPU, any model) and OpenVINO (CPU). Knows no Spark.

Torch and transformers are loaded when a model runs on torch, and not before.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparknlp_tx import openvino_runtime as runtime
from sparknlp_tx.errors import InputError
from sparknlp_tx.tokenization import arranged
from sparknlp_tx.transformers_versions import weights_as

if TYPE_CHECKING:
    import torch


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


class OpenVINOBackend:
    """Runs padded batches on OpenVINO, on the CPU; loads neither torch nor transformers. `packs`: it takes packed ones, too.

    Args:
        path: a Hugging Face directory with an export.
        precision: `auto` (bfloat16 where the processor multiplies it natively, else float32), `float32`, `bfloat16` or `int8`.
        threads: how many to use; default all cores.
        model: the exported model, where another backend that is used more has read it already.
    """

    device = "cpu"

    def __init__(self, path: str | Path, precision: str = "auto", threads: int | None = None, model: Any = None):
        fast = "bfloat16" if runtime.native_bfloat16() else "float32"
        self.precision = fast if precision == "auto" else precision
        arithmetic = self.precision
        if precision == "int8":  # of what is not quantised; never less precise than where the margin was learnt
            arithmetic = fast if runtime.read_report(path).get("arithmetic", fast) == fast else "float32"
        self._model = runtime.read_model(runtime.model_file(path, precision)) if model is None else model
        self.packs = runtime.is_arranged(self._model)
        self._request = runtime.compile_model(self._model, arithmetic, threads).create_infer_request()
        self.arithmetic, self._path, self._threads = arithmetic, path, threads

    def at(self, precision: str) -> "OpenVINOBackend":
        """The same model in float32 or bfloat16; unless this one is int8, they share the weights in memory."""
        return OpenVINOBackend(self._path, precision, self._threads, None if self.precision == "int8" else self._model)

    def __call__(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Padded inputs, name -> int64 [n, tokens], to logits, float32 [n, num_labels]; packed ones where it `packs`."""
        return self._request.infer(arranged(inputs) if self.packs else inputs, share_inputs=True)[0]

    @staticmethod
    def fetch(outputs: list[np.ndarray]) -> np.ndarray:
        """What calls gave, in one array: float32 [rows, num_labels]."""
        return np.concatenate(outputs)

    @staticmethod
    def is_out_of_memory(error: Exception) -> bool:
        """Whether a smaller batch could help."""
        return False


class TorchBackend:
    """Runs padded batches on torch: on a GPU or on the CPU, any model that transformers knows.

    Args:
        path: a Hugging Face directory.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`.
        precision: `auto` (bfloat16 where the device multiplies it natively, else float16 on a GPU, float32 on a CPU),
            `float32`, `bfloat16` or `float16`.
        threads: how many a CPU may use; default torch's own choice.
    """

    packs = False

    def __init__(self, path: str | Path, device: str = "auto", precision: str = "auto", threads: int | None = None):
        import torch
        from transformers import AutoModelForSequenceClassification

        self.device = resolve_device(device)
        if threads and self.device == "cpu":
            torch.set_num_threads(threads)
        self.precision = resolve_precision(precision, self.device)
        dtype = getattr(torch, self.precision)
        with quiet_transformers():
            model = AutoModelForSequenceClassification.from_pretrained(path, **weights_as(dtype))
        self._model = model.to(self.device).eval()
        self._path, self._threads = path, threads

    @classmethod
    def of(cls, model: "torch.nn.Module") -> "TorchBackend":
        """A model that is in memory, as it is: one that is being trained."""
        backend = cls.__new__(cls)
        backend._model, backend.device, backend.precision = model, str(model.device), "float32"
        return backend

    def at(self, precision: str) -> "TorchBackend":
        """The same model in another precision."""
        return TorchBackend(self._path, self.device, precision, self._threads)

    def __call__(self, inputs: dict[str, np.ndarray]) -> "torch.Tensor":
        """Padded inputs, name -> int64 [n, tokens], to logits [n, num_labels] on the device; does not wait for a GPU."""
        import torch

        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        if self.device != "cpu":  # from pinned memory a GPU copies while it computes
            tensors = {name: tensor.pin_memory().to(self.device, non_blocking=True) for name, tensor in tensors.items()}
        with torch.inference_mode():
            return self._model(**tensors).logits

    @staticmethod
    def fetch(outputs: "list[torch.Tensor]") -> np.ndarray:
        """What calls gave, in one array: float32 [rows, num_labels]."""
        import torch

        return torch.cat(outputs).float().cpu().numpy()

    @staticmethod
    def is_out_of_memory(error: Exception) -> bool:
        """Whether a smaller batch could help."""
        import torch

        return isinstance(error, torch.OutOfMemoryError)


def resolve_device(device: str) -> str:
    """The device to use: `cpu` or `cuda:N`. A GPU asked for and absent is an error, never a silent CPU."""
    if device == "cpu":
        return device
    gpus = gpu_count()
    if device == "auto":
        return "cuda:0" if gpus else "cpu"
    name, _, index = device.partition(":")
    if name != "cuda" or not (index or "0").isdigit():
        raise InputError("device auto, cpu, cuda or cuda:N", repr(device), "Set device to one of these.")
    if int(index or 0) >= gpus:
        raise InputError(f"a GPU for device {device!r}", f"{gpus} GPUs", "Use device='auto' or a machine with that GPU.")
    return f"cuda:{index or 0}"


@cache  # it is asked for each task
def gpu_count() -> int:
    """How many GPUs torch sees; torch is asked, and loaded, only where the system shows one."""
    shown = [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("kfd"), *Path("/dev").glob("dxg")]
    if os.name == "posix" and not shown:
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def resolve_precision(precision: str, device: str) -> str:
    """The precision to use on a torch device: `auto` is the fastest that the device multiplies natively."""
    if precision != "auto":
        return precision
    if has_bfloat16(device):
        return "bfloat16"
    return "float32" if device == "cpu" else "float16"


def has_bfloat16(device: str) -> bool:
    """Whether a torch device multiplies bfloat16 natively."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device)[0] >= 8
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from saying what the caller knows: that weights are loaded or written, that a head is new."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
