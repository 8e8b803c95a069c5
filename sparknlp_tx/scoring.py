"""Rows to scores: the UDFs that run inside an executor, and their like without Spark for `predict` and the pyfunc."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparknlp_tx.columns import arrow_columns, frame_columns, numbers
from sparknlp_tx.decisions import Decision, ModelConfig, decision_for
from sparknlp_tx.distribution import ModelLocation
from sparknlp_tx.engine import EngineStats, InferenceEngine
from sparknlp_tx.errors import InputError
from sparknlp_tx.tokenization import Text
from sparknlp_tx.worker import engine_for, task_engine

if TYPE_CHECKING:
    import pandas as pd

STATS = "stats"  # the field of a task's counters, where they are observed
STAT_TYPES = {field.name: "bigint" if field.type is int else "double" for field in fields(EngineStats)}
VALUES_PER_BATCH = 4_000_000  # numbers in an Arrow batch that goes back to Spark: 32 MB


@dataclass(frozen=True)
class Scoring:
    """What an executor needs to know to score: small, without a session or a model in it.

    Args:
        location: where the model lies.
        decision: how logits become predictions.
        columns: the fields to give, of those the decision has, by the names of their columns.
        text_columns: names of the text column and, for pairs, of the second one.
        device, precision, max_length, tokens_per_batch, handle_invalid: as the Params of these names.
    """

    location: ModelLocation
    decision: Decision
    columns: Mapping[str, str]
    text_columns: tuple[str, ...]
    device: str
    precision: str
    max_length: int
    tokens_per_batch: int | str
    handle_invalid: str

    @classmethod
    def from_params(cls, values: dict[str, Any], config: ModelConfig, location: ModelLocation) -> "Scoring":
        """From a model's Params by name, defaults included, and what its `config.json` says.

        Raises:
            InputError: thresholds that do not fit the labels.
        """
        thresholds = tuple(values["thresholds"]) if values.get("thresholds") else None
        decision = decision_for(*config, threshold=values["threshold"], thresholds=thresholds)
        decision.check()
        return cls(
            location=location,
            decision=decision,
            columns={field: values[field + "Col"] for field in decision.fields if values.get(field + "Col")},
            text_columns=tuple(values[name] for name in ("textCol", "textPairCol") if values.get(name)),
            device=values["device"],
            precision=values["precision"],
            max_length=values["maxLength"],
            tokens_per_batch=values["tokensPerBatch"],
            handle_invalid=values["handleInvalid"],
        )

    def check_columns(self, number: int) -> None:
        """Raise InputError where a function gets more columns or fewer than there are of texts."""
        if number != len(self.text_columns):
            expected = "a text" if len(self.text_columns) == 1 else "a text and its pair"
            raise InputError(
                f"{expected}, as the model was fitted", f"{number} columns", "Change them, or the model's textPairCol."
            )

    def return_type(self, observed: bool = False) -> str:
        """The struct that the UDF returns, as a DDL string; with the counters where they are observed."""
        parts = [f"{field} {self.decision.fields[field]}" for field in self.columns]
        if observed:
            parts.append(f"{STATS} struct<{', '.join(f'{name}: {kind}' for name, kind in STAT_TYPES.items())}>")
        return ", ".join(parts)


def score_arrow(scoring: Scoring, observed: bool = False) -> Callable[[Iterator[pa.Array]], Iterator[pa.Array]]:
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


def score_pandas(scoring: Scoring, observed: bool = False) -> Callable[[Iterator["pd.DataFrame"]], Iterator["pd.DataFrame"]]:
    """The same as a pandas UDF, for Spark 4.0, which has no Arrow UDFs."""

    def score(batches: Iterator["pd.DataFrame"]) -> Iterator["pd.DataFrame"]:
        for columns, stats in _score_task(map(_pandas_lists, batches), scoring):
            frame = frame_columns(columns, scoring.decision.labels)[list(scoring.columns)]
            if observed:
                zeros = EngineStats()
                frame[STATS] = [vars(stats if row == 0 else zeros) for row in range(len(frame))]
            yield frame

    return score


def score_frame(frame: "pd.DataFrame", scoring: Scoring) -> "pd.DataFrame":
    """Score a frame in this process, without Spark: its text columns in, the columns of `transform` out, a row a row.

    With `handle_invalid` `skip` the rows of invalid texts are left out, as there; the index says which are there.
    """
    texts = texts_of([frame[name].tolist() for name in scoring.text_columns], scoring.handle_invalid)
    logits = engine_for(scoring, scoring.device).predict_logits(texts, scoring.decision.margin)
    scores = frame_columns(scoring.decision.columns(logits), scoring.decision.labels)
    scores = scores[list(scoring.columns)].set_axis(frame.index).rename(columns=scoring.columns)
    return scores[[text is not None for text in texts]] if scoring.handle_invalid == "skip" else scores


def rows_of_texts(texts: Any, width: int) -> list[tuple[str | None, ...]]:
    """A list of texts, or of (text, pair) tuples, as rows of one or two columns.

    Raises:
        InputError: it is something else.
    """
    if isinstance(texts, str):
        raise InputError("a list of texts", "one text", "Put it into a list.")
    if hasattr(texts, "columns"):
        raise InputError(
            "a list of texts", "a DataFrame", "Take transform(df) of Spark's, or predict(list(df['text'])) of pandas'."
        )
    import pandas as pd

    rows: list[tuple[str | None, ...]] = []
    for text in texts:
        row = tuple(text) if isinstance(text, tuple | list) else (text,)
        if not isinstance(text, str | tuple | list) and pd.isna(text):
            row = (None,) * width
        if len(row) != width or not all(part is None or isinstance(part, str) for part in row):
            expected = "texts" if width == 1 else "(text, pair) tuples, as textPairCol is set"
            raise InputError(expected, repr(text)[:80], "Change the list, or textPairCol.")
        rows.append(row)
    return rows


def texts_of(columns: Sequence[Sequence[str | None]], handle_invalid: str) -> list[Text | None]:
    """The texts of one column, the (text, pair) tuples of two; None for what is null or empty.

    Raises:
        InputError: an invalid text, where `handle_invalid` is `error`.
    """
    rows = zip(*columns, strict=True)
    texts: list[Text | None] = [row if all(isinstance(text, str) and text for text in row) else None for row in rows]
    if handle_invalid == "error" and None in texts:
        raise InputError(
            "no null and no empty text, as handleInvalid='error' says",
            f"{texts.count(None)} of them among {len(texts)} rows",
            "Filter them out, or set handleInvalid to 'keep' or 'skip'.",
        )
    return texts if len(columns) > 1 else [row and row[0] for row in texts]


def _score_task(batches: Iterator[Sequence[list]], scoring: Scoring) -> Iterator[tuple[dict[str, np.ndarray], EngineStats]]:
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
    """Counters as a column: in the first row; zeros in the others, so that a sum tells."""
    arrays = []
    for kind, value in zip(STAT_TYPES.values(), astuple(stats), strict=True):
        values = np.zeros(rows, np.int64 if kind == "bigint" else np.float64)
        values[0] = value
        arrays.append(numbers(values))
    return pa.StructArray.from_arrays(arrays, names=list(STAT_TYPES))
