"""Every metric, from labels and predictions. The one place for them: training, jobs and models all ask here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def classification_metrics(labels: Sequence, predictions: Sequence, weights: Sequence[float] | None = None) -> dict[str, float]:
    """Metrics of single-label predictions.

    Args:
        labels, predictions: of equal length [n]: indices or names.
        weights: how often each pair of label and prediction counts; default once.

    Returns:
        accuracy, macro_f1, weighted_f1, macro_precision, macro_recall: each from 0 to 1; a label that is never predicted counts
        with precision 0 (scikit-learn's definitions); majority_accuracy: of always predicting the most frequent label.
    """
    from sklearn.metrics import precision_recall_fscore_support

    labels, predictions = np.asarray(labels), np.asarray(predictions)
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)

    def averaged(average: str) -> tuple[float, float, float]:
        precision, recall, f1, _ = precision_recall_fscore_support(
            labels, predictions, average=average, sample_weight=weights, zero_division=0
        )
        return float(precision), float(recall), float(f1)

    macro_precision, macro_recall, macro_f1 = averaged("macro")
    support = np.bincount(np.unique(labels, return_inverse=True)[1], weights=weights)
    return {
        "accuracy": float(np.average(labels == predictions, weights=weights)),
        "macro_f1": macro_f1,
        "weighted_f1": averaged("weighted")[2],
        "macro_precision": macro_precision,
        "macro_recall": macro_recall,
        "majority_accuracy": float(support.max() / weights.sum()),
    }


def evaluate(scored: "DataFrame", label_col: str, predicted_label_col: str) -> dict[str, float]:
    """Metrics of a scored DataFrame, from one aggregation on the executors; rows without a prediction are left out.

    Args:
        scored: what `model.transform` gives.
        label_col: the true label; compared with the predicted label's name as strings.
        predicted_label_col: the predicted label's name.

    Returns:
        `classification_metrics` and `rows`, how many were evaluated.
    """
    from pyspark.sql import functions as F

    pairs = scored.groupBy(label_name(label_col, scored).alias("label"), F.col(predicted_label_col).alias("predicted"))
    counted = [row for row in pairs.count().collect() if row["label"] is not None and row["predicted"] is not None]
    if not counted:
        return {"rows": 0}
    counts = [row["count"] for row in counted]
    metrics = classification_metrics([r["label"] for r in counted], [r["predicted"] for r in counted], counts)
    return metrics | {"rows": sum(counts)}


def label_name(column: str, df: "DataFrame"):
    """A label column as the names that models use: a double that holds a whole number loses its `.0`."""
    from pyspark.sql import functions as F

    names = F.col(f"`{column}`").cast("string")
    return F.regexp_replace(names, r"\.0$", "") if df.schema[column].dataType.typeName() in ("double", "float") else names
