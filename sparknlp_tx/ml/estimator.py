"""TransformerClassifier, the estimator. Loads no torch and no transformers until it trains."""

import contextlib
import dataclasses
import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from pyspark.ml import Estimator
from pyspark.sql import DataFrame, SparkSession

from sparknlp_tx.data.splits import VALIDATION
from sparknlp_tx.data.staging import stage, stage_once
from sparknlp_tx.data.training_rows import fingerprint
from sparknlp_tx.files import file_hashes, temporary_directory
from sparknlp_tx.inference.backends import openvino_runtime
from sparknlp_tx.ml.cpu_export import prepare_for_cpus
from sparknlp_tx.ml.fit_checks import check_fit, check_labelled, check_table, joined_rows
from sparknlp_tx.ml.live_metrics import training_observer
from sparknlp_tx.ml.model import TransformerClassificationModel
from sparknlp_tx.ml.params import TransformerClassifierParams
from sparknlp_tx.ml.persistence import SavedStage
from sparknlp_tx.ml.reprs import with_repr
from sparknlp_tx.ml.schema_checks import check_outputs, column_name
from sparknlp_tx.ml.training_plan import TrainingPlan, explain_training
from sparknlp_tx.progress import say
from sparknlp_tx.spark.distributed_training import fine_tune_on_workers
from sparknlp_tx.spark.distribution import distribute, is_local
from sparknlp_tx.training.fit_folder import fit_folder

if TYPE_CHECKING:
    from pyspark.ml._typing import ParamMap
    from typing_extensions import Self, Unpack

    from sparknlp_tx.ml.params import ParamValues
    from sparknlp_tx.training.settings import TrainingResult

log = logging.getLogger(__name__)


