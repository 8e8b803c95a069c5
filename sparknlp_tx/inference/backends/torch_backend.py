"""Runs batches on torch: on any GPU or CPU, any model. Loads torch and transformers when a model is opened."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sparknlp_tx.inference.backends.devices import resolve_device
from sparknlp_tx.inference.transformers_compat import quiet_transformers, weights_as

if TYPE_CHECKING:
    import torch


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
