"""What runs inside an executor: the functions of the UDFs, the device and the cores of a Spark task."""

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparknlp_tx.inference.backends.devices import gpu_count
from sparknlp_tx.inference.engine import EngineStats, InferenceEngine
from sparknlp_tx.inference.engine_cache import engine_for
from sparknlp_tx.inference.score_columns import arrow_columns, frame_columns, numbers
from sparknlp_tx.inference.scorer import texts_of
from sparknlp_tx.inference.scoring_settings import STAT_TYPES, STATS, ScoringSettings
from sparknlp_tx.spark.task import task_cores

if TYPE_CHECKING:
    import pandas as pd

VALUES_PER_BATCH = 4_000_000  # numbers in an Arrow batch that goes back to Spark: 32 MB


def score_arrow(scoring: ScoringSettings, observed: bool = False) -> Callable[[Iterator[pa.Array]], Iterator[pa.Array]]:
    """The function of a scalar-iterator Arrow UDF: structs of a text, or of a text and its pair, to structs of columns.

    A worker that runs it does not import pandas. Batches come back cut otherwise than they went in, in the same order.
    """

    def score(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        for columns, stats in _score_task((_lists(batch) for batch in batches), scoring):
            arrays = arrow_columns(columns, scoring.decision.labels)
            arrays = {field: arrays[field] for field in scoring.columns}
            if observed:
                arrays[STATS] = _counted(stats, len(columns["prediction"]))
            yield pa.StructArray.from_arrays(list(arrays.values()), names=list(arrays))

    return score


def score_pandas(
    scoring: ScoringSettings, observed: bool = False
) -> Callable[[Iterator["pd.DataFrame"]], Iterator["pd.DataFrame"]]:
    """The same as a pandas UDF, for Spark 4.0, which has no Arrow UDFs."""

    def score(batches: Iterator["pd.DataFrame"]) -> Iterator["pd.DataFrame"]:
        for columns, stats in _score_task(map(_pandas_lists, batches), scoring):
            frame = frame_columns(columns, scoring.decision.labels)[list(scoring.columns)]
            if observed:
                zeros = EngineStats()
                frame[STATS] = [vars(stats if row == 0 else zeros) for row in range(len(frame))]
            yield frame

    return score


def _score_task(
    batches: Iterator[Sequence[list]], scoring: ScoringSettings
) -> Iterator[tuple[dict[str, np.ndarray], EngineStats]]:
    """The columns of texts to the columns of scores, and what the engine did for them; an empty task loads no model."""
    first = next(batches, None)
    if first is None:
        return
    engine: InferenceEngine = task_engine(scoring)
    engine.stats.tasks += 1
    scoring.check_columns(len(first))
    texts: Iterable = (texts_of(columns, scoring.handle_invalid) for columns in chain([first], batches))
    size = max(1, VALUES_PER_BATCH // engine.num_labels)
    for logits in engine.iter_logits(texts, scoring.decision.margin):
        for start in range(0, len(logits), size):
            columns = scoring.decision.columns(logits[start : start + size])
            yield columns, engine.take_stats()


def _lists(batch: pa.Array | tuple[pa.Array, ...]) -> list[list]:
    """The columns of texts in what a UDF gets: a struct of them, one, or several."""
    if isinstance(batch, pa.StructArray):
        batch = batch.flatten()  # with the struct's own nulls, as `field` has not
    return [column.to_pylist() for column in (batch if isinstance(batch, list | tuple) else [batch])]


def _pandas_lists(batch: Any) -> list[list]:
    """The same of pandas."""
    if hasattr(batch, "columns"):
        return [batch.iloc[:, position].tolist() for position in range(batch.shape[1])]
    return [column.tolist() for column in (batch if isinstance(batch, tuple) else [batch])]


def _counted(stats: EngineStats, rows: int) -> pa.Array:
    """Counters as a column: in the first row, zeros in the others, to be summed."""
    arrays = []
    for kind, value in zip(STAT_TYPES.values(), astuple(stats), strict=True):
        values = np.zeros(rows, np.int64 if kind == "bigint" else np.float64)
        values[0] = value
        arrays.append(numbers(values))
    return pa.StructArray.from_arrays(arrays, names=list(STAT_TYPES))


def task_engine(scoring: ScoringSettings) -> InferenceEngine:
    """The engine for a Spark task: on the device that the task owns, with as many threads as the task has cores."""
    from pyspark import TaskContext

    context, cores = TaskContext.get(), task_cores()
    engine = engine_for(scoring, task_device(scoring.device, context), cores)
    if engine.stats.loads and context:  # just loaded: it stays, and so does all that was imported
        gc.freeze()  # pyspark collects garbage after each task: 15 ms over what stays, which is most of a small task
    return engine


def task_device(device: str, context: Any) -> str:
    """The device of a Spark task: what is asked for, else the task's GPU resource, else its share of the GPUs seen here."""
    gpus = gpu_count() if device in ("auto", "cuda") else 0
    if not gpus:
        return "cpu" if device == "auto" else device
    if context is None or gpus == 1:
        return "cuda:0"
    granted = context.resources().get("gpu")
    if granted and not os.environ.get("CUDA_VISIBLE_DEVICES"):
        return f"cuda:{granted.addresses[0]}"
    return f"cuda:{context.partitionId() % gpus}"
