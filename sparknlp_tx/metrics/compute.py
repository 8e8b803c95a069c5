"""Every metric, from labels and logits. The one place for them: training, jobs and models all ask here. Knows no Spark.

The definitions are scikit-learn's and SciPy's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, SINGLE, DecisionRule

CALIBRATION_BINS = 15
LESS_IS_BETTER = ("loss", "log_loss", "calibration_error", "mse", "rmse", "mae")
BEST = {SINGLE: "accuracy", MULTI: "micro_f1", REGRESSION: "pearson"}  # which epoch is kept, by default
_AVERAGED = tuple(f"{average}_{name}" for average in ("micro", "macro", "weighted") for name in ("precision", "recall", "f1"))
_OF_PROBABILITIES = ("log_loss", "calibration_error", "roc_auc", "average_precision")
METRICS = {
    SINGLE: ("accuracy", "majority_accuracy", *_AVERAGED, "matthews", *_OF_PROBABILITIES, "precision", "recall", "f1", "loss"),
    MULTI: ("accuracy", *_AVERAGED, *_OF_PROBABILITIES, "loss"),
    REGRESSION: ("pearson", "spearman", "mse", "rmse", "mae", "r2", "loss"),
}


def check_metric(name: str, problem_type: str) -> None:
    """Raise InputError where a kind of task has no metric of that name."""
    known = METRICS[problem_type]
    if name.removeprefix("eval_") not in known:
        raise InputError(f"a metric of {problem_type}", repr(name), nearest(name, list(known)))


def metrics_of(
    decision: DecisionRule, logits: np.ndarray, truth: Any, weights: Sequence[float] | np.ndarray | None = None
) -> dict[str, float]:
    """All metrics of a kind of task.

    Args:
        decision: how logits become predictions.
        logits: float [n, num_labels].
        truth: indices of labels, int [n], of which -1 is none of them; indicators, 0 or 1, [n, num_labels]; or targets, float [n].
        weights: how much each row counts, [n], above 0; default 1 each.

    Returns:
        The metrics by name, those of `METRICS` without `loss`; `precision`, `recall` and `f1` are of label 1 of two.
    """
    if decision.problem_type == REGRESSION:
        return regression_metrics(np.asarray(truth), decision.predict(logits), weights)
    probabilities = decision.probabilities(logits)
    if decision.problem_type == MULTI:
        return multi_label_metrics(np.asarray(truth) > 0, decision.predict(probabilities), probabilities, weights)
    truth, weights = np.asarray(truth), _weights(weights, len(truth))
    found = classification_metrics(truth, decision.predict(probabilities), weights, len(decision.labels))
    return found | _probability_metrics(truth, probabilities, weights)


def _weights(weights: Sequence[float] | np.ndarray | None, rows: int) -> np.ndarray:
    return np.ones(rows) if weights is None else np.asarray(weights, np.float64)


def classification_metrics(
    labels: Sequence | np.ndarray,
    predictions: Sequence | np.ndarray,
    weights: Sequence[float] | np.ndarray | None = None,
    num_labels: int | None = None,
) -> dict[str, float]:
    """Metrics of single-label predictions.

    Args:
        labels, predictions: of equal length [n]: indices or names.
        weights: how often each pair of label and prediction counts; default once.
        num_labels: how many labels the model has; with two, `precision`, `recall` and `f1` of label 1 are there as well.

    Returns:
        accuracy; precision, recall and F1 as `micro_`, `macro_`, `weighted_`: each from 0 to 1; a label that is never predicted
        counts with precision 0 (scikit-learn's definitions); matthews: the correlation of Matthews, from -1 to 1;
        majority_accuracy: of always predicting the most frequent label.
    """
    from sklearn.metrics import matthews_corrcoef, precision_recall_fscore_support

    labels, predictions = np.asarray(labels), np.asarray(predictions)
    weights = _weights(weights, len(labels))
    found: dict[str, float] = {}

    def add(prefix: str, **options: Any) -> None:
        values = precision_recall_fscore_support(labels, predictions, sample_weight=weights, zero_division=0, **options)
        found.update({prefix + name: float(value) for name, value in zip(("precision", "recall", "f1"), values, strict=False)})

    for average in ("micro", "macro", "weighted"):
        add(f"{average}_", average=average)
    if num_labels == 2 and set(np.unique(labels)) <= {0, 1}:
        add("", average="binary", pos_label=1)
    support = np.bincount(np.unique(labels, return_inverse=True)[1], weights=weights)
    return found | {
        "accuracy": float(np.average(labels == predictions, weights=weights)),
        "majority_accuracy": float(support.max() / weights.sum()),
        "matthews": float(matthews_corrcoef(labels, predictions, sample_weight=weights)),
    }


def _probability_metrics(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Of single-label probabilities; rows of a label that the model does not have are left out."""
    known = (truth >= 0) & (truth < probabilities.shape[1])
    truth, probabilities, weights = truth[known].astype(np.int64), probabilities[known], weights[known]
    if not len(truth):
        return {}
    right = np.take_along_axis(probabilities, truth[:, None], axis=1)[:, 0]
    indicators = truth[:, None] == np.arange(probabilities.shape[1])
    columns = slice(1, 2) if probabilities.shape[1] == 2 else slice(None)  # of two labels, those of label 1
    return {
        "log_loss": float(np.average(-np.log(np.clip(right, 1e-15, 1)), weights=weights)),
        "calibration_error": calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth, weights),
        **_ranking(indicators[:, columns], probabilities[:, columns], weights),
    }


