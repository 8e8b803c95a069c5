"""Texts to logits: tokenise, sort by length, cut into batches by tokens, run, put back in order. Knows no Spark.

`transform`, `predict`, the MLflow pyfunc and the served endpoint all score through this engine.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.backends.backend import Backend
from sparknlp_tx.inference.backends.selection import open_backend
from sparknlp_tx.inference.batching import TOKENS_PER_BATCH, Batching
from sparknlp_tx.inference.decision_rules import REGRESSION, decision_rule
from sparknlp_tx.inference.model_directory import ModelConfig, read_config
from sparknlp_tx.inference.packing import Layout, pack
from sparknlp_tx.inference.rescoring import Margin, RescoringStage, rescoring_stages
from sparknlp_tx.inference.tokenization import Text, TextEncoder, Tokens

WINDOW_ROWS = 8_192  # sorted together: enough that batches hold texts of one length, little enough to hold in memory
WINDOW_CHARACTERS = 32_000_000


@dataclass
class EngineStats:
    """What an engine has done since its counters were taken last.

    Attributes:
        loads: how often it was loaded: 1, once; tasks: how many Spark tasks it began.
        rows: rows scored; invalid: those without a text; texts: those that were not repeated in their window.
        tokens: tokens run, second looks included; padded_tokens: the same with padding.
        second_looks: texts that were scored again at full precision.
        load_seconds, tokenise_seconds, run_seconds: where the time went.
    """

    loads: int = 0
    tasks: int = 0
    rows: int = 0
    invalid: int = 0
    texts: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    second_looks: int = 0
    load_seconds: float = 0.0
    tokenise_seconds: float = 0.0
    run_seconds: float = 0.0


class InferenceEngine:
    """A fine-tuned text classifier, ready to score. Make one with `from_pretrained`.

    Args:
        rescoring: stages that keep float32's labels in reduced precision. A text whose margin (best minus second-best logit,
            thresholds included) is at most the stage's bound is scored again by the stage's backend, then by the next stage.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        backend: Backend,
        config: ModelConfig,
        tokens_per_batch: int,
        rescoring: Sequence[RescoringStage] = (),
    ):
        self.encoder, self.backend, self.config = encoder, backend, config
        self.num_labels = max(1, len(config.labels))
        self._decision = decision_rule(*config)
        self.stats = EngineStats()
        self.batching = Batching(tokens_per_batch, backend.device)
        self.rescoring = rescoring
        self._lock = threading.Lock()  # a server's threads share an engine; a backend runs one batch at a time

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        device: str = "auto",
        precision: str = "auto",
        max_length: int | None = None,
        tokens_per_batch: int | str = "auto",
        threads: int | None = None,
    ) -> "InferenceEngine":
        """Load a model directory that `TransformerClassifier` or Hugging Face wrote.

        Args:
            path: a Hugging Face directory: config.json, model.safetensors, tokenizer.json, tokenizer_config.json; and perhaps
                openvino/, which is used on CPUs.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            precision: `auto`, `float32`, `bfloat16`, `float16` or `int8`; see `backends`.
            max_length: longest sequence in tokens; default the tokenizer's own.
            tokens_per_batch: tokens in a batch, padding included; `auto` is 1,024 on a CPU and 16,384 on a GPU.
            threads: how many a CPU may use; default all its cores.

        Raises:
            InputError: the directory is incomplete, or the device is not there, or it cannot do the precision.
        """
        begin = time.perf_counter()
        config = read_config(path)
        encoder = TextEncoder(path, max_length)
        backend = open_backend(path, device, precision, threads)
        if tokens_per_batch == "auto":
            tokens_per_batch = TOKENS_PER_BATCH[backend.device.partition(":")[0]]
        engine = cls(encoder, backend, config, int(tokens_per_batch), rescoring_stages(path, backend))
        engine.stats = EngineStats(loads=1, load_seconds=time.perf_counter() - begin)
        return engine

    def take_stats(self) -> EngineStats:
        """The counters; they are reset."""
        with self._lock:
            stats, self.stats = self.stats, EngineStats()
        return stats

    def predict_logits(self, texts: Sequence[Text | None], margin: Margin | None = None) -> np.ndarray:
        """Logits of texts or (text, pair) tuples: float32 [n, num_labels]; a row of NaN for None."""
        windows = list(self.iter_logits([texts], margin))
        return np.concatenate(windows) if windows else np.empty((0, self.num_labels), np.float32)

    def predict_proba(self, texts: Sequence[Text | None]) -> np.ndarray:
        """Probabilities of texts: float64 [n, num_labels]; a row of NaN for None.

        Raises:
            InputError: the model is of regression.
        """
        if self._decision.problem_type == REGRESSION:
            raise InputError("a model with labels, for probabilities", "one of regression", "Take predict_logits(texts).")
        return self._decision.probabilities(self.predict_logits(texts))

    def iter_logits(self, batches: Iterable[Sequence[Text | None]], margin: Margin | None = None) -> Iterator[np.ndarray]:
        """Logits of a stream of batches of texts, in order: arrays float32 [rows, num_labels].

        Rows are gathered across batches into windows, so that small batches cost nothing; the arrays have the windows' sizes
        and together as many rows as the batches. A window is held in memory whole; on a GPU two, as the next one is tokenised
        while this one runs.

        Args:
            batches: lists of texts or of (text, pair) tuples.
            margin: by how much a decision leads, for rescoring: `DecisionRule.margin`; default that of the plain thresholds.
        """
        windows = map(self._tokenised, _windows(batches))
        for window in windows if self.backend.device == "cpu" else ahead(windows):
            with self._lock:
                logits = self._window_logits(window, margin or self._decision.margin)
            yield logits

    def token_logits(self, tokens: Tokens) -> np.ndarray:
        """Logits of texts that are tokens already: float32 [n, num_labels]; at most a window of them at a time."""
        return self._window_logits(Window(np.arange(len(tokens.input_ids)), tokens, 0.0), self._decision.margin)

    def _tokenised(self, texts: list[Text | None]) -> "Window":
        """A window's texts, equal ones once, as tokens."""
        begin = time.perf_counter()
        index: dict[Text, int] = {}
        rows = np.fromiter((-1 if text is None else index.setdefault(text, len(index)) for text in texts), np.int64)
        tokens = self.encoder.encode(list(index))
        return Window(rows, tokens, time.perf_counter() - begin)

    def _window_logits(self, window: "Window", margin: Margin) -> np.ndarray:
        """Logits of one window."""
        rows, tokens = window.rows, window.tokens
        texts = len(tokens.input_ids)
        logits = np.full((texts + 1, self.num_labels), np.nan, np.float32)  # the last row stands for None
        begin = time.perf_counter()
        close = np.arange(texts)
        if texts:
            self._run(self.backend, tokens, close, logits)
        for number, (bound, load_backend) in enumerate(self.rescoring):
            close = close[margin(logits[close]) <= bound] if len(close) else close
            if not len(close):
                break
            self._run(load_backend(), tokens, close, logits)
            self.stats.second_looks += len(close) if number == 0 else 0
        self.stats.rows += len(rows)
        self.stats.invalid += int((rows < 0).sum())
        self.stats.texts += texts
        self.stats.tokenise_seconds += window.tokenise_seconds
        self.stats.run_seconds += time.perf_counter() - begin
        return logits[rows]

    def _run(self, backend: Backend, tokens: Tokens, rows: np.ndarray, logits: np.ndarray) -> None:
        """Run some of the texts and write their logits; longest first, so that what does not fit the memory shows at once.

        A GPU's results are fetched at the end, all at once: it is not kept waiting between batches.
        """
        lengths = tokens.lengths()[rows]
        order = rows[np.argsort(-lengths, kind="stable")]
        lengths = np.sort(lengths)[::-1]
        layout = self.batching.layout(lengths) if backend.packs else None
        padded = len(order) - sum(map(len, layout.texts)) if layout else len(order)  # the longest, so many of them
        start, outputs = 0, []
        while start < padded:
            size = self.batching.next_rows(lengths[start:padded])
            batch = order[start : start + size]
            inputs = self.encoder.pad(tokens, batch, self.batching.step(size, int(lengths[start])))
            try:
                outputs.append(backend(inputs))
            except RuntimeError as error:
                if len(batch) == 1 or not backend.is_out_of_memory(error):
                    raise
                self.batching.tokens_per_batch = max(1, self.batching.tokens_per_batch // 2)
                continue
            self.stats.padded_tokens += inputs["input_ids"].size
            start += size
        if padded:
            logits[order[:padded]] = backend.fetch(outputs)
        if layout:
            self._run_packed(backend, tokens, order[padded:], layout, logits)
        self.stats.tokens += int(lengths.sum())

    def _run_packed(self, backend: Backend, tokens: Tokens, rows: np.ndarray, layout: Layout, logits: np.ndarray) -> None:
        """Run texts side by side, so many rows at once as the budget takes."""
        size = self.batching.tokens_per_batch // layout.width
        for start in range(0, len(layout.texts), size):
            batch = pack(self.encoder, tokens, rows, layout, range(len(layout.texts))[start : start + size])
            logits[rows[batch.texts]] = backend(batch.inputs)[batch.places]
            self.stats.padded_tokens += batch.inputs["input_ids"].size


class Window(NamedTuple):
    """Texts that are sorted together: which text each row has (-1: none), int64 [rows], and the distinct texts' tokens."""

    rows: np.ndarray
    tokens: Tokens
    tokenise_seconds: float


def ahead(items: Iterable) -> Iterator:
    """The items, each made in another thread while the one before it is used."""
    source, end = iter(items), object()
    with ThreadPoolExecutor(1, "ahead") as pool:
        following = pool.submit(next, source, end)
        while (item := following.result()) is not end:
            following = pool.submit(next, source, end)
            yield item


def _windows(batches: Iterable[Sequence[Text | None]]) -> Iterator[list[Text | None]]:
    """Gather rows until a window is full, by rows or by characters."""
    window: list[Text | None] = []
    characters = 0
    for batch in batches:
        for text in batch:
            window.append(text)
            characters += len(text) if isinstance(text, str) else sum(map(len, text or ()))
            if len(window) >= WINDOW_ROWS or characters >= WINDOW_CHARACTERS:
                yield window
                window, characters = [], 0
    if window:
        yield window