@with_repr
class TransformerClassifier(Estimator, TransformerClassifierParams, SavedStage):
    """Fine-tunes a Hugging Face sequence classifier on the driver's GPU or CPU, or on the executors' (`numTrainWorkers`).

    Example:
        >>> model = TransformerClassifier(checkpoint="distilbert-base-uncased", textCol="text", labelCol="label").fit(train)

    Every Param can be given by keyword; `explainParams()` lists them with their defaults. `trainingArgs` takes any other
    field of `transformers.TrainingArguments`. With an active MLflow run in this process, metrics are logged while it trains.
    """

    _shared_staging: Path | None = (
        None  # a folder where fits of the same rows and tokens find them staged; `lifecycle.tuning` sets it
    )
    _on_executor = False  # whether one process trains on an executor, not in this one; `lifecycle.tuning` sets it

    def __init__(self, **params: "Unpack[ParamValues]"):
        super().__init__()
        self.setParams(**params)

    def _lines(self) -> tuple[str, dict[str, str]]:
        """The checkpoint, the columns, and the Params that were set to something else than their defaults."""
        own = {param.name: value for param, value in self._paramMap.items() if self._defaultParamMap.get(param) != value}
        columns = [own.pop(name, None) or column_name(self, name) for name in ("textCol", "textPairCol")]
        learns = f"{own.pop('labelCol', self.getLabelCol())} from {' and '.join(filter(None, columns))}"
        own.pop("checkpoint", None)
        params = ", ".join(f"{name}={value!r}" for name, value in sorted(own.items()))
        return self.uid, {"checkpoint": self.getCheckpoint(), "learns": learns, "Params set": params}

    @overload
    def fit(
        self, dataset: DataFrame, params: "ParamMap | None" = None, *, validation: DataFrame | None = None
    ) -> "TransformerClassificationModel": ...
    @overload
    def fit(
        self, dataset: DataFrame, params: "list[ParamMap] | tuple[ParamMap, ...]", *, validation: DataFrame | None = None
    ) -> "list[TransformerClassificationModel]": ...
    def fit(self, dataset: DataFrame, params: Any = None, *, validation: DataFrame | None = None) -> Any:
        """Fit a model, or one for each of several param maps, as every estimator of Spark ML.

        Args:
            dataset: the training rows; or all rows, with `validationIndicatorCol` or `validationFraction`.
            params: a param map, or a list of them.
            validation: the validation rows, where they are a DataFrame of their own.

        Raises:
            InputError: the input cannot be trained on; says what to do.
        """
        if validation is None:
            return super().fit(dataset, params)
        if isinstance(params, list | tuple):
            return [self.fit(dataset, each, validation=validation) for each in params]
        estimator, rows = self.copy(params or {}).joined(dataset, validation)
        return estimator.fit(rows)

    def explain(self, dataset: DataFrame) -> TrainingPlan:
        """What `fit` would take: rows, labels, lengths, device, memory, disk, duration; what would go wrong, and its remedies.

        Counts the rows and labels, as `fit` does, loads the checkpoint, and trains on some batches for three seconds, to nothing.

        Raises:
            InputError: `fit` would refuse.
        """
        return explain_training(*check_fit(self, dataset), self.getCheckpointDir() or self.getStagingDir())

    def check(self, dataset: DataFrame) -> None:
        """Check all that can be checked without reading the rows: columns, training arguments, checkpoint.

        Raises:
            InputError: `fit` would refuse.
        """
        check_table(self, dataset)

    def check_labelled(self, dataset: DataFrame) -> None:
        """Check the columns that every labelled table has, for training or for evaluation; starts no job.

        Raises:
            InputError: a text column or the label column is missing or of another type.
        """
        check_labelled(self, dataset)

    def check_outputs(self, dataset: DataFrame) -> None:
        """Check that the columns the model will add are not there yet; starts no job.

        Raises:
            InputError: one is.
        """
        check_outputs(self, dataset)

    def joined(self, train: DataFrame, validation: DataFrame) -> tuple["Self", DataFrame]:
        """An estimator and a DataFrame to fit it on: the rows of both, the second one's marked for validation; starts no job.

        Raises:
            InputError: a column is missing, the labels' types differ, or validation rows are marked in another way already.
        """
        return self.copy({self.validationIndicatorCol: VALIDATION}), joined_rows(self, train, validation)

    def _fit(self, dataset: DataFrame) -> "TransformerClassificationModel":
        """Check, learn the labels, stage the rows, train.

        Raises:
            InputError: the input cannot be trained on; before any Spark job where the schema or the Params tell.
        """
        from sparknlp_tx.training.checkpoint_check import check_runs, check_saved
        from sparknlp_tx.training.tokenizer import save_tokenizer

        rows, columns, labels, settings = check_fit(self, dataset)
        spark = rows.sparkSession
        identity = dataclasses.asdict(settings) | (fingerprint(rows, columns) if settings.resumable else {})
        output = temporary_directory("model") / "model"
        with fit_folder(self.getCheckpointDir(), self.getStagingDir(), identity) as work:
            shutil.rmtree(work / "model", ignore_errors=True)  # of a fit that was killed
            save_tokenizer(self.getCheckpoint(), self.getMaxLength(), work / "model")
            check_runs(settings, work / "model", columns.text_pair is not None)
            tokenizer = distribute(spark, str(work / "model"), file_hashes(work / "model"))
            if self._shared_staging is not None:
                stage_once(rows, columns, labels, tokenizer, work, self._shared_staging)
            train, validation = stage(rows, columns, labels, tokenizer, work)
            with contextlib.nullcontext() if self._on_executor else _alone():
                result = self._fine_tune(spark, train, validation, settings, work)
            with _alone():
                shutil.move(work / "model", output)
                prepare_for_cpus(output, train, validation, self.getPrecision())
                if not openvino_runtime.is_exported(output):  # an export was compared with torch, and so runs
                    check_saved(output, columns.text_pair is not None)
        model = TransformerClassificationModel()._resetUid(self.uid)
        self._copyValues(model)
        if result.thresholds is not None:
            model._set(thresholds=result.thresholds)
        model.adopt(output, file_hashes(output), dataclasses.asdict(result))
        return model

    def _fine_tune(self, spark: SparkSession, train: Any, validation: Any, settings: Any, work: Path) -> "TrainingResult":
        """Train on the staged rows, in this process or in several, to the folder `model` in `work`."""
        from sparknlp_tx.training.fine_tune import fine_tune

        if settings.workers == 1 and not self._on_executor:
            return fine_tune(train, validation, settings, work / "model", work, training_observer())
        shared = is_local(spark) or bool(self.getCheckpointDir() or self.getStagingDir())
        return fine_tune_on_workers(spark, settings, work, shared, training_observer())


_training = threading.Lock()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One fit at a time trains in a process: they would share its seeds, and its GPU or its cores."""
    if not _training.acquire(blocking=False):
        say("another fit trains in this process: this one waits for it")
        _training.acquire()
    try:
        yield
    finally:
        _training.release()
