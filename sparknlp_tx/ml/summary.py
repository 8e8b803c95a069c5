"""What a fitted model says of its training, and of rows that it was evaluated on."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sparknlp_tx.ml.reprs import metric_items, training_lines, with_repr

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparknlp_tx.evaluation.curves import Curve


@with_repr
class TrainingSummary(dict):
    """`TrainingResult` as a dict, and `int8`; what Spark ML's summaries have goes by their names.

    Empty for a model that was not trained by this library.
    """

    def _lines(self) -> tuple[str, dict[str, str]]:
        trained, best = training_lines(self)
        history = self.objectiveHistory
        loss = f"{history[0]:.4g} at first, {history[-1]:.4g} at last, {len(history)} lines" if history else ""
        return "TrainingSummary", {"trained": trained or "not by this library", "best epoch": best, "loss": loss}

    @property
    def objectiveHistory(self) -> list[float]:
        """The training loss of each line that the Trainer logged."""
        return [entry["loss"] for entry in self.get("history", []) if "loss" in entry]

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics on the validation rows, of the epoch that was kept; empty without validation rows."""
        return self.get("metrics", {})

    @property
    def bestEpoch(self) -> float | None:
        """The epoch that was kept, from 1."""
        return self.get("best_epoch")

    @property
    def trainSeconds(self) -> float | None:
        """Seconds that the Trainer took, evaluation included."""
        return self.get("train_seconds")

    @property
    def rowsPerSecond(self) -> float | None:
        """Training rows a second."""
        return self.get("rows_per_second")


class MetricError(KeyError, AttributeError):
    """There is no such metric for the kind of task. A KeyError, and an AttributeError so that `hasattr` works."""


@with_repr
class EvaluationSummary(dict):
    """What `model.evaluate(df)` found: every metric of the kind of task by its name, and Spark ML's names for those it has too.

    Attributes:
        labels: the labels' names; what ends in `ByLabel` has their order.
    """

    def __init__(
        self,
        metrics: Mapping[str, float],
        by_label: Mapping[str, np.ndarray],
        labels: Sequence[str],
        predictions: "Callable[[], DataFrame]",
        curve: "Callable[[], Curve] | None" = None,
    ):
        super().__init__(metrics)
        self.labels = list(labels)
        self._by_label, self._predictions, self._curve = by_label, predictions, curve

    def _lines(self) -> tuple[str, dict[str, str]]:
        lines = {name: f"{value:.4f}" for name, value in metric_items(self)}
        return f"EvaluationSummary of {self['rows']:,} rows", lines

    def __missing__(self, name: str) -> float:
        raise MetricError(f"no {name} for this kind of task: there are {', '.join(sorted(self)) or 'no rows'}")

    @property
    def predictions(self) -> "DataFrame":
        """The rows with the columns of scores; an action on it scores them."""
        return self._predictions()

    @property
    def accuracy(self) -> float:
        """The share of rows whose label, or whose labels all, were found."""
        return self["accuracy"]

    @property
    def weightedPrecision(self) -> float:
        """Precision, averaged over the labels by how many rows have them."""
        return self["weighted_precision"]

    @property
    def weightedRecall(self) -> float:
        """Recall, averaged over the labels by how many rows have them."""
        return self["weighted_recall"]

    def weightedFMeasure(self, beta: float = 1.0) -> float:
        """F-measure, averaged over the labels by how many rows have them."""
        counts = self._of_labels("support")
        plain, asked = (np.dot(counts, self.fMeasureByLabel(value)) for value in (1.0, beta))
        return float(self["weighted_f1"] * asked / plain) if plain else 0.0  # over all rows, those of unknown labels too

    @property
    def areaUnderROC(self) -> float:
        """Area under the ROC curve: of label 1 of two, else the mean over the labels."""
        return self["roc_auc"]

    def _curve_for(self, name: str) -> "Curve":
        """What the tables of thresholds are made from: of a model of two labels, one a row; scores the rows at the first call."""
        if self._curve is None:
            raise MetricError(f"no {name} for this kind of task: it is of models of two labels, one of them a row")
        return self._curve()

    @property
    def roc(self) -> "DataFrame":
        """The ROC curve, `FPR` and `TPR`; as the tables below of label 1 of two. The first of them scores the rows again."""
        return self._curve_for("roc").roc()

    @property
    def pr(self) -> "DataFrame":
        """The curve of `recall` and `precision`."""
        return self._curve_for("pr").pr()

    @property
    def precisionByThreshold(self) -> "DataFrame":
        """`threshold` and `precision`, of each probability of label 1 that there is; of 1,000 to 2,000 of them where there are more."""
        return self._curve_for("precisionByThreshold").precision()

    @property
    def recallByThreshold(self) -> "DataFrame":
        """`threshold` and `recall`."""
        return self._curve_for("recallByThreshold").recall()

    @property
    def fMeasureByThreshold(self) -> "DataFrame":
        """`threshold` and `F-Measure` with beta 1; a property, as Spark ML's."""
        return self.fBetaByThreshold(1.0)

    def fBetaByThreshold(self, beta: float) -> "DataFrame":
        """As `fMeasureByThreshold`, with another beta."""
        return self._curve_for("fMeasureByThreshold").f_measure(beta)

    @property
    def precisionByLabel(self) -> list[float]:
        """Precision of each label; 0 for one that was never predicted."""
        return self._of_labels("precision")

    @property
    def recallByLabel(self) -> list[float]:
        """Recall of each label; 0 for one that no row has."""
        return self._of_labels("recall")

    @property
    def truePositiveRateByLabel(self) -> list[float]:
        """Recall of each label."""
        return self.recallByLabel

    def _of_labels(self, name: str) -> list[float]:
        if name not in self._by_label:
            self.__missing__(f"{name} by label")
        return [float(value) for value in self._by_label[name]]

    def fMeasureByLabel(self, beta: float = 1.0) -> list[float]:
        """F-measure of each label."""
        pairs = zip(self.precisionByLabel, self.recallByLabel, strict=True)
        return [(1 + beta**2) * p * r / (beta**2 * p + r) if p + r else 0.0 for p, r in pairs]

    @property
    def meanSquaredError(self) -> float:
        """Of regression."""
        return self["mse"]

    @property
    def rootMeanSquaredError(self) -> float:
        """Of regression."""
        return self["rmse"]

    @property
    def meanAbsoluteError(self) -> float:
        """Of regression."""
        return self["mae"]

    @property
    def r2(self) -> float:
        """Of regression."""
        return self["r2"]
