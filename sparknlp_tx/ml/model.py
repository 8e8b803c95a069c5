"""TransformerClassificationModel: scores DataFrames on the executors and lists on this machine, under the names of Spark ML's models."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pyspark.ml.linalg import DenseVector
from pyspark.sql import Column, DataFrame, SparkSession

from sparknlp_tx.data.label_columns import problem_type_of
from sparknlp_tx.errors import InputError
from sparknlp_tx.files import directory_bytes, file_hashes
from sparknlp_tx.inference.backends import openvino_runtime
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION
from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.inference.tokenization import Text
from sparknlp_tx.ml.cpu_export import quantized_copy
from sparknlp_tx.ml.evaluate import curve_of, evaluate_rows
from sparknlp_tx.ml.explained_model import ExplainedModel
from sparknlp_tx.ml.reprs import NAMES, names, training_lines, with_repr
from sparknlp_tx.ml.schema_checks import NUMBERS, check_column, check_texts
from sparknlp_tx.ml.scoring_plan import ScoringPlan, explain
from sparknlp_tx.ml.summary import EvaluationSummary
from sparknlp_tx.scoring.executor_probe import probe
from sparknlp_tx.scoring.observation import ScoringObservation
from sparknlp_tx.scoring.udf import function_udf
from sparknlp_tx.spark.compat import running_session
from sparknlp_tx.spark.named_columns import find_column

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self


@with_repr
class TransformerClassificationModel(ExplainedModel):
    """A fine-tuned classifier: scores DataFrames on the executors, lists on this machine.

    Attributes:
        labels: the labels' names, in the order of the vectors; none for regression.
        summary: what happened in training, a `TrainingSummary`; empty for a model that was not trained here.
    """

    def predict(self, texts: Sequence[str | tuple[str, str] | None]) -> "pd.DataFrame":
        """Score a list on this machine, without Spark, through the engine that `transform` uses.

        Args:
            texts: texts, or (text, pair) tuples with `textPairCol`. None and empty texts are handled as `handleInvalid` says.

        Returns:
            The columns of `transform`, under their names; vectors as arrays. A row a text.
        """
        import pandas as pd

        from sparknlp_tx.inference.scorer import rows_of_texts, score_frame

        rows = rows_of_texts(texts, len(self.text_columns))
        self.ensure_export()
        scoring = self.scoring_settings(ModelLocation(str(self.directory), self._files))
        return score_frame(pd.DataFrame(rows, columns=list(scoring.text_columns), dtype=object), scoring)

    def observe(self, dataset: DataFrame) -> tuple[DataFrame, ScoringObservation]:
        """`transform`, and counters of what it did, as `DataFrame.observe` collects them: on classic and Connect sessions.

        Returns:
            The scored DataFrame, and the observation: after the first action on the DataFrame its `metrics` are there.

        Raises:
            InputError: as `transform`, and if the DataFrame is a stream, for which Spark has no such counters.
        """
        if getattr(dataset, "isStreaming", False):
            remedy = "transform takes streams; observe takes each batch of one, in foreachBatch."
            raise InputError("a table to observe", "a stream", remedy)
        observation = ScoringObservation()
        return self._transform(dataset, observation), observation

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
        return function_udf(self.distributed_scoring(spark))

    def explain(self, dataset: DataFrame) -> ScoringPlan:
        """What scoring a DataFrame would take: devices, engine, memory, lengths, duration, and what would make it better.

        Starts three small jobs: one counts the rows, one reads a sample, one tries the engine for a second in one task.

        Raises:
            InputError: `transform` would refuse the DataFrame, or the executors cannot serve the device or precision.
        """
        check_texts(self, dataset)
        return explain(dataset, self.distributed_scoring(dataset.sparkSession))

    def quantize(self, dataset: DataFrame) -> "Self":
        """A copy of this model that scores in int8 on CPUs, and keeps float32's labels.

        Rows whose decision is close are scored again at full precision; how close is learnt from 300 rows of the data set. On
        up to 2,000 others the agreement with float32 is measured, and both accuracies where the label column is there:
        the result is in `summary["int8"]`.

        Args:
            dataset: rows like those to score, best of the training table, with the text columns and perhaps the label column.

        Raises:
            InputError: OpenVINO is not installed, the model cannot be exported, there are too few rows, or another model was saved
                over this one's files.
        """
        check_texts(self, dataset)
        if self.decision.problem_type == REGRESSION:
            raise InputError("labels, for int8 to keep", "a model of regression", "Score it in bfloat16 or float32.")
        if not openvino_runtime.is_installed():
            raise InputError("OpenVINO to quantise with", "none installed", "pip install 'sparknlp_tx[cpu]'")
        self.ensure_export()
        labelled = find_column(dataset, self.getLabelCol()) is not None
        label_col = self.getLabelCol() if labelled else None
        directory = quantized_copy(self.unchanged_directory(), dataset, self.text_columns, label_col, self.decision)
        model = self.copy({self.precision: "int8"})
        model.adopt(directory, file_hashes(directory), self.summary)
        return model

    def predictRaw(self, value: Text) -> DenseVector:
        """The logits of one text, or of one (text, pair) tuple, on this machine: [numClasses].

        Raises:
            InputError: the text is None or empty, or the model is of regression.
        """
        return self._vector_of(value, "rawPrediction")

    def predictProbability(self, value: Text) -> DenseVector:
        """The labels' probabilities for one text, or for one (text, pair) tuple, on this machine: [numClasses].

        Raises:
            InputError: the text is None or empty, or the model is of regression.
        """
        return self._vector_of(value, "probability")

    def _vector_of(self, value: Text, field: str) -> DenseVector:
        if field not in self.decision.fields:
            raise InputError(f"a model with labels, for {field}", "one of regression", "Take predict([text]).")
        self.ensure_export()  # before it is copied: once, not for each text
        found = self.copy({self.getParam(f"{field}Col"): field, self.handleInvalid: "error"}).predict([value])
        return DenseVector(found[field].iloc[0])

    @property
    def numClasses(self) -> int:
        """How many labels there are."""
        return len(self.labels)

    @property
    def hasSummary(self) -> bool:
        """Whether the model was trained by this library, so that it has a `summary`."""
        return bool(self.summary)

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

    def check_labelled(self, dataset: DataFrame) -> None:
        """Check that a DataFrame has the columns to evaluate the model on; starts no job.

        Raises:
            InputError: a text column or the label column is missing, or of a type that does not go with the model.
        """
        check_texts(self, dataset)
        check_column(self, dataset, "labelCol")
        if find_column(dataset, self.weight_column):
            check_column(self, dataset, "weightCol", NUMBERS)
        problem_type_of(dataset, self.getLabelCol(), self.decision.problem_type)

    def check_executors(self, spark: SparkSession) -> None:
        """Where `device` or `precision` asks for something special: have one task load the engine, before a job begins.

        Raises:
            InputError: the executors cannot serve it; says what they have.
        """
        if self.getDevice() != "auto" or self.getPrecision() != "auto":
            probe(spark, self.distributed_scoring(spark))

    def _lines(self) -> tuple[str, dict[str, str]]:
        """What the model predicts and from what, how it was trained, and how it scores."""
        if self._model_dir is None:
            return self.uid, {"files": "none: not fitted, not loaded"}
        report = self.summary.get("int8") or {}
        trained, best_epoch = training_lines(self.summary)
        thresholds = self.getOrDefault("thresholds")[:NAMES] if self.isSet("thresholds") else []
        return self.uid, {
            "predicts": names(self.labels) if self.labels else "a number",
            "task": self.decision.problem_type,
            "reads": " and ".join(self.text_columns) + f", up to {self.getMaxLength()} tokens",
            "threshold": f"{self.getOrDefault('threshold'):.3g}" if self.isSet("threshold") else "",
            "thresholds": ", ".join(f"{threshold:.3g}" for threshold in thresholds),
            "trained": trained,
            "best epoch": best_epoch,
            "precision": self.getPrecision() + (f"; int8 agrees in {report['agreement']:.2%}" if "agreement" in report else ""),
            "files": f"{self._model_dir} ({directory_bytes(self._model_dir) / 1e6:,.1f} MB)",
        }
