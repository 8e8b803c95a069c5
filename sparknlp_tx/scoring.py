"""All that runs inside an executor: the pandas UDF, where its model lies, which device it uses, the engines it keeps."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sparknlp_tx.artifact import directory_bytes
from sparknlp_tx.backends import gpu_count
from sparknlp_tx.decisions import Decision
from sparknlp_tx.distribution import ModelLocation
from sparknlp_tx.engine import InferenceEngine
from sparknlp_tx.errors import InputError
from sparknlp_tx.tokenization import Text

FIELD_TYPES = {
    "rawPrediction": "array<double>",
    "probability": "array<double>",
    "prediction": "double",
    "predictedLabel": "string",
}


@dataclass(frozen=True)
class Scoring:
    """What an executor needs to know to score: small, without a session or a model in it.

    Args:
        location: where the model lies.
        decision: how logits become predictions.
        columns: the fields to give (the keys of FIELD_TYPES) by the names of their columns.
        text_columns: names of the text column and, for pairs, of the second one.
        device, precision, max_length, tokens_per_batch, handle_invalid: as the Params of these names.
    """

    location: ModelLocation
    decision: Decision
    columns: dict[str, str]
    text_columns: tuple[str, ...]
    device: str
    precision: str
    max_length: int
    tokens_per_batch: int | str
    handle_invalid: str

    @classmethod
    def from_params(cls, values: dict[str, Any], labels: Sequence[str], location: ModelLocation) -> "Scoring":
        """From a model's Params by name, defaults included.

        Raises:
            InputError: thresholds that do not fit the labels.
        """
        thresholds = values.get("thresholds")
        decision = Decision(tuple(labels), values["threshold"], tuple(thresholds) if thresholds else None)
        decision.check()
        return cls(
            location=location,
            decision=decision,
            columns={field: values[field + "Col"] for field in FIELD_TYPES if values.get(field + "Col")},
            text_columns=tuple(values[name] for name in ("textCol", "textPairCol") if values.get(name)),
            device=values["device"],
            precision=values["precision"],
            max_length=values["maxLength"],
            tokens_per_batch=values["tokensPerBatch"],
            handle_invalid=values["handleInvalid"],
        )

    def return_type(self) -> str:
        """The struct that the UDF returns, as a DDL string."""
        return ", ".join(f"{field} {FIELD_TYPES[field]}" for field in self.columns)


def score_batches(scoring: Scoring) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """The function of a scalar-iterator pandas UDF: structs of a text, or of a text and its pair, to structs of columns."""

    def score(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        engine = task_engine(scoring)
        yield from score_frames(batches, engine, scoring)

    return score


def score_frames(frames: Iterable[pd.DataFrame], engine: InferenceEngine, scoring: Scoring) -> Iterator[pd.DataFrame]:
    """Frames of texts to frames of scores: the same rows in the same order, cut otherwise."""
    texts = (texts_of(frame, scoring.handle_invalid) for frame in frames)
    for logits in engine.iter_logits(texts, scoring.decision.margin):
        columns = scoring.decision.columns(logits)
        yield pd.DataFrame({field: columns[field] for field in scoring.columns})


def score_frame(frame: pd.DataFrame, scoring: Scoring) -> pd.DataFrame:
    """Score a frame in this process, without Spark: its text columns in, the columns of `transform` out, a row a row.

    With `handle_invalid` `skip` the rows of invalid texts are left out, as there; the index says which are there.
    """
    engine = engine_for(scoring, scoring.device)
    texts = frame[list(scoring.text_columns)]
    scored = list(score_frames([texts], engine, scoring)) or [pd.DataFrame(columns=list(scoring.columns))]
    scores = pd.concat(scored).set_axis(frame.index).rename(columns=scoring.columns)
    if scoring.handle_invalid == "skip":
        scores = scores[[text is not None for text in texts_of(texts, scoring.handle_invalid)]]
    return scores


def texts_of(frame: pd.DataFrame, handle_invalid: str) -> list[Text | None]:
    """The texts of a frame with one column, the (text, pair) tuples of one with two; None for what is null or empty.

    Raises:
        InputError: an invalid text, where `handle_invalid` is `error`.
    """
    columns = [frame.iloc[:, position].tolist() for position in range(frame.shape[1])]
    texts = [row if all(isinstance(text, str) and text for text in row) else None for row in zip(*columns, strict=True)]
    if handle_invalid == "error" and None in texts:
        raise InputError(
            "no null and no empty text, as handleInvalid='error' says",
            f"{texts.count(None)} of them among {len(texts)} rows",
            "Filter them out, or set handleInvalid to 'keep' or 'skip'.",
        )
    return texts if len(columns) > 1 else [row and row[0] for row in texts]


def engine_for(scoring: Scoring, device: str, threads: int | None = None) -> InferenceEngine:
    """The engine for a model, loaded once in this process, however many tasks, UDFs and threads ask for it."""
    settings = (device, scoring.precision, scoring.max_length, scoring.tokens_per_batch, threads)
    return _engines.get(
        (scoring.location.key, *settings),
        lambda: InferenceEngine.from_pretrained(scoring.location.verified(), *settings),
        lambda: directory_bytes(scoring.location.resolve()),
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


def _memory_share() -> int:
    """What the models of one worker may take: a quarter of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4 if hasattr(os, "sysconf") else 4 * 1024**3


_engines = EngineCache(_memory_share())


def task_engine(scoring: Scoring) -> InferenceEngine:
    """The engine for a Spark task: on the device that the task owns, with as many threads as the task has cores."""
    from pyspark import TaskContext

    context = TaskContext.get()
    cores = context.cpus() if context else None
    if cores:
        os.environ.setdefault("RAYON_NUM_THREADS", str(cores))
    return engine_for(scoring, task_device(scoring.device, context), cores)


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
