"""Scores as columns: Arrow arrays for the executors, a pandas frame for everyone else. Knows no Spark.

The Arrow side never calls `pyarrow.array`: it would import pandas, which takes a second of each worker's start.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

_TYPES = {"int32": pa.int32(), "int64": pa.int64(), "float64": pa.float64()}


def arrow_columns(columns: Mapping[str, np.ndarray], labels: Sequence[str]) -> dict[str, pa.Array]:
    """Scores as Arrow arrays, `predictedLabel` among them where there are labels; null in the rows of NaN.

    Args:
        columns: what `DecisionRule.columns` gives: vectors float64 [n, num_labels], numbers float64 [n], chosen labels bool [n, num_labels].
        labels: the labels' names, by index.
    """
    valid = scored_rows(columns)
    arrays = {name: _array(values, valid) for name, values in columns.items()}
    chosen = columns["prediction"]
    if chosen.dtype == bool:
        names = strings(labels).take(numbers(np.nonzero(chosen)[1]))
        arrays["predictedLabel"] = lists(chosen.sum(axis=1), names, valid)
    elif labels:
        arrays["predictedLabel"] = strings(labels).take(numbers(np.where(valid, chosen, 0).astype(np.int64), valid))
    return arrays


def _array(values: np.ndarray, valid: np.ndarray) -> pa.Array:
    if values.dtype == bool:
        return lists(values.sum(axis=1), numbers(np.nonzero(values)[1].astype(np.float64)), valid)
    return vectors(values, valid) if values.ndim == 2 else numbers(values, valid)


def scored_rows(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which rows have scores: bool [n]; false in the rows of NaN."""
    values = columns.get("rawPrediction", columns["prediction"])
    return ~np.isnan(values if values.ndim == 1 else values[:, 0])


def frame_columns(columns: Mapping[str, np.ndarray], labels: Sequence[str]) -> "pd.DataFrame":
    """The same as a pandas frame: vectors as float64 arrays [num_labels], None in the rows of NaN."""
    import pandas as pd

    frame = _values(columns, labels, dict(columns))
    return pd.DataFrame(frame, columns=list(frame))


def plain_columns(columns: Mapping[str, np.ndarray], labels: Sequence[str]) -> dict[str, list]:
    """The same as lists of what JSON takes: vectors as lists of floats, None in the rows of NaN."""
    return _values(columns, labels, {name: values.tolist() for name, values in columns.items()})


def _values(columns: Mapping[str, np.ndarray], labels: Sequence[str], values: dict[str, Any]) -> dict[str, list]:
    """A list a column; None in the rows of NaN."""
    valid = scored_rows(columns)
    chosen = columns["prediction"]
    if chosen.dtype == bool:
        indices = [np.flatnonzero(row) for row in chosen]
        plain = isinstance(values["prediction"], list)
        values["prediction"] = [row.astype(np.float64).tolist() if plain else row.astype(np.float64) for row in indices]
        values["predictedLabel"] = [[labels[index] for index in row.tolist()] for row in indices]
    elif labels:
        values["predictedLabel"] = [labels[int(p)] if ok else "" for p, ok in zip(chosen, valid, strict=True)]
    return {name: [value if ok else None for value, ok in zip(rows, valid, strict=True)] for name, rows in values.items()}


def numbers(values: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    """An Arrow array over a numpy array [n] of int32, int64 or float64; null where `valid`, bool [n], is false."""
    return pa.Array.from_buffers(
        _TYPES[values.dtype.name], len(values), [_bitmap(valid), pa.py_buffer(np.ascontiguousarray(values))]
    )


def vectors(values: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    """An Arrow array of lists over a matrix, float64 [n, width]."""
    rows, width = values.shape
    return lists(np.full(rows, width), numbers(values.reshape(-1)), valid)


def lists(lengths: np.ndarray, values: pa.Array, valid: np.ndarray | None = None) -> pa.Array:
    """An Arrow array of lists of so many values each, int [n], which lie one after another in `values`."""
    offsets = pa.py_buffer(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    return pa.Array.from_buffers(pa.list_(values.type), len(lengths), [_bitmap(valid), offsets], children=[values])


def strings(values: Sequence[str]) -> pa.Array:
    """An Arrow array of strings."""
    encoded = [value.encode() for value in values]
    offsets = np.concatenate([[0], np.cumsum([len(value) for value in encoded])]).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))])


def _bitmap(valid: np.ndarray | None) -> pa.Buffer | None:
    return None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
