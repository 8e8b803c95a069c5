"""What a Python worker of an executor keeps and owns: the engines it has loaded, the device and the cores of its task."""

import gc
import os
import socket
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sparknlp_tx import openvino_runtime
from sparknlp_tx.backends import gpu_count, unused_files
from sparknlp_tx.engine import InferenceEngine
from sparknlp_tx.tokenization import Text

if TYPE_CHECKING:
    from sparknlp_tx.scoring import Scoring


def engine_for(scoring: "Scoring", device: str, threads: int | None = None) -> InferenceEngine:
    """The engine for a model, loaded once in this process, however many tasks, UDFs and threads ask for it."""
    settings = (device, scoring.precision, scoring.max_length, scoring.tokens_per_batch, threads)
    location = scoring.location

    def unused() -> tuple[str, ...]:
        return unused_files(location.resolve(), device, scoring.precision)

    return _engines.get(
        (location.key, *settings),
        lambda: InferenceEngine.from_pretrained(location.verified(unused()), *settings),
        lambda: location.size(unused()),
    )


class EngineCache:
    """Engines by key, bounded by the size of their models on disk; the least recently used goes first."""

    def __init__(self, max_bytes: int):
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._engines: OrderedDict[tuple, tuple[InferenceEngine, int]] = OrderedDict()

    def get(self, key: tuple, load: Callable[[], InferenceEngine], size: Callable[[], int]) -> InferenceEngine:
        """The engine of a key; loaded where it is not there, by one thread while the others wait."""
        with self._lock:
            if key in self._engines:
                self._engines.move_to_end(key)
                return self._engines[key][0]
            needed = size()
            while self._engines and needed + sum(held for _, held in self._engines.values()) > self._max_bytes:
                self._engines.popitem(last=False)
            self._engines[key] = (load(), needed)
            return self._engines[key][0]


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 16 * 1024**3


_engines = EngineCache(_machine_memory() // 4)


def task_engine(scoring: "Scoring") -> InferenceEngine:
    """The engine for a Spark task: on the device that the task owns, with as many threads as the task has cores."""
    from pyspark import TaskContext

    context = TaskContext.get()
    cores = context.cpus() if context else None
    if cores:
        os.environ.setdefault("RAYON_NUM_THREADS", str(cores))
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


def try_engine(scoring: "Scoring", texts: Sequence[Text], seconds: float) -> dict[str, Any]:
    """Load the engine of a task and score ever larger parts of some texts for so many seconds; tells how that went.

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
        "memory_mb": _machine_memory() // 10**6,
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
