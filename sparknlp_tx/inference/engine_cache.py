"""The engines that a process has loaded: each once, the least recently used dropped where memory is short."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from sparknlp_tx.inference.backends.selection import unused_files
from sparknlp_tx.inference.engine import InferenceEngine
from sparknlp_tx.inference.scoring_settings import ScoringSettings

if TYPE_CHECKING:
    pass


def engine_for(scoring: ScoringSettings, device: str, threads: int | None = None) -> InferenceEngine:
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


def machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 16 * 1024**3


_engines = EngineCache(machine_memory() // 4)
