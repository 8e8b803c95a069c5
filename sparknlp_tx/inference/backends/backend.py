"""What the engine asks of a backend."""

from typing import Any, Protocol

import numpy as np


class Backend(Protocol):
    """Runs batches of one model on one device in one precision.

    Attributes:
        device: `cpu` or `cuda:N`.
        precision: `float32`, `bfloat16`, `float16` or `int8`.
        packs: whether it takes packed batches, see `packing`.
    """

    device: str
    precision: str
    packs: bool

    def __call__(self, inputs: dict[str, np.ndarray]) -> Any:
        """Padded inputs, name -> int64 [n, tokens], to logits [n, num_labels], which may still lie on the device."""

    def fetch(self, outputs: list[Any]) -> np.ndarray:
        """What calls returned, in one array: float32 [rows, num_labels]."""

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether a smaller batch could help."""

    def at(self, precision: str) -> "Backend":
        """The same model in another precision."""
