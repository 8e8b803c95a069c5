"""From logits to what people ask for: probabilities, predictions, label names. The one place for it; needs numpy alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparknlp_tx.errors import InputError


class ModelConfig(NamedTuple):
    """What a model's `config.json` says of its task."""

    labels: list[str]
    problem_type: str


def read_config(path: str | Path) -> ModelConfig:
    """The labels, in the order of the logits, and the problem type of a Hugging Face directory."""
    file = Path(path) / "config.json"
    if not file.is_file():
        raise InputError("a Hugging Face directory with a config.json", f"none in {path}", "Give the folder of a saved model.")
    config = json.loads(file.read_text())
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}  # Hugging Face leaves its default out
    labels = [name for _, name in sorted(names.items(), key=lambda item: int(item[0]))]
    return ModelConfig(labels, config.get("problem_type") or "single_label_classification")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of mutually exclusive labels: float64 [n, num_labels]."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    return powers / powers.sum(axis=-1, keepdims=True)


def lead(logits: np.ndarray) -> np.ndarray:
    """By how much the largest of each row's logits leads over the second: float32 [n]."""
    best = np.partition(logits, -2, axis=1)[:, -2:]
    return best[:, 1] - best[:, 0]


@dataclass(frozen=True)
class Decision:
    """How logits become predictions, as in `pyspark.ml.classification.LogisticRegression`.

    Args:
        labels: the labels' names, in the order of the logits.
        threshold: two labels only: label 1 is predicted where its probability is greater.
        thresholds: one a label: the label with the largest probability / threshold is predicted. Wins over `threshold`.
    """

    labels: Sequence[str]
    threshold: float = 0.5
    thresholds: Sequence[float] | None = None

    def check(self) -> None:
        """Raise InputError where the thresholds do not fit the labels."""
        if self.thresholds is None:
            return
        if len(self.thresholds) != len(self.labels):
            raise InputError(
                f"thresholds with one value for each of the {len(self.labels)} labels",
                f"{len(self.thresholds)} values",
                "Give one a label, in the order of model.labels.",
            )
        if min(self.thresholds) < 0 or sum(value == 0 for value in self.thresholds) > 1:
            raise InputError("thresholds of 0 or more, at most one of them 0", str(list(self.thresholds)), "Change them.")

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

    def margin(self, logits: np.ndarray) -> np.ndarray:
        """By how much, in logits, the predicted label leads over the next: float32 [n], 0 where they are level.

        A threshold is a handicap: the rules above compare logit - log(threshold).
        """
        if self.thresholds is not None:
            handicap = np.log(np.maximum(self.thresholds, 1e-30))
        elif len(self.labels) == 2:
            handicap = np.log(np.clip([1 - self.threshold, self.threshold], 1e-30, 1))
        else:
            handicap = np.zeros(len(self.labels))
        return lead(logits - handicap.astype(np.float32))

    def columns(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        """All that `transform` gives, by the names of Spark ML's columns; rows of NaN stay rows of NaN.

        Returns:
            `rawPrediction` and `probability`: float64 [n, num_labels]; `prediction`: float64 [n].
        """
        probabilities = softmax(logits)
        return {
            "rawPrediction": logits.astype(np.float64),
            "probability": probabilities,
            "prediction": self.predict(probabilities),
        }
