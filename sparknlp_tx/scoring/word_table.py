"""Words by label over a table: each row's words are weighed in the executors, and Spark adds them up."""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.data.text_columns import text_column
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION
from sparknlp_tx.inference.score_columns import numbers, strings
from sparknlp_tx.inference.scorer import texts_of
from sparknlp_tx.inference.scoring_settings import ScoringSettings
from sparknlp_tx.inference.word_weights import WordWeights, weigh_words
from sparknlp_tx.scoring.executor import task_engine

TEXTS_PER_BATCH = 256  # whose words go back to Spark together


def words_by_label(dataset: DataFrame, scoring: ScoringSettings, label: int | None, exact_words: int) -> DataFrame:
    """One row a label and lower-cased word; starts no job. `TransformerClassificationModel.words_by_label` says more.

    Args:
        label: the index of the label to explain in every row; None for those that are predicted.
    """
    texts = dataset.select(*(text_column(dataset, name).alias(f"text{n}") for n, name in enumerate(scoring.text_columns)))
    words = texts.mapInArrow(_weigher(scoring, label, exact_words), "label string, word string, weight double")
    if scoring.decision.problem_type == REGRESSION:
        words = words.withColumn("label", F.lit(None).cast("string"))
    found = words.groupBy("label", "word").agg(
        F.count(F.lit(1)).alias("rows"), F.sum("weight").alias("weight"), F.avg("weight").alias("mean_weight")
    )
    return found.orderBy(F.desc(F.abs("weight")), "label", "word")


def _weigher(
    scoring: ScoringSettings, label: int | None, exact_words: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function that runs in a task: texts in; label, word and weight out, one row for each word that a text has."""

    def weigh(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = [column.to_pylist() for column in batch.columns]
            texts = [text for text in texts_of(columns, scoring.handle_invalid) if text is not None]
            for start in range(0, len(texts), TEXTS_PER_BATCH):
                part = texts[start : start + TEXTS_PER_BATCH]
                rows: list[tuple[str, str, float]] = []
                for explained in weigh_words(task_engine(scoring), scoring.decision, part, label, exact_words):
                    rows.extend(_rows(explained, scoring.decision.problem_type == MULTI and label is None))
                arrays = [strings([row[0] for row in rows]), strings([row[1] for row in rows])]
                weights = numbers(np.asarray([row[2] for row in rows], np.float64))
                yield pa.RecordBatch.from_arrays([*arrays, weights], ["label", "word", "weight"])

    return weigh


def _rows(explained: WordWeights, predicted_alone: bool) -> Iterator[tuple[str, str, float]]:
    """Label, word and weight: a word that a text has twice adds up; what the model does not read is left out."""
    for one in (explained, *explained.others):
        if predicted_alone and one.margin <= 0:
            continue
        sums: Counter[str] = Counter()
        for word in one.words:
            if word.read:
                sums[word.text.lower()] += word.weight  # type: ignore[assignment]
        yield from ((one.label or "", word, float(weight)) for word, weight in sums.items())
