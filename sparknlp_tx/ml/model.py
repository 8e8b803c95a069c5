"""TransformerClassificationModel: scores DataFrames on the executors, lists on this machine."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.ml import Model
from pyspark.sql import DataFrame, SparkSession

from sparknlp_tx.errors import InputError
from sparknlp_tx.files import directory_bytes
from sparknlp_tx.inference.backends import openvino_runtime
from sparknlp_tx.inference.backends.devices import resolve_device
from sparknlp_tx.inference.decision_rules import DecisionRule
from sparknlp_tx.inference.model_directory import ModelConfig, check_model_files, read_config
from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.inference.scoring_settings import ScoringSettings
from sparknlp_tx.inference.tokenization import longest_sequence
from sparknlp_tx.ml.cpu_export import CpuScoring
from sparknlp_tx.ml.model_methods import ClassificationModelMethods
from sparknlp_tx.ml.persistence import SavedStage
from sparknlp_tx.ml.reprs import NAMES, Shown, names, training_lines
from sparknlp_tx.ml.scoring_plan import ScoringPlan, explain
from sparknlp_tx.ml.summary import TrainingSummary
from sparknlp_tx.scoring.observation import ScoringObservation
from sparknlp_tx.scoring.probe import probe
from sparknlp_tx.scoring.udf import add_scores
from sparknlp_tx.spark.distribution import distribute, executors_have_gpus, is_local

if TYPE_CHECKING:
    import pandas as pd


log = logging.getLogger(__name__)


class TransformerClassificationModel(Shown, Model, ClassificationModelMethods, CpuScoring, SavedStage):
    """A fine-tuned classifier: scores DataFrames on the executors, lists on this machine.

    Attributes:
        labels: the labels' names, in the order of the vectors; none for regression.
        summary: what happened in training, a `TrainingSummary`; empty for a model that was not trained here.
    """

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, str] = {}
        self.labels: list[str] = []
        self.summary = TrainingSummary()
        self._config: ModelConfig | None = None

    def _shown(self) -> tuple[str, dict[str, str]]:
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

    @property
    def decision(self) -> DecisionRule:
        """How logits become predictions: kind of task, labels, thresholds.

        Raises:
            InputError: the thresholds do not fit the labels.
        """
        decision = self._decision(*self.config)
        decision.check()
        return decision

    @property
    def config(self) -> ModelConfig:
        """The kind of task and the labels, as they were when the model was fitted or loaded.

        They belong to the weights of that time: a model that is saved over the folder meanwhile is another one, which executors see
        by the files' hashes.
        """
        self.directory  # noqa: B018  raises where there is none
        return self._config or read_config(self.directory)

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
        self._ensure_export()
        scoring = self._scoring(ModelLocation(str(self.directory), self._files))
        return score_frame(pd.DataFrame(rows, columns=list(scoring.text_columns), dtype=object), scoring)

    def observe(self, dataset: DataFrame) -> tuple[DataFrame, ScoringObservation]:
        """`transform`, and counters of what it did, as `DataFrame.observe` collects them: on classic and on Connect alike.

        Returns:
            The scored DataFrame, and the observation: after the first action on the DataFrame its `metrics` are there.

        Raises:
            InputError: as `transform`, and on a stream, of which Spark tells no such counters.
        """
        if getattr(dataset, "isStreaming", False):
            remedy = "transform takes streams; observe takes each batch of one, in foreachBatch."
            raise InputError("a table to observe", "a stream", remedy)
        observation = ScoringObservation()
        return self._transform(dataset, observation), observation

    def _transform(self, dataset: DataFrame, observation: ScoringObservation | None = None) -> DataFrame:
        """Add the columns of scores; starts no job.

        Raises:
            InputError: a column is missing, of another type, or there already; thresholds that do not fit the labels.
        """
        self._check_texts(self._dataset(dataset))
        self._check_outputs(dataset)
        scoring = self._distributed(dataset.sparkSession)
        return add_scores(dataset, scoring, f"__{self.uid}", observation)

    def explain(self, dataset: DataFrame) -> ScoringPlan:
        """What scoring a DataFrame would take: devices, engine, memory, lengths, duration, and what would make it better.

        Starts three small jobs: one counts the rows, one reads a sample, one tries the engine for a second in one task.

        Raises:
            InputError: `transform` would refuse the DataFrame, or the executors cannot serve the device or precision.
        """
        self._check_texts(self._dataset(dataset, streams=False))
        return explain(dataset, self._distributed(dataset.sparkSession))

    def check_executors(self, spark: SparkSession) -> None:
        """Where `device` or `precision` asks for something special: have one task load the engine, before a job begins.

        Raises:
            InputError: the executors cannot serve it; says what they have.
        """
        if self.getDevice() != "auto" or self.getPrecision() != "auto":
            probe(spark, self._distributed(spark))

    def _distributed(self, spark: SparkSession) -> ScoringSettings:
        """What executors need to know, the model made known to them; starts no job."""
        if is_local(spark):
            resolve_device(self.getDevice())  # the executors' GPUs are those that are seen here
        if not executors_have_gpus(spark):
            self._ensure_export()
        return self._scoring(distribute(spark, str(self.directory), self._files))

    def _scoring(self, location: ModelLocation) -> ScoringSettings:

        self._check_thresholds()
        if self.getPrecision() == "int8" and self.getDevice().startswith("cuda"):
            raise InputError("precision 'int8' on CPUs", f"device {self.getDevice()!r}", "GPUs take bfloat16 or float16.")
        if self.getPrecision() == "int8" and not openvino_runtime.is_exported(self.directory, "int8"):
            raise InputError("a quantised model for precision 'int8'", "one that is not", "Call model.quantize(df) first.")
        limit = longest_sequence(self.directory)
        if self.isSet("maxLength") and self.getMaxLength() > limit:
            message = "maxLength %d is more than the %d tokens that the model was trained on: texts are cut at %d"
            log.warning(message, self.getMaxLength(), limit, limit)
        values = {param.name: value for param, value in self.extractParamMap().items()}
        return ScoringSettings.from_params(values, self.config, location)

    @property
    def directory(self) -> Path:
        """The Hugging Face directory of the model, on this machine."""
        if self._model_dir is None:
            raise InputError("a fitted model", "one without files", "Fit a TransformerClassifier, or load a saved model.")
        if not self._model_dir.is_dir():
            raise InputError(
                f"the model's files in {self._model_dir}", "no such folder", "Load the model from where it is now."
            )
        return self._model_dir

    def _adopt(self, directory: Path, files: dict[str, str], summary: dict[str, Any]) -> None:
        self._model_dir, self._files = directory, files
        self.summary = TrainingSummary(summary | {"int8": openvino_runtime.read_report(directory).get("int8", {})})
        self._config = read_config(directory)
        self.labels = self._config.labels

    def _unchanged_directory(self) -> Path:
        """The directory, its files compared with what they were when the model was fitted or loaded; what copies them starts here.

        Raises:
            InputError: another model was saved there since, or a file is damaged.
        """
        return ModelLocation(str(self.directory), self._files).verified()

    def _saved_state(self) -> dict[str, Any]:
        self._unchanged_directory()
        return {"files": self._files, "summary": self.summary}

    def _load_state(self, folder: Path, own: dict[str, Any]) -> None:
        files = own.get("files", {})
        self._adopt(check_model_files(folder, files), files, own.get("summary", {}))
