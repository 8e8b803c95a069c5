"""A model evaluated on a labelled DataFrame: scored on the executors, once, and measured.

What is small is measured from probabilities on the driver; of what is not, Spark counts, and the metrics that need every
probability are left out.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.decisions import MULTI, REGRESSION, SINGLE, Decision
from sparknlp_tx.labels import label_name, label_names, problem_type_of
from sparknlp_tx.metrics import (
    classification_metrics,
    counted_multi_label_metrics,
    counts_by_label,
    indicators,
    label_metrics,
    metrics_of,
)
from sparknlp_tx.training_columns import text_column

if TYPE_CHECKING:
    from sparknlp_tx.classification import TransformerClassificationModel
    from sparknlp_tx.contract import ClassificationModelMethods

SHOWN_CHARACTERS = 300
COLLECTED_NUMBERS = 2_000_000  # rows times labels that are evaluated on the driver


class Evaluation(NamedTuple):
    """What evaluating gave.

    Attributes:
        metrics: by name.
        by_label: precision, recall, F1 and support of each label, [num_labels]; empty for regression.
        logits, truth, texts: of each row, as `pictures.draw_scores` takes them; None where there are too many rows.
    """

    metrics: dict[str, float]
    by_label: dict[str, np.ndarray] = {}  # noqa: RUF012  a tuple's default, never changed
    logits: np.ndarray | None = None
    truth: Any = None
    texts: list[str] | None = None


def evaluate(model: "TransformerClassificationModel", dataset: DataFrame) -> dict[str, float]:
    """Score labelled rows on the executors, once, and measure; rows without a text are left out.

    Args:
        dataset: has the model's text columns and its label column.

    Returns:
        The metrics of the model's kind of task, see `metrics_of`, and `rows`, how many were evaluated. Where rows times labels
        are more than 2,000,000, those that Spark can count: accuracy, precision, recall, F1, Matthews, Pearson, the errors.
    """
    return evaluate_rows(model, dataset).metrics


def evaluate_rows(model: "ClassificationModelMethods", dataset: DataFrame, texts: bool = False) -> Evaluation:
    """As `evaluate`, with what it was measured from.

    Args:
        texts: whether the rows' texts are wanted, too; of each the first 300 characters.
    """
    decision = model.decision
    outputs = {"rawPredictionCol": "", "probabilityCol": "", "predictedLabelCol": "", "predictionCol": "__prediction"}
    small = dataset.count() * max(1, len(decision.labels)) <= COLLECTED_NUMBERS
    if small and decision.problem_type != REGRESSION:
        outputs["rawPredictionCol"] = "__raw"
    quiet = model.copy({model.getParam(name): value for name, value in outputs.items()})
    truth = true_labels(dataset, model.getLabelCol(), decision)
    columns = [F.col(f"`{name}`") for name in model.text_columns]
    scored = quiet.transform(dataset.select(*columns, truth.alias("__truth")))
    scored = scored.filter(F.col("__prediction").isNotNull() & F.col("__truth").isNotNull())
    if not small:
        return _counted(scored, decision)
    raw = F.array("__prediction") if decision.problem_type == REGRESSION else vector_to_array(F.col("__raw"))
    shown = F.concat_ws(" | ", *map(text_column, model.text_columns))
    text = F.substring(shown, 1, SHOWN_CHARACTERS) if texts else F.lit("")
    return measured(scored.select("__truth", raw.alias("__raw"), text.alias("__text")), decision)


def true_labels(df: DataFrame, column: str, decision: Decision) -> Column:
    """A label column as `metrics_of` wants it: an index (-1: not one of the model's), an array of them, or a number."""
    problem_type_of(df.schema, column, decision.problem_type)
    if decision.problem_type == REGRESSION:
        return F.col(f"`{column}`").cast("double")
    index = F.create_map(*(F.lit(x) for pair in ((name, n) for n, name in enumerate(decision.labels)) for x in pair))
    if decision.problem_type == MULTI:
        return F.transform(label_names(column, df), lambda name: F.coalesce(F.element_at(index, name), F.lit(-1)))
    name = label_name(column, df)
    return F.when(name.isNotNull(), F.coalesce(F.element_at(index, name), F.lit(-1)))


def measured(scored: DataFrame, decision: Decision) -> Evaluation:
    """The metrics of a small DataFrame, and `rows` among them.

    Args:
        scored: `__truth`, as `true_labels` gives it, `__raw`, the logits as an array, and `__text`.
    """
    rows = scored.select("__truth", "__raw", "__text").collect()
    if not rows:
        return Evaluation({"rows": 0})
    truth: Any = [row[0] for row in rows]
    logits = np.asarray([row[1] for row in rows])
    if decision.problem_type == MULTI:
        truth = indicators(truth, len(decision.labels))
    metrics, by_label = metrics_of(decision, logits, truth) | {"rows": len(rows)}, {}
    if decision.problem_type != REGRESSION:
        predicted = decision.predict(decision.probabilities(logits))
        by_label = label_metrics(*counts_by_label(truth, predicted, len(decision.labels)))
    return Evaluation(metrics, by_label, logits, truth, [row[2] for row in rows])


def _counted(scored: DataFrame, decision: Decision) -> Evaluation:
    truth, found = F.col("__truth"), F.col("__prediction")
    if decision.problem_type == SINGLE:
        pairs = scored.groupBy(truth, found).count().collect()
        if not pairs:
            return Evaluation({"rows": 0})
        labels, predictions, counts = ([row[n] for row in pairs] for n in range(3))
        metrics = classification_metrics(labels, predictions, counts, len(decision.labels)) | {"rows": sum(counts)}
        return Evaluation(metrics, label_metrics(*counts_by_label(labels, predictions, len(decision.labels), counts)))
    if decision.problem_type == REGRESSION:
        error = found - truth
        means = {"pearson": F.corr(truth, found), "mse": F.avg(error**2), "mae": F.avg(F.abs(error)), "var": F.var_pop(truth)}
        row = scored.agg(F.count(truth).alias("rows"), *(value.alias(name) for name, value in means.items())).collect()[0]
        if not row["rows"]:
            return Evaluation({"rows": 0})
        r2 = 1 - row["mse"] / row["var"] if row["var"] else 0.0
        told = {"pearson": row["pearson"] or 0.0, "mse": row["mse"], "rmse": row["mse"] ** 0.5, "mae": row["mae"], "r2": r2}
        return Evaluation(told | {"rows": row["rows"]})
    return _counted_labels(scored, decision)


def _counted_labels(scored: DataFrame, decision: Decision) -> Evaluation:
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
    exploded = scored.select(F.explode(F.concat(row, *entries)).alias("entry"))
    counts = {(r["kind"], r["label"]): r["count"] for r in exploded.groupBy("entry.kind", "entry.label").count().collect()}
    rows = counts.get(("same", -1), 0) + counts.get(("other", -1), 0)
    if not rows:
        return Evaluation({"rows": 0})
    right, wrong, missed = (np.asarray([counts.get((kind, n), 0) for n in range(len(decision.labels))]) for kind in kinds)
    metrics = counted_multi_label_metrics(right, wrong, missed)
    metrics |= {"accuracy": counts.get(("same", -1), 0) / rows, "rows": rows}
    return Evaluation(metrics, label_metrics(right, wrong, missed))
