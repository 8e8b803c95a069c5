"""Some texts of a table, and how many tokens they have."""

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.inference.scorer import texts_of
from sparknlp_tx.inference.tokenization import Text, TextEncoder
from sparknlp_tx.spark.named_columns import named

SAMPLE_ROWS = 1_000
SAMPLE_CHARACTERS = 20_000  # of a text; more does not change how it is cut


def sample_texts(texts: DataFrame, rows: int) -> list[Text]:
    """Some texts from all over the table, their first 20,000 characters."""
    cut = texts.select(*(F.substring(named(name), 1, SAMPLE_CHARACTERS).alias(name) for name in texts.columns))
    if rows > 2 * SAMPLE_ROWS:
        cut = cut.sample(min(1.0, 2 * SAMPLE_ROWS / rows), seed=0)
    found = [tuple(row) for row in cut.limit(SAMPLE_ROWS).collect()]
    kept, characters = [], 0
    for text in texts_of(list(zip(*found, strict=True)), "keep") if found else []:
        characters += sum(map(len, text)) if isinstance(text, tuple) else len(text or "")
        if text is not None and characters < 4_000_000:  # they travel to the executor that is tried
            kept.append(text)
    return kept


def length_summary(lengths: np.ndarray) -> dict[str, float]:
    """Mean, median, 95th percentile and largest of some lengths, int [n]."""
    p50, p95 = np.percentile(lengths, (50, 95))
    return {"mean": round(float(lengths.mean()), 1), "p50": int(p50), "p95": int(p95), "max": int(lengths.max())}


def share_cut(lengths: np.ndarray, limit: int) -> float:
    """The share of texts, 0 to 1, that have more tokens than a limit."""
    return round(float((lengths > limit).mean()), 4)


def token_lengths(encoder: TextEncoder, texts: list[Text], max_length: int) -> dict[str, float]:
    """How many tokens texts have: `sample` (texts), `mean`, `p50`, `p95`, `max`, and `cut`, the share longer than `max_length`."""
    lengths = encoder.whole_lengths(texts) if texts else np.zeros(1, np.int64)
    cut = share_cut(lengths, min(max_length, encoder.max_length))
    return {"sample": len(texts), **length_summary(lengths), "cut": cut}
