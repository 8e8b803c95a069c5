"""How scores of reduced precision keep float32's labels: texts whose decision is close are scored again, more precisely."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sparknlp_tx.inference.backends.backend import Backend
from sparknlp_tx.inference.backends.openvino_runtime import read_report

MARGIN_BOUND = {"bfloat16": 0.25}  # in logits; for models whose own bound was not calibrated
Margin = Callable[[np.ndarray], np.ndarray]  # logits [n, num_labels] -> by how much the decision leads [n]


class RescoringStage(NamedTuple):
    """A more precise backend, for texts whose decision is close.

    Attributes:
        margin_bound: in logits; texts whose margin is at most this are scored again.
        load_backend: gives the backend; it is loaded when it is first needed.
    """

    margin_bound: float
    load_backend: Callable[[], Backend]


def rescoring_stages(path: str | Path, backend: Any) -> list[RescoringStage]:
    """The stages after a backend of reduced precision on a CPU: int8, then bfloat16 where that is native, then float32.

    The bounds are calibrated when the model is exported and quantised, see `optimize.margins`.
    """
    report = read_report(path)

    def bound(precision: str) -> float:
        return report.get(precision, {}).get("margin_bound", MARGIN_BOUND.get(precision, 0.0))

    if backend.device != "cpu" or backend.precision not in ("bfloat16", "int8"):
        return []
    if backend.precision == "int8" and backend.arithmetic == "bfloat16":
        between = cache(partial(backend.at, "bfloat16"))
        exact = cache(lambda: between().at("float32"))
        return [RescoringStage(bound("int8"), between), RescoringStage(bound("bfloat16"), exact)]
    return [RescoringStage(bound(backend.precision), cache(partial(backend.at, "float32")))]
