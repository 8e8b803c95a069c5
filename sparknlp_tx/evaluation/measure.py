"""Metrics of scored rows: on the driver where they are few, else counted by Spark."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from sparknlp_tx.errors import input_error_in
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, SINGLE, DecisionRule, indicators
from sparknlp_tx.metrics.compute import (
    classification_metrics,
    counted_multi_label_metrics,
    counts_by_label,
    label_metrics,
    metrics_of,
)


class Evaluation(NamedTuple):
    """What evaluating gave.

    Attributes:
        metrics: by name.
        by_label: precision, recall, F1 and support of each label, [num_labels]; empty for regression.
        logits, truth, texts: of each row, as `plots.draw_scores` takes them; None where there are too many rows.
    """

    metrics: dict[str, float]
    by_label: dict[str, np.ndarray] = {}  # noqa: RUF012  a tuple's default, never changed
    logits: np.ndarray | None = None
    truth: Any = None
    texts: list[str] | None = None


def is_unknown(truth: Column, decision: DecisionRule) -> Column:
    """Whether a row has a label that the model does not know; of several labels a row, one of them."""
    return F.array_contains(truth, -1) if decision.problem_type == MULTI else truth == -1


def measured(scored: DataFrame, decision: DecisionRule) -> Evaluation:
    """The metrics of a small DataFrame, and `rows` among them.

    Args:
        scored: `__truth`, as `true_labels` gives it, `__raw`, the logits as an array, `__text`, and `__weight`, above 0.
    """
    found = collected(scored.select("__truth", "__raw", "__text", "__weight"))
    rows = [row for row in found if not _unknown(row[0], decision)]  # one population for all: probabilities are of known labels
    unknown = {"unknown_labels": len(found) - len(rows)} if len(found) > len(rows) else {}
    truth: Any = [row[0] for row in rows]
    if not rows:
        return Evaluation({"rows": 0, **unknown})
    logits, weights = np.asarray([row[1] for row in rows]), np.asarray([row[3] for row in rows])
    if decision.problem_type == MULTI:
        truth = indicators(truth, len(decision.labels))
    metrics, by_label = metrics_of(decision, logits, truth, weights) | {"rows": len(rows)} | unknown, {}
    if decision.problem_type != REGRESSION:
        predicted = decision.predict(decision.probabilities(logits))
        by_label = label_metrics(*counts_by_label(truth, predicted, len(decision.labels), weights))
    return Evaluation(metrics, by_label, logits, truth, [row[2] for row in rows])


def _unknown(truth: Any, decision: DecisionRule) -> bool:
    """As `is_unknown`, of a row that is here."""
    return decision.problem_type != REGRESSION and -1 in (truth if decision.problem_type == MULTI else [truth])


def collected(df: DataFrame) -> list[Row]:
    """The rows. An InputError that an executor raised is raised here as one."""
    try:
        return df.collect()
    except Exception as error:  # its class depends on the kind of session
        refusal = input_error_in(error)
        if refusal is None:
            raise
        raise refusal from None


def counted(scored: DataFrame, decision: DecisionRule) -> Evaluation:
    truth, found = F.col("__truth"), F.col("__prediction")
    if decision.problem_type == SINGLE:
        pairs = collected(scored.groupBy(truth, found).agg(F.sum("__weight"), F.count(F.lit(1))))
        if not pairs:
            return Evaluation({"rows": 0})
        unknown = sum(row[3] for row in pairs if row[0] == -1)
        others = {"unknown_labels": unknown} if unknown else {}
        pairs = [row for row in pairs if row[0] != -1]
        if not pairs:
            return Evaluation({"rows": 0} | others)
        labels, predictions, weights, counts = ([row[n] for row in pairs] for n in range(4))
        metrics = classification_metrics(labels, predictions, weights, len(decision.labels)) | {"rows": sum(counts)} | others
        return Evaluation(metrics, label_metrics(*counts_by_label(labels, predictions, len(decision.labels), weights)))
    if decision.problem_type == REGRESSION:
        return _counted_numbers(scored)
    return _counted_labels(scored, decision)


def _counted_numbers(scored: DataFrame) -> Evaluation:
    """Of regression: weighted sums, in two aggregations, as deviations are taken from the means."""
    truth, found, weight = F.col("__truth"), F.col("__prediction"), F.col("__weight")

    def means(values: dict[str, Column]) -> Any:
        weighted = [(F.sum(weight * value) / F.sum(weight)).alias(name) for name, value in values.items()]
        return collected(scored.agg(F.count(F.lit(1)).alias("rows"), *weighted))[0]

    mean = means({"truth": truth, "found": found})
    if not mean["rows"]:
        return Evaluation({"rows": 0})
    error, (of_truth, of_found) = found - truth, (truth - mean["truth"], found - mean["found"])
    squares = {"mse": error**2, "truth": of_truth**2, "found": of_found**2, "both": of_truth * of_found}
    row = means(squares | {"mae": F.abs(error)})
    spread = (row["truth"] * row["found"]) ** 0.5
    return Evaluation(
        {
            "pearson": row["both"] / spread if spread else 0.0,
            "mse": row["mse"],
            "rmse": row["mse"] ** 0.5,
            "mae": row["mae"],
            "r2": 1 - row["mse"] / row["truth"] if row["truth"] else 0.0,
            "rows": row["rows"],
        }
    )


def _counted_labels(scored: DataFrame, decision: DecisionRule) -> Evaluation:
    """Of several labels a row: for each label how often it was right, wrong, missed, in one aggregation."""
    truth, found = F.col("__truth"), F.transform("__prediction", lambda index: index.cast("int"))
    kinds = {
        "right": F.array_intersect(truth, found),
        "wrong": F.array_except(found, truth),
        "missed": F.array_except(truth, found),
    }

    def entry(kind: Column, label: Column) -> Column:
        return F.struct(kind.alias("kind"), label.cast("int").alias("label"))

    entries = [F.transform(part, partial(entry, F.lit(kind))) for kind, part in kinds.items()]
    same = F.array_sort(truth) == F.array_sort(found)
    row = F.array(entry(F.when(same, F.lit("same")).otherwise(F.lit("other")), F.lit(-1)))
    unknown = F.array(entry(F.lit("unknown"), F.lit(-2)))
    every = F.when(is_unknown(truth, decision), unknown).otherwise(F.concat(row, *entries))
    exploded = scored.select(F.explode(every).alias("entry"), "__weight")
    totals = collected(exploded.groupBy("entry.kind", "entry.label").agg(F.sum("__weight"), F.count(F.lit(1))))
    counts = {(kind, label): weight for kind, label, weight, _ in totals}
    rows, others = (sum(number for _, label, _, number in totals if label == place) for place in (-1, -2))
    unknown_rows = {"unknown_labels": others} if others else {}
    if not rows:
        return Evaluation({"rows": 0} | unknown_rows)
    same, other = (counts.get((kind, -1), 0.0) for kind in ("same", "other"))
    right, wrong, missed = (np.asarray([counts.get((kind, n), 0) for n in range(len(decision.labels))]) for kind in kinds)
    metrics = counted_multi_label_metrics(right, wrong, missed)
    metrics |= {"accuracy": same / (same + other), "rows": rows} | unknown_rows
    return Evaluation(metrics, label_metrics(right, wrong, missed))
