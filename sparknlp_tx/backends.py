"""The ways to run a padded batch. Knows no Spark; loads torch and transformers when a model is loaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from sparknlp_tx.errors import InputError


class TorchBackend:
    """Runs padded batches on torch: on a GPU or on the CPU, any model that transformers knows.

    Args:
        path: a Hugging Face directory.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`.
        precision: `auto` (bfloat16 where the device multiplies it natively, else float16 on a GPU, float32 on a CPU),
            `float32`, `bfloat16` or `float16`.
    """

    def __init__(self, path: str | Path, device: str = "auto", precision: str = "auto"):
        import torch
        from transformers import AutoModelForSequenceClassification

        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        dtype = getattr(torch, self.precision)
        with quiet_transformers():
            model = AutoModelForSequenceClassification.from_pretrained(path, dtype=dtype)
        self._model = model.to(self.device).eval()

    def __call__(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Padded inputs, name -> int64 [n, tokens], to logits, float32 [n, num_labels]."""
        import torch

        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array).to(self.device) for name, array in inputs.items()}
            return self._model(**tensors).logits.float().cpu().numpy()

    @staticmethod
    def is_out_of_memory(error: Exception) -> bool:
        """Whether a smaller batch could help."""
        import torch

        return isinstance(error, torch.OutOfMemoryError)


def resolve_device(device: str) -> str:
    """The torch device to use: `cpu` or `cuda:N`. A GPU asked for and absent is an error, never a silent CPU."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda:0" if gpus else "cpu"
    if device == "cpu":
        return device
    name, _, index = device.partition(":")
    if name != "cuda" or not (index or "0").isdigit():
        raise InputError("device auto, cpu, cuda or cuda:N", repr(device), "Set device to one of these.")
    if int(index or 0) >= gpus:
        raise InputError(f"a GPU for device {device!r}", f"{gpus} GPUs", "Use device='auto' or a machine with that GPU.")
    return f"cuda:{index or 0}"


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
