"""Texts to logits: tokenise, sort by length, cut into batches by tokens, run, put back in order. Knows no Spark.

`transform`, `predict`, the MLflow pyfunc and the served endpoint all score through this engine.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from sparknlp_tx.backends import TorchBackend
from sparknlp_tx.decisions import read_config, softmax
from sparknlp_tx.tokenization import Text, TextEncoder

WINDOW_ROWS = 8_192  # rows sorted together: enough that batches hold texts of one length, little enough to hold in memory
WINDOW_CHARACTERS = 32_000_000
TOKENS_PER_BATCH = {"cpu": 1_024, "cuda": 16_384}


class InferenceEngine:
    """A fine-tuned text classifier, ready to score. Make one with `from_pretrained`."""

    def __init__(self, encoder: TextEncoder, backend: TorchBackend, num_labels: int, tokens_per_batch: int):
        self.encoder, self.backend, self.num_labels = encoder, backend, num_labels
        self._tokens_per_batch = tokens_per_batch

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        device: str = "auto",
        precision: str = "auto",
        max_length: int | None = None,
        tokens_per_batch: int | str = "auto",
    ) -> "InferenceEngine":
        """Load a model directory that `TransformerClassifier` or Hugging Face wrote.

        Args:
            path: a Hugging Face directory: config.json, model.safetensors, tokenizer.json, tokenizer_config.json.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            precision: `auto`, `float32`, `bfloat16` or `float16`; see `backends.TorchBackend`.
            max_length: longest sequence in tokens; default the tokenizer's own.
            tokens_per_batch: tokens in a batch, padding included; `auto` is 1,024 on a CPU and 16,384 on a GPU.

        Raises:
            InputError: the directory is incomplete, or the device is not there.
        """
        num_labels = len(read_config(path).labels)
        encoder = TextEncoder(path, max_length)
        backend = TorchBackend(path, device, precision)
        if tokens_per_batch == "auto":
            tokens_per_batch = TOKENS_PER_BATCH[backend.device.partition(":")[0]]
        return cls(encoder, backend, num_labels, int(tokens_per_batch))

    def predict_logits(self, texts: Sequence[Text | None]) -> np.ndarray:
        """Logits of texts or (text, pair) tuples: float32 [n, num_labels]; a row of NaN for None."""
        windows = list(self.iter_logits([texts]))
        return np.concatenate(windows) if windows else np.empty((0, self.num_labels), np.float32)

    def predict_proba(self, texts: Sequence[Text | None]) -> np.ndarray:
        """Probabilities of texts: float64 [n, num_labels]; a row of NaN for None."""
        return softmax(self.predict_logits(texts))

    def iter_logits(self, batches: Iterable[Sequence[Text | None]]) -> Iterator[np.ndarray]:
        """Logits of a stream of batches of texts, in order: arrays float32 [rows, num_labels].

        Rows are gathered across batches into windows, so that small batches cost nothing; the arrays have the windows' sizes
        and together as many rows as the batches. A window is held in memory whole.
        """
        for window in _windows(batches):
            yield self._window_logits(window)

    def _window_logits(self, window: list[Text | None]) -> np.ndarray:
        """Logits of one window; equal texts go through the model once."""
        index: dict[Text, int] = {}
        rows = np.fromiter((-1 if text is None else index.setdefault(text, len(index)) for text in window), np.int64)
        logits = np.full((len(index) + 1, self.num_labels), np.nan, np.float32)  # the last row stands for None
        if index:
            self._fill_logits(list(index), logits)
        return logits[rows]

    def _fill_logits(self, texts: list[Text], logits: np.ndarray) -> None:
        tokens = self.encoder.encode(texts)
        lengths = tokens.lengths()
        order = np.argsort(-lengths, kind="stable")  # longest first: what does not fit the memory shows at once
        start = 0
        while start < len(order):
            size = max(1, self._tokens_per_batch // int(lengths[order[start]] or 1))
            batch = order[start : start + size]
            try:
                logits[batch] = self.backend(self.encoder.pad(tokens, batch))
            except RuntimeError as error:
                if len(batch) == 1 or not self.backend.is_out_of_memory(error):
                    raise
                self._tokens_per_batch = max(1, self._tokens_per_batch // 2)
                continue
            start += len(batch)


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
