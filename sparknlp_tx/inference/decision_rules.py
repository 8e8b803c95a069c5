"""From logits to what people ask for: probabilities, predictions, label names. The one place for it; needs numpy alone.

There is a class for each kind of task, under the names that Hugging Face gives them: `decision_rule` knows which.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from sparknlp_tx.errors import InputError

SINGLE: Final = "single_label_classification"
MULTI: Final = "multi_label_classification"
REGRESSION: Final = "regression"
PROBLEM_TYPES = (SINGLE, MULTI, REGRESSION)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of mutually exclusive labels: float64 [n, num_labels]."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities of labels that do not exclude one another: float64 [n, num_labels]."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits.astype(np.float64)))


def lead(logits: np.ndarray) -> np.ndarray:
    """Margin of each row: largest minus second-largest logit, float32 [n]."""
    best = np.partition(logits, -2, axis=1)[:, -2:]
    return best[:, 1] - best[:, 0]


@dataclass(frozen=True)
class _Labels:
    """What tasks with labels have in common; `probabilities` and `predict` are each kind's own.

    Args:
        labels: the labels' names, in the order of the logits.
        threshold, thresholds: when a label is predicted; see the kinds of task.
    """

    labels: Sequence[str]
    threshold: float = 0.5
    thresholds: Sequence[float] | None = None
    if TYPE_CHECKING:

        def probabilities(self, logits: np.ndarray) -> np.ndarray: ...
        def predict(self, probabilities: np.ndarray) -> np.ndarray: ...

    def columns(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        """All that `transform` gives, by the names of Spark ML's columns; rows of NaN stay rows of NaN.

        Returns:
            `rawPrediction` and `probability`: float64 [n, num_labels]; `prediction`: what `predict` gives.
        """
        probabilities = self.probabilities(logits)
        return {
            "rawPrediction": logits.astype(np.float64),
            "probability": probabilities,
            "prediction": self.predict(probabilities),
        }


@dataclass(frozen=True)
class SingleLabel(_Labels):
    """One label a row, as in `pyspark.ml.classification.LogisticRegression`.

    Args:
        labels: the labels' names, in the order of the logits.
        threshold: two labels only: label 1 is predicted where its probability is greater.
        thresholds: one a label: the label with the largest probability / threshold is predicted. Wins over `threshold`.
    """

    problem_type: ClassVar[Literal["single_label_classification"]] = SINGLE
    fields: ClassVar[dict[str, str]] = {
        "rawPrediction": "array<double>",
        "probability": "array<double>",
        "prediction": "double",
        "predictedLabel": "string",
    }

    def check(self) -> None:
        """Raise InputError where the thresholds do not fit the labels."""
        if self.threshold != 0.5 and len(self.labels) != 2:
            raise InputError("two labels for threshold", f"{len(self.labels)} labels", "Set thresholds, one a label.")
        if self.thresholds is None:
            return
        _check_one_a_label(self.thresholds, self.labels)
        if min(self.thresholds) < 0 or sum(value == 0 for value in self.thresholds) > 1:
            raise InputError("thresholds of 0 or more, at most one of them 0", str(list(self.thresholds)), "Change them.")

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """float64 [n, num_labels]; a row sums to 1."""
        return softmax(logits)

    def predict(self, probabilities: np.ndarray) -> np.ndarray:
        """The index of the predicted label: float64 [n]; NaN where the probabilities are NaN."""
        if self.thresholds is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                scaled = probabilities / np.asarray(self.thresholds, np.float64)
            predictions = np.nan_to_num(scaled, nan=0.0, posinf=np.inf).argmax(axis=1).astype(np.float64)
        elif len(self.labels) == 2:
            predictions = (probabilities[:, 1] > self.threshold).astype(np.float64)
        else:
            predictions = probabilities.argmax(axis=1).astype(np.float64)
        predictions[np.isnan(probabilities[:, 0])] = np.nan
        return predictions

    def standing(self, logits: np.ndarray) -> np.ndarray:
        """The logits less the labels' handicaps: float32 [n, num_labels]. The label that stands highest is predicted.

        A threshold is a handicap: the rules above compare logit - log(threshold).
        """
        if self.thresholds is not None:
            handicap = np.log(np.maximum(self.thresholds, 1e-30))
        elif len(self.labels) == 2:
            handicap = np.log(np.clip([1 - self.threshold, self.threshold], 1e-30, 1))
        else:
            handicap = np.zeros(len(self.labels))
        return logits - handicap.astype(np.float32)

    def margin(self, logits: np.ndarray) -> np.ndarray:
        """By how much, in logits, the predicted label leads over the next: float32 [n], 0 where they are level."""
        return lead(self.standing(logits))


@dataclass(frozen=True)
class MultiLabel(_Labels):
    """Any number of labels a row: those whose probability is greater than their threshold.

    Args:
        labels: the labels' names, in the order of the logits.
        threshold: of every label.
        thresholds: one a label. Wins over `threshold`.
    """

    problem_type: ClassVar[Literal["multi_label_classification"]] = MULTI
    fields: ClassVar[dict[str, str]] = {
        "rawPrediction": "array<double>",
        "probability": "array<double>",
        "prediction": "array<double>",
        "predictedLabel": "array<string>",
    }

    def check(self) -> None:
        """Raise InputError where the thresholds do not fit the labels."""
        if self.thresholds is None:
            return
        _check_one_a_label(self.thresholds, self.labels)
        if not all(0 <= value <= 1 for value in self.thresholds):
            raise InputError("thresholds from 0 to 1", str(list(self.thresholds)), "Change them.")

    def _limits(self) -> np.ndarray:
        limits = [self.threshold] * len(self.labels) if self.thresholds is None else self.thresholds
        return np.asarray(limits, np.float64)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """float64 [n, num_labels], each from 0 to 1."""
        return sigmoid(logits)

    def predict(self, probabilities: np.ndarray) -> np.ndarray:
        """Which labels are predicted: bool [n, num_labels]; none where the probabilities are NaN."""
        return probabilities > self._limits()

    def standing(self, logits: np.ndarray) -> np.ndarray:
        """How far, in logits, each label is above its threshold: float32 [n, num_labels]."""
        limits = np.clip(self._limits(), 1e-30, 1 - 1e-16)
        return logits - np.log(limits / (1 - limits)).astype(np.float32)

    def margin(self, logits: np.ndarray) -> np.ndarray:
        """How far, in logits, the label that is closest to its threshold is away from it: float32 [n]."""
        return np.abs(self.standing(logits)).min(axis=1)


@dataclass(frozen=True)
class Regression:
    """A number a row: the only logit there is."""

    labels: Sequence[str] = ()
    threshold: float = 0.5
    thresholds: Sequence[float] | None = None

    problem_type: ClassVar[Literal["regression"]] = REGRESSION
    fields: ClassVar[dict[str, str]] = {"prediction": "double"}

    def check(self) -> None:
        """Raise InputError where there are thresholds."""
        if self.thresholds is not None or self.threshold != 0.5:
            raise InputError("no thresholds for regression", "some", "Clear them: a number needs none.")

    def predict(self, logits: np.ndarray) -> np.ndarray:
        """float64 [n]."""
        return logits[:, 0].astype(np.float64)

    def standing(self, logits: np.ndarray) -> np.ndarray:
        """The number itself, float32 [n, 1]."""
        return logits

    def margin(self, logits: np.ndarray) -> np.ndarray:
        """Infinite: there is no decision that a little error could turn over. float32 [n]."""
        return np.full(len(logits), np.inf, np.float32)

    def columns(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        """`prediction`: float64 [n]; NaN where the logits are NaN."""
        return {"prediction": self.predict(logits)}


DecisionRule = SingleLabel | MultiLabel | Regression


def decision_rule(problem_type: str, labels: Sequence[str], **thresholds: Any) -> DecisionRule:
    """How the logits of a kind of task become predictions; `thresholds`: `threshold` and `thresholds`, where they are set."""
    kinds: dict[str, type[DecisionRule]] = {kind.problem_type: kind for kind in (SingleLabel, MultiLabel, Regression)}
    return kinds[problem_type](tuple(labels), **thresholds)


def _check_one_a_label(thresholds: Sequence[float], labels: Sequence[str]) -> None:
    if len(thresholds) != len(labels):
        raise InputError(
            f"thresholds with one value for each of the {len(labels)} labels",
            f"{len(thresholds)} values",
            "Give one a label, in the order of model.labels.",
        )


def indicators(indices: Sequence[Sequence[int]], num_labels: int) -> np.ndarray:
    """Lists of labels' indices to bool [n, num_labels]; -1, a label that there is not, counts for none."""
    found = np.zeros((len(indices), num_labels), bool)
    for row, chosen in zip(found, indices, strict=True):
        row[[index for index in chosen if index >= 0]] = True
    return found