def multi_label_metrics(
    truth: np.ndarray, chosen: np.ndarray, probabilities: np.ndarray, weights: Sequence[float] | np.ndarray | None = None
) -> dict[str, float]:
    """Metrics of several labels a row: bool [n, num_labels], bool [n, num_labels], float [n, num_labels], the rows' weights [n].

    Returns:
        As `classification_metrics`; accuracy: the share of rows with exactly their labels; log_loss, calibration_error: over all
        labels of all rows; roc_auc, average_precision: the mean over the labels.
    """
    weights, labels = _weights(weights, len(truth)), truth.shape[1]
    found = counted_multi_label_metrics(*counts_by_label(truth, chosen, labels, weights))
    right = np.clip(np.where(truth, probabilities, 1 - probabilities), 1e-15, 1)
    return found | {
        "accuracy": float(np.average((truth == chosen).all(axis=1), weights=weights)),
        "log_loss": float(np.average(-np.log(right).mean(axis=1), weights=weights)),
        "calibration_error": calibration_error(probabilities.ravel(), truth.ravel(), weights.repeat(labels)),
        **_ranking(truth, probabilities, weights),
    }


def label_metrics(right: np.ndarray, wrong: np.ndarray, missed: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall, F1 and support (its rows) of each label, from its true positives, false positives, false negatives; 0 where there are none."""

    def ratio(part: Any, whole: Any) -> np.ndarray:
        return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)

    tp, fp, fn = right, wrong, missed
    found = {"precision": ratio(tp, tp + fp), "recall": ratio(tp, tp + fn), "f1": ratio(2 * tp, 2 * tp + fp + fn)}
    return found | {"support": tp + fn}


def counts_by_label(labels: Any, predictions: Any, num_labels: int, weights: Any = None) -> tuple[np.ndarray, ...]:
    """True positives, false positives and false negatives of each label, float [num_labels] each.

    Args:
        labels, predictions: indices [n], -1 for a label that is none of them; or indicators [n, num_labels].
        weights: how often each row counts.
    """
    truth, found = (np.asarray(values) for values in (labels, predictions))
    if truth.ndim == 1:
        truth, found = (values[:, None] == np.arange(num_labels) for values in (truth, found))
    weights = _weights(weights, len(truth))
    return tuple((weights[:, None] * kind).sum(axis=0) for kind in (truth & found, ~truth & found, truth & ~found))


def counted_multi_label_metrics(right: np.ndarray, wrong: np.ndarray, missed: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1, averaged in three ways, from each label's true positives, false positives, false negatives."""
    found = {}
    support = right + missed
    for average, (tp, fp, fn) in {
        "micro": tuple(np.asarray([counts.sum()]) for counts in (right, wrong, missed)),
        "macro": (right, wrong, missed),
        "weighted": (right, wrong, missed),
    }.items():
        weights = support if average == "weighted" and support.sum() else None
        values = label_metrics(tp, fp, fn)
        for name in ("precision", "recall", "f1"):
            found[f"{average}_{name}"] = float(np.average(values[name], weights=weights))
    return found


def _ranking(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Mean area under the ROC curve and mean average precision of the labels that some rows have and some do not."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    mixed = truth.any(axis=0) & ~truth.all(axis=0)
    if not mixed.any():
        return {"roc_auc": 0.5, "average_precision": float(np.average(truth.mean(axis=1), weights=weights))}
    rows, options = (truth[:, mixed], probabilities[:, mixed]), {"average": "macro", "sample_weight": weights}
    return {
        "roc_auc": float(roc_auc_score(*rows, **options)),
        "average_precision": float(average_precision_score(*rows, **options)),
    }


def calibration_error(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray) -> float:
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599), from 0 to 1; all [n]."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=weights * (confidence - right), minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def regression_metrics(
    truth: np.ndarray, predictions: np.ndarray, weights: Sequence[float] | np.ndarray | None = None
) -> dict[str, float]:
    """Of numbers, float [n], and the rows' weights: pearson, spearman (0 where either is constant), mse, rmse, mae, r2."""
    from scipy.stats import rankdata

    weights = _weights(weights, len(truth))
    error = predictions - truth
    mse = float(np.average(error**2, weights=weights))
    spread = float(np.average((truth - np.average(truth, weights=weights)) ** 2, weights=weights))
    return {
        "pearson": _correlation(truth, predictions, weights),
        "spearman": _correlation(rankdata(truth), rankdata(predictions), weights),
        "mse": mse,
        "rmse": mse**0.5,
        "mae": float(np.average(np.abs(error), weights=weights)),
        "r2": 1 - mse / spread if spread else 0.0,
    }


def _correlation(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> float:
    """Pearson's; 0 where either is constant."""
    if not np.ptp(one) or not np.ptp(other):
        return 0.0
    one, other = (values - np.average(values, weights=weights) for values in (one, other))
    return float((weights * one * other).sum() / np.sqrt((weights * one**2).sum() * (weights * other**2).sum()))
