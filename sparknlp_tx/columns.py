"""Scores as columns: Arrow arrays for the executors, a pandas frame for everyone else. Knows no Spark.

The Arrow side never calls `pyarrow.array`: it would import pandas, which takes a second of each worker's start.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

_TYPES = {"int32": pa.int32(), "int64": pa.int64(), "float64": pa.float64()}


def arrow_columns(columns: Mapping[str, np.ndarray], labels: Sequence[str]) -> dict[str, pa.Array]:
    """Scores as Arrow arrays, `predictedLabel` among them; null in the rows of NaN.

    Args:
        columns: what `Decision.columns` gives: vectors float64 [n, num_labels], numbers float64 [n].
        labels: the labels' names, by index.
    """
    valid = ~np.isnan(columns["prediction"])
    arrays = {name: vectors(values, valid) if values.ndim == 2 else numbers(values, valid) for name, values in columns.items()}
    index = numbers(np.where(valid, columns["prediction"], 0).astype(np.int64), valid)
    return arrays | {"predictedLabel": strings(labels).take(index)}


def frame_columns(columns: Mapping[str, np.ndarray], labels: Sequence[str]) -> "pd.DataFrame":
    """The same as a pandas frame: vectors as float64 arrays [num_labels], None in the rows of NaN."""
    import pandas as pd

    valid = ~np.isnan(columns["prediction"])
    lists = dict(columns) | {
        "predictedLabel": [labels[int(p)] if ok else "" for p, ok in zip(columns["prediction"], valid, strict=True)]
    }
    frame = {name: [value if ok else None for value, ok in zip(values, valid, strict=True)] for name, values in lists.items()}
    return pd.DataFrame(frame, columns=list(frame))


def numbers(values: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    """An Arrow array over a numpy array [n] of int32, int64 or float64; null where `valid`, bool [n], is false."""
    return pa.Array.from_buffers(_TYPES[values.dtype.name], len(values), [_bitmap(valid), pa.py_buffer(values)])


def vectors(values: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    """An Arrow array of lists over a matrix, float64 [n, width]."""
    rows, width = values.shape
    offsets = pa.py_buffer(np.arange(0, rows * width + 1, width, dtype=np.int32))
    return pa.Array.from_buffers(
        pa.list_(pa.float64()), rows, [_bitmap(valid), offsets], children=[numbers(np.ascontiguousarray(values).reshape(-1))]
    )


def strings(values: Sequence[str]) -> pa.Array:
    """An Arrow array of strings."""
    encoded = [value.encode() for value in values]
    offsets = np.concatenate([[0], np.cumsum([len(value) for value in encoded])]).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))])


def _bitmap(valid: np.ndarray | None) -> pa.Buffer | None:
    return None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
