"""Texts to columns of scores in this process, without Spark: for `predict`, the pyfunc and servers."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.engine_cache import engine_for
from sparknlp_tx.inference.score_columns import frame_columns
from sparknlp_tx.inference.scoring_settings import ScoringSettings
from sparknlp_tx.inference.tokenization import Text

if TYPE_CHECKING:
    import pandas as pd


def score_frame(frame: "pd.DataFrame", scoring: ScoringSettings) -> "pd.DataFrame":
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
    if not isinstance(texts, Iterable):
        raise InputError("a list of texts", repr(texts)[:80], "Put texts into a list.")
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
