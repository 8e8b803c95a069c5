"""The device that a model runs on."""

import importlib.util
import os
import platform
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
    """How many GPUs torch sees; torch is asked, and loaded, only where the system shows one. None without torch."""
    shown = [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("kfd"), *Path("/dev").glob("dxg")]
    if (os.name == "posix" and not shown) or importlib.util.find_spec("torch") is None:
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def processor() -> str:
    """The processor's name, how many cores this machine has, and what they multiply natively."""
    name, flags = platform.processor() or platform.machine(), ""
    file = Path("/proc/cpuinfo")
    if file.is_file():
        lines = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
        found = {key.strip(): value.strip() for key, value in lines.items()}
        name, flags = found.get("model name", name), found.get("flags", "")
    units = [
        shown
        for flag, shown in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 bfloat16"), ("avx512_vnni", "VNNI"))
        if flag in flags.split()
    ]
    return f"{name}, {os.cpu_count()} cores" + (f", {', '.join(units)}" if units else "")
