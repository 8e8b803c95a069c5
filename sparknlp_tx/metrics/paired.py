"""Several models on the same rows: each one's metric with its interval, and how far two differ beyond chance. Numpy and SciPy alone.

Rows are grouped by what they are and what each model says of them. A resample of the bootstrap is then one multinomial draw over the
groups (Efron and Tibshirani 1993, chapters 6 and 8), the same one for all models: 10,000 resamples of 77 labels score nothing again.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, SINGLE

RESAMPLES = 10_000
LEVEL = 0.95  # of intervals
DRAWN = 4_000_000  # numbers that are drawn at a time


@dataclass(frozen=True)
class Outcomes:
    """Groups of rows that have the same label and the same predictions.

    Attributes:
        problem_type, labels: of the task, and the labels' names in the order of the indices.
        truth: index of the label, int [groups]; of several labels a row indicators, bool [groups, num_labels]; of regression
            the target, float [groups].
        predicted: by the models' names, of the same shape as `truth`.
        counts: how many rows each group has, int [groups].
    """

    problem_type: str
    labels: tuple[str, ...]
    truth: np.ndarray
    predicted: Mapping[str, np.ndarray]
    counts: np.ndarray

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.counts.sum())

    def among(self, chosen: np.ndarray) -> "Outcomes":
        """The groups that are chosen: bool [groups]."""
        predicted = {name: values[chosen] for name, values in self.predicted.items()}
        return Outcomes(self.problem_type, self.labels, self.truth[chosen], predicted, self.counts[chosen])

    def right(self, name: str) -> np.ndarray:
        """Whether a model is right about each group, bool [groups]: has its label, or all of its labels and no other."""
        same = self.predicted[name] == self.truth
        return same.all(axis=1) if self.problem_type == MULTI else same


@dataclass(frozen=True)
class Interval:
    """A figure and between what it lies with 95 % confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


PAIRED_METRICS = {
    SINGLE: ("accuracy", "macro_f1"),
    MULTI: ("micro_f1", "macro_f1", "accuracy"),
    REGRESSION: ("pearson", "rmse", "mae"),
}
LESS_IS_BETTER = ("rmse", "mae")


def check_paired_metric(name: str, problem_type: str) -> None:
    """Raise InputError where a kind of task has no metric of that name with an interval."""
    known = PAIRED_METRICS[problem_type]
    if name not in known:
        raise InputError(f"a metric of {problem_type} that has an interval", repr(name), nearest(name, known))


def metric_samples(
    outcomes: Outcomes, metric: str, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """A metric of each model on the rows as they are, and on resamples of them, float [resamples]; the same resamples for all models.

    Raises:
        InputError: the kind of task has no such metric, or there are no rows.
    """
    check_paired_metric(metric, outcomes.problem_type)
    if not outcomes.rows:
        raise InputError("rows to compare models on", "none", "Check the table's labels and texts.")
    measures = {name: _measure(outcomes, name, metric) for name in outcomes.predicted}
    values = {name: float(measure(outcomes.counts[None].astype(np.float64))[0]) for name, measure in measures.items()}
    parts: dict[str, list[np.ndarray]] = {name: [] for name in measures}
    for weights in _draws(outcomes.counts, resamples, seed):
        for name, measure in measures.items():
            parts[name].append(measure(weights))
    return values, {name: np.concatenate(found) for name, found in parts.items()}


def interval(value: float, samples: np.ndarray, level: float = LEVEL) -> Interval:
    """The percentile interval of a bootstrap."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def _draws(counts: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Multinomial draws over the groups, float [some, groups], `resamples` in all."""
    rng = np.random.default_rng(seed)
    share = counts / counts.sum()
    at_once = max(1, DRAWN // len(counts))
    for begin in range(0, resamples, at_once):
        yield rng.multinomial(counts.sum(), share, size=min(at_once, resamples - begin)).astype(np.float64)


def _measure(outcomes: Outcomes, name: str, metric: str) -> Callable[[np.ndarray], np.ndarray]:
    """What gives a model's metric for weights of the groups, [some, groups] to [some]."""
    if outcomes.problem_type == REGRESSION:
        return _of_numbers(outcomes.truth, outcomes.predicted[name], metric)
    if metric == "accuracy":
        right = outcomes.right(name).astype(np.float64)
        return lambda weights: weights @ right / weights.sum(axis=1)
    return _f1(outcomes, name, metric)


def _f1(outcomes: Outcomes, name: str, metric: str) -> Callable[[np.ndarray], np.ndarray]:
    """Micro F1, or macro F1 over the labels that a resample has or that are predicted in it, as scikit-learn counts them."""
    from scipy.sparse import csr_array

    truth, found = outcomes.truth, outcomes.predicted[name]
    if outcomes.problem_type == SINGLE:
        truth, found = (values[:, None] == np.arange(len(outcomes.labels)) for values in (truth, found))
    both, either = csr_array((truth & found).astype(np.float64)), csr_array(truth.astype(np.float64) + found)

    def measure(weights: np.ndarray) -> np.ndarray:
        twice, total = 2 * (weights @ both), weights @ either
        if metric == "micro_f1":
            twice, total = twice.sum(axis=1, keepdims=True), total.sum(axis=1, keepdims=True)
        f1 = np.divide(twice, total, out=np.zeros_like(total), where=total > 0)
        return f1.sum(axis=1) / np.maximum((total > 0).sum(axis=1), 1)

    return measure


def _of_numbers(truth: np.ndarray, found: np.ndarray, metric: str) -> Callable[[np.ndarray], np.ndarray]:
    """Pearson's correlation (0 where either is constant), root of the mean squared error, mean absolute error."""

    def mean(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        return weights @ values / weights.sum(axis=1)

    if metric == "mae":
        return lambda weights: mean(weights, np.abs(found - truth))
    if metric == "rmse":
        return lambda weights: np.sqrt(mean(weights, (found - truth) ** 2))
    one, other = truth - truth.mean(), found - found.mean()  # near zero, where squares lose no digits

    def pearson(weights: np.ndarray) -> np.ndarray:
        of_one, of_other = mean(weights, one), mean(weights, other)
        spread = (mean(weights, one**2) - of_one**2) * (mean(weights, other**2) - of_other**2)
        both = mean(weights, one * other) - of_one * of_other
        return np.divide(both, np.sqrt(np.maximum(spread, 0)), out=np.zeros_like(both), where=spread > 1e-30)

    return pearson


def worse_by_more(lost: float, won: float, rows: float, bound: float) -> float:
    """How likely such counts are, at most, where one model is worse than another on the same rows by no more than `bound`.

    The score test for paired proportions (Tango 1998, Statistics in Medicine 17, 891-908), one-sided; it holds for small counts.

    Args:
        lost: rows that the other model alone has right; won: rows that this one alone has right; rows: all of them.
        bound: difference of the shares of rows that are right, from 0 to 1.

    Returns:
        The p-value, from 0 to 1: a small one says that this model is worse by more than the bound.
    """
    from scipy.stats import norm

    if not rows:
        return 1.0
    b = -lost - won + (2 * rows - lost + won) * bound
    q = (np.sqrt(b * b + 8 * rows * won * bound * (1 - bound)) - b) / (4 * rows)
    variance = rows * (2 * q + bound * (1 - bound))
    return float(norm.sf((lost - won - rows * bound) / np.sqrt(variance))) if variance > 0 else 1.0


def holm(p_values: Any) -> np.ndarray:
    """P-values corrected for how many they are, after Holm (1979): float [n]. With one below 0.05 at most one time in twenty any is wrong."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(raised, 1.0)
    return corrected
