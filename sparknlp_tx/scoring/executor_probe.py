"""One task of an executor tried: what it has, and how fast it scores."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.backends import openvino_runtime
from sparknlp_tx.inference.backends.devices import gpu_count
from sparknlp_tx.inference.engine_cache import machine_memory
from sparknlp_tx.inference.score_columns import strings
from sparknlp_tx.inference.scoring_settings import ScoringSettings
from sparknlp_tx.inference.tokenization import Text
from sparknlp_tx.scoring.executor import task_engine


def try_engine(scoring: ScoringSettings, texts: Sequence[Text], seconds: float) -> dict[str, Any]:
    """Load the engine of a task, score some texts in growing batches for so many seconds, and report.

    Returns:
        `host`, `cores` (of the task), `gpus`, `openvino` (installed), `memory_mb` of the machine; `backend`, `device`,
        `precision`, `load_seconds`, `rows_per_second` and `worker_mb`, the most memory that this process has taken.
    """
    from pyspark import TaskContext

    begin = time.perf_counter()
    engine = task_engine(scoring)
    loaded, rate, size = time.perf_counter() - begin, 1.0, 16
    engine.predict_logits(texts[:1])
    end = time.perf_counter() + seconds
    while texts and time.perf_counter() < end:
        begin = time.perf_counter()
        rows = len(engine.predict_logits(texts[:size], scoring.decision.margin))
        rate, size = rows / (time.perf_counter() - begin), 2 * size
    context = TaskContext.get()
    return {
        "host": socket.gethostname(),
        "cores": context.cpus() if context else os.cpu_count(),
        "gpus": gpu_count(),
        "openvino": openvino_runtime.is_installed(),
        "memory_mb": machine_memory() // 10**6,
        "backend": type(engine.backend).__name__.removesuffix("Backend"),
        "device": engine.backend.device,
        "precision": engine.backend.precision,
        "load_seconds": round(loaded, 2),
        "rows_per_second": round(rate, 1),
        "worker_mb": peak_memory() // 10**6,
    }


def peak_memory() -> int:
    """The most memory that this process has had resident, in bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


PROBE_SECONDS = 1.0


def probe(spark: SparkSession, scoring: ScoringSettings, texts: Sequence[Text] = ()) -> dict[str, Any]:
    """Have one task of an executor load the engine, and score some texts for a second.

    Returns:
        What `try_engine` returns.

    Raises:
        InputError: the executor cannot serve the model's device or precision; says what it has.
    """
    answer = spark.range(0, 1, 1, 1).mapInArrow(_prober(scoring, list(texts)), "answer string").collect()[0]["answer"]
    report = json.loads(answer)
    if "error" in report:
        raise InputError(*report["error"])
    return report


def _prober(scoring: ScoringSettings, texts: list[Text]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            pass
        try:
            answer = try_engine(scoring, texts, PROBE_SECONDS)
        except InputError as error:
            answer = {"error": [error.expected, error.found, error.remedy]}
        yield pa.RecordBatch.from_arrays([strings([json.dumps(answer)])], ["answer"])

    return run
