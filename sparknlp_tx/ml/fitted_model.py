"""The state of a fitted model: its files, its labels, what executors need to score with it; saved and loaded with it."""

import logging
from pathlib import Path
from typing import Any

from pyspark.ml import Model
from pyspark.sql import DataFrame, SparkSession

from sparknlp_tx.errors import InputError
from sparknlp_tx.files import file_hashes
from sparknlp_tx.inference.backends import openvino_runtime
from sparknlp_tx.inference.backends.devices import gpu_count, resolve_device
from sparknlp_tx.inference.decision_rules import DecisionRule
from sparknlp_tx.inference.model_directory import ModelConfig, check_model_files, read_config
from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.inference.scoring_settings import ScoringSettings
from sparknlp_tx.inference.tokenization import longest_sequence
from sparknlp_tx.ml.cpu_export import exported_copy
from sparknlp_tx.ml.params import TransformerClassifierParams, check_thresholds, decision_rule_of
from sparknlp_tx.ml.persistence import SavedStage
from sparknlp_tx.ml.schema_checks import check_outputs, check_texts, column_name, text_column_names
from sparknlp_tx.ml.summary import TrainingSummary
from sparknlp_tx.scoring.observation import ScoringObservation
from sparknlp_tx.scoring.udf import add_scores
from sparknlp_tx.spark.distribution import distribute, executors_have_gpus, is_local

log = logging.getLogger(__name__)


class FittedModel(Model, TransformerClassifierParams, SavedStage):
    """What `TransformerClassificationModel` is made of; that class adds the methods that users call.

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
        self._export_tried = False

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

    def unchanged_directory(self) -> Path:
        """The directory, its files compared with what they were when the model was fitted or loaded; what copies them starts here.

        Raises:
            InputError: another model was saved there since, or a file is damaged.
        """
        return ModelLocation(str(self.directory), self._files).verified()

    @property
    def config(self) -> ModelConfig:
        """The kind of task and the labels, as they were when the model was fitted or loaded.

        They belong to the weights of that time. Another model that was saved over the folder since is detected by the files' hashes.
        """
        self.directory  # noqa: B018  raises where there is none
        return self._config or read_config(self.directory)

    @property
    def decision(self) -> DecisionRule:
        """How logits become predictions: kind of task, labels, thresholds.

        Raises:
            InputError: the thresholds do not fit the labels.
        """
        decision = decision_rule_of(self, *self.config)
        decision.check()
        return decision

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Names of the text column and, for pairs, of the second one."""
        return text_column_names(self)

    @property
    def weight_column(self) -> str | None:
        """Name of the column that says how much each row counts, where there is one."""
        return column_name(self, "weightCol")

    def adopt(self, directory: Path, files: dict[str, str], summary: dict[str, Any]) -> None:
        """Take a directory's files as those of this model; `files`: their hashes."""
        self._model_dir, self._files = directory, files
        self.summary = TrainingSummary(summary | {"int8": openvino_runtime.read_report(directory).get("int8", {})})
        self._config = read_config(directory)
        self.labels = self._config.labels

    def ensure_export(self) -> None:
        """Export a model that has no OpenVINO export, once, where OpenVINO is installed and its CPU would be used."""
        wanted = self.getDevice() in ("auto", "cpu") and self.getPrecision() != "float16"
        if not wanted or self._export_tried or openvino_runtime.is_exported(self.directory):
            return
        if not openvino_runtime.is_installed() or (self.getDevice() == "auto" and gpu_count()):
            return
        self._export_tried = True
        directory = exported_copy(self.unchanged_directory())
        if directory is not None:
            self.adopt(directory, file_hashes(directory), self.summary)

    def distributed_scoring(self, spark: SparkSession) -> ScoringSettings:
        """What executors need to know, the model made known to them; starts no job."""
        if is_local(spark):
            resolve_device(self.getDevice())  # the executors' GPUs are those that are seen here
        if not executors_have_gpus(spark):
            self.ensure_export()
        return self.scoring_settings(distribute(spark, str(self.directory), self._files))

    def scoring_settings(self, location: ModelLocation) -> ScoringSettings:
        """What a process needs to know to score with this model, which lies at `location`.

        Raises:
            InputError: the Params do not go together, or not with the files.
        """
        check_thresholds(self)
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

    def _transform(self, dataset: DataFrame, observation: ScoringObservation | None = None) -> DataFrame:
        """Add the columns of scores; starts no job.

        Raises:
            InputError: a column is missing, of another type, or there already; thresholds that do not fit the labels.
        """
        check_texts(self, dataset, streams=True)
        check_outputs(self, dataset)
        scoring = self.distributed_scoring(dataset.sparkSession)
        return add_scores(dataset, scoring, f"__{self.uid}", observation)

    def _saved_state(self) -> dict[str, Any]:
        self.unchanged_directory()
        return {"files": self._files, "summary": self.summary}

    def _load_state(self, folder: Path, own: dict[str, Any]) -> None:
        files = own.get("files", {})
        self.adopt(check_model_files(folder, files), files, own.get("summary", {}))
