"""Dropout that costs a CPU little. torch draws its Bernoulli numbers one by one: 40 % of a fine-tuning step on texts of 256 tokens.

Here NumPy's SFC64 draws 16 bits for each value, seeded from torch's own generator at every call, so that a seed, and a checkpoint's
random state, still decide everything. Attention that is computed step by step (`eager`) goes through it too, which torch's fused
attention does not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def dropout(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """`torch.nn.functional.dropout` on a CPU; `p` is rounded to a multiple of 1 / 65,536."""
    if not training or p == 0:
        return input
    seed = int(torch.randint(2**62, (1,)))
    bits = np.frombuffer(np.random.Generator(np.random.SFC64(seed)).bytes(2 * input.numel()), np.uint16)
    kept = torch.from_numpy(bits >= round(p * 65_536)).view(input.shape).to(input.dtype)
    kept = kept.mul_(1 / (1 - p) if p < 1 else 0.0)
    return input.mul_(kept) if inplace else input * kept


@contextmanager
def fast_dropout(device: str) -> Iterator[None]:
    """Every dropout of this process is this module's, where the device is a CPU."""
    real = torch.nn.functional.dropout
    if device == "cpu":
        torch.nn.functional.dropout = dropout
    try:
        yield
    finally:
        torch.nn.functional.dropout = real


def attention_for(config: Any, device: str) -> str | None:
    """The `attn_implementation` to train with: `eager` on a CPU where attention has dropout; None for transformers' own choice."""
    rates = [getattr(config, name, 0.0) or 0.0 for name in ("attention_probs_dropout_prob", "attention_dropout")]
    return "eager" if device == "cpu" and max(rates) > 0 else None
