"""How scores of reduced precision keep float32's labels: texts whose decision is close are scored again."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from sparknlp_tx.inference.backends.openvino_runtime import read_report

MARGIN_BOUND = {"bfloat16": 0.25}  # in logits; for models whose own bound was not learnt
Margin = Callable[[np.ndarray], np.ndarray]  # logits [n, num_labels] -> by how much the decision leads [n]


def second_looks(path: str | Path, backend: Any) -> list[tuple[float, Callable[[], Any]]]:
    """How a backend of reduced precision on a CPU keeps float32's labels: int8 by bfloat16 where that is native, all by float32.

    The bounds are those learnt when the model was exported and quantised, see `optimize.margins`.
    """
    report = read_report(path)

    def bound(precision: str) -> float:
        return report.get(precision, {}).get("margin_bound", MARGIN_BOUND.get(precision, 0.0))

    if backend.device != "cpu" or backend.precision not in ("bfloat16", "int8"):
        return []
    if backend.precision == "int8" and backend.arithmetic == "bfloat16":
        between = cache(partial(backend.at, "bfloat16"))
        return [(bound("int8"), between), (bound("bfloat16"), cache(lambda: between().at("float32")))]
    return [(bound(backend.precision), cache(partial(backend.at, "float32")))]
