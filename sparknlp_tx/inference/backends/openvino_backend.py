"""Runs batches on OpenVINO, on CPUs; loads neither torch nor transformers."""

from pathlib import Path
from typing import Any

import numpy as np

from sparknlp_tx.inference.backends import openvino_runtime as runtime
from sparknlp_tx.inference.packing import arranged


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
