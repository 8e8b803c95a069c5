"""What each threshold of a model of two labels gives, as the tables that Spark ML's binary summaries have.

Names and conventions are those of Spark's `BinaryClassificationMetrics` with 1,000 bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

BINS = 1000  # where there are twice as many distinct probabilities, neighbours share a threshold


@dataclass(frozen=True)
class Curve:
    """Thresholds on the probability of label 1, falling, and what is predicted to be label 1 from each on.

    Attributes:
        thresholds: float [n].
        right, wrong: weights of its rows that are label 1, and of those that are not: float [n], rising.
    """

    spark: SparkSession
    thresholds: np.ndarray
    right: np.ndarray
    wrong: np.ndarray

    def roc(self) -> DataFrame:
        """`FPR`, `TPR`, from (0, 0) to (1, 1)."""
        ends = np.concatenate([[0.0], _share(self.wrong), [1.0]]), np.concatenate([[0.0], _share(self.right), [1.0]])
        return self._table(("FPR", "TPR"), *ends)

    def pr(self) -> DataFrame:
        """`recall`, `precision`; at recall 0 the precision of the highest threshold."""
        precision = self._precision()
        return self._table(("recall", "precision"), np.append(0.0, _share(self.right)), np.append(precision[:1], precision))

    def precision(self) -> DataFrame:
        """`threshold`, `precision`."""
        return self._table(("threshold", "precision"), self.thresholds, self._precision())

    def recall(self) -> DataFrame:
        """`threshold`, `recall`."""
        return self._table(("threshold", "recall"), self.thresholds, _share(self.right))

    def f_measure(self, beta: float) -> DataFrame:
        """`threshold`, `F-Measure`."""
        precision, recall = self._precision(), _share(self.right)
        below = beta**2 * precision + recall
        values = np.divide((1 + beta**2) * precision * recall, below, out=np.zeros_like(below), where=below > 0)
        return self._table(("threshold", "F-Measure"), self.thresholds, values)

    def _precision(self) -> np.ndarray:
        return self.right / (self.right + self.wrong)  # each threshold has a row, whose weight is above 0

    def _table(self, names: Sequence[str], *columns: np.ndarray) -> DataFrame:
        rows = list(zip(*(column.tolist() for column in columns), strict=True)) if len(self.thresholds) else []
        return self.spark.createDataFrame(rows, ", ".join(f"`{name}` double" for name in names))


def measured_curve(scored: DataFrame) -> Curve:
    """The curve of scored rows, in one action.

    Args:
        scored: `__truth`, 0 or 1, `__score`, the probability of 1, and `__weight`, above 0; rows with another truth, or with none
            of these, as of a text that is null, are left out.
    """
    known = scored.filter(F.col("__truth").isin(0, 1) & F.col("__score").isNotNull())
    weight = F.sum(F.col("__weight") * F.col("__truth")).alias("right"), F.sum(F.col("__weight")).alias("both")
    distinct = known.groupBy("__score").agg(*weight)
    whole = Window.partitionBy(F.col("both") < 0)  # of all: one partition that is asked for is none that Spark warns of
    place = F.row_number().over(whole.orderBy(F.desc("__score"))) - 1
    size = F.greatest(F.lit(1), F.floor(F.count(F.lit(1)).over(whole) / BINS))
    binned = distinct.withColumns({"place": place, "size": size}).groupBy(F.floor(F.col("place") / F.col("size")).alias("bin"))
    rows = binned.agg(F.min("__score"), F.sum("right"), F.sum("both")).orderBy("bin").collect()
    thresholds, right, both = (np.asarray([row[n] for row in rows], np.float64) for n in (1, 2, 3))
    return Curve(scored.sparkSession, thresholds, right.cumsum(), (both - right).cumsum())


def _share(weights: np.ndarray) -> np.ndarray:
    """Of the last one, which is all of them; 0 where there are none."""
    return weights / weights[-1] if len(weights) and weights[-1] else np.zeros_like(weights)
