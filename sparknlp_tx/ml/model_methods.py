"""What Spark ML's classification models have beside `transform`: vectors of one text, `evaluate`, a function for SQL."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.ml.linalg import DenseVector
from pyspark.sql import Column, DataFrame, SparkSession

from sparknlp_tx.data.label_columns import problem_type_of
from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.decision_rules import MULTI
from sparknlp_tx.inference.scoring_settings import ScoringSettings
from sparknlp_tx.ml.evaluate import curve_of, evaluate_rows
from sparknlp_tx.ml.params import TransformerClassifierParams
from sparknlp_tx.ml.schema_checks import NUMBERS
from sparknlp_tx.ml.summary import EvaluationSummary, TrainingSummary
from sparknlp_tx.scoring.udf import function_udf
from sparknlp_tx.spark.compat import running_session
from sparknlp_tx.spark.named_columns import find_column

if TYPE_CHECKING:
    import pandas as pd

    from sparknlp_tx.inference.decision_rules import DecisionRule
    from sparknlp_tx.inference.model_directory import ModelConfig
    from sparknlp_tx.inference.tokenization import Text


class ClassificationModelMethods(TransformerClassifierParams):
    """Methods of a fitted model by the names that `LogisticRegressionModel` gives them."""

    labels: list[str]
    summary: TrainingSummary
    if TYPE_CHECKING:  # the model's own
        predict: Callable[..., pd.DataFrame]
        transform: Callable[..., DataFrame]
        _ensure_export: Callable[[], None]
        _distributed: Callable[[SparkSession], ScoringSettings]

        @property
        def decision(self) -> DecisionRule: ...
        @property
        def config(self) -> ModelConfig: ...
        @property
        def directory(self) -> Path: ...

    @property
    def numClasses(self) -> int:
        """How many labels there are."""
        return len(self.labels)

    @property
    def hasSummary(self) -> bool:
        """Whether the model was trained by this library, so that `summary` tells of it."""
        return bool(self.summary)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Names of the text column and, for pairs, of the second one."""
        return tuple(name for name in map(self._column, ("textCol", "textPairCol")) if name)

    @property
    def weight_column(self) -> str | None:
        """Name of the column that says how much each row counts, where there is one."""
        return self._column("weightCol")

    def getThreshold(self) -> float:
        """As in LogisticRegression; of several labels a row the one of every label."""
        return self.getOrDefault("threshold") if self._several else super().getThreshold()

    def getThresholds(self) -> list[float]:
        """As in LogisticRegression; of several labels a row one for each label."""
        if self._several and not self.isSet("thresholds"):
            return [self.getOrDefault("threshold")] * self.numClasses
        return super().getThresholds()

    @property
    def _several(self) -> bool:
        return bool(self.labels) and self.config.problem_type == MULTI

    def predictRaw(self, value: "Text") -> DenseVector:
        """The logits of one text, or of one (text, pair) tuple, on this machine: [numClasses].

        Raises:
            InputError: the text is None or empty, or the model is of regression.
        """
        return self._vector_of(value, "rawPrediction")

    def predictProbability(self, value: "Text") -> DenseVector:
        """The labels' probabilities for one text, or for one (text, pair) tuple, on this machine: [numClasses].

        Raises:
            InputError: the text is None or empty, or the model is of regression.
        """
        return self._vector_of(value, "probability")

    def _vector_of(self, value: "Text", field: str) -> DenseVector:
        if field not in self.decision.fields:
            raise InputError(f"a model with labels, for {field}", "one of regression", "Take predict([text]).")
        self._ensure_export()  # before it is copied: not for each text anew
        found = self.copy({self.getParam(f"{field}Col"): field, self.handleInvalid: "error"}).predict([value])
        return DenseVector(found[field].iloc[0])

    @property
    def udf(self) -> Callable[..., Column]:
        """A function of a text, or of a text and its pair, for expressions, for SQL and for streaming DataFrames.

        It gives a struct: `rawPrediction` and `probability` as arrays, `prediction`, `predictedLabel`, as far as the model has them
        and the Params of their columns are not empty. A null or empty text gives a null in each, with `handleInvalid` `error` it
        fails. Made for the active session, to whose executors the model is made known.

        It goes wherever SQL takes a function: aggregates, joins, `UPDATE`, `MERGE`. Spark may score a row more than once then, for a
        filter on a score, say; `transform` never does.

        Example:
            >>> df.select(model.udf("text").predictedLabel)
            >>> spark.udf.register("classify", model.udf)
            >>> spark.sql("SELECT classify(text).predictedLabel FROM reviews")
        """
        spark = running_session()
        if spark is None:
            raise InputError("an active Spark session", "none", "Start one, or use predict(list), which needs none.")
        return function_udf(self._distributed(spark))

    def evaluate(self, dataset: DataFrame) -> EvaluationSummary:
        """Score labelled rows on the executors, once, and measure; rows without a text are left out.

        Where `weightCol` is set and the DataFrame has that column, rows count as it says; those of weight 0 are left out.

        Raises:
            InputError: a text column or the label column is missing, or of a type that does not go with the model; weights that are
                null, NaN or negative.
        """
        self.check_labelled(dataset)
        found = evaluate_rows(self, dataset)
        curve = curve_of(self.copy(), dataset) if self.numClasses == 2 and not self._several else None
        return EvaluationSummary(found.metrics, found.by_label, list(self.labels), lambda: self.transform(dataset), curve)

    def check_labelled(self, dataset: DataFrame) -> None:
        """Check that a DataFrame has the columns to evaluate the model on; starts no job.

        Raises:
            InputError: a text column or the label column is missing, or of a type that does not go with the model.
        """
        self._check_texts(self._dataset(dataset, streams=False))
        self._check_column(dataset, "labelCol")
        if find_column(dataset, self.weight_column):
            self._check_column(dataset, "weightCol", NUMBERS)
        problem_type_of(dataset, self.getLabelCol(), self.decision.problem_type)
