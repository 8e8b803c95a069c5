"""The device that a model runs on."""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sparknlp_tx.errors import InputError

if TYPE_CHECKING:
    pass


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
