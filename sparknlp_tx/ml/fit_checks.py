"""What `fit` checks before it starts, and the settings that it trains with. Loads no torch until it is asked."""

import logging
import tempfile
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql.types import NumericType

from sparknlp_tx.data.label_columns import label_type, nominal_names, problem_type_of
from sparknlp_tx.data.label_counts import LabelCounts
from sparknlp_tx.data.splits import VALIDATION, carve_validation, joined_validation
from sparknlp_tx.data.training_rows import TrainingColumns
from sparknlp_tx.errors import InputError
from sparknlp_tx.files import local_path
from sparknlp_tx.inference.backends import openvino_runtime
from sparknlp_tx.inference.decision_rules import REGRESSION, SINGLE
from sparknlp_tx.ml.params import TransformerClassifierParams
from sparknlp_tx.ml.schema_checks import NUMBERS
from sparknlp_tx.ml.training_plan import TrainingPlan, explain_training
from sparknlp_tx.spark.distributed_training import check_workers

if TYPE_CHECKING:
    from typing_extensions import Self

    from sparknlp_tx.training.settings import TrainingSettings

log = logging.getLogger(__name__)


class FitChecks(TransformerClassifierParams):
    """The estimator's checks; a mixin to its Params."""

    def check(self, dataset: DataFrame) -> TrainingColumns:
        """Check all that can be checked without reading the rows: columns, training arguments, checkpoint; returns the columns.

        Raises:
            InputError: `fit` would refuse.
        """
        from sparknlp_tx.training.arguments import check_training_args
        from sparknlp_tx.training.checkpoint import check_checkpoint

        problem_type = self.check_columns(dataset)
        self._check_outputs(dataset)
        self._check_column(dataset, "weightCol", NUMBERS)
        self._check_column(dataset, "validationIndicatorCol", ["boolean"])
        validated = bool(self._column("validationIndicatorCol") or self.getValidationFraction())
        self._check_settings(problem_type, validated)
        if self.getPrecision() == "int8" and not openvino_runtime.is_installed():
            raise InputError("OpenVINO for precision 'int8'", "none installed", "pip install 'sparknlp_tx[cpu]'")
        check_training_args(self._settings(problem_type), validated)
        check_checkpoint(self.getCheckpoint())
        if self.getNumTrainWorkers() > 1:
            shared = self.getCheckpointDir() or self.getStagingDir()
            folder = str(local_path(shared)) if shared else ""
            use_cpu = bool(self.getTrainingArgs().get("use_cpu"))
            check_workers(dataset.sparkSession, self.getNumTrainWorkers(), folder, self.getCheckpoint(), use_cpu)
        pair, weight, validation = map(self._column, ("textPairCol", "weightCol", "validationIndicatorCol"))
        return TrainingColumns(self.getTextCol(), self.getLabelCol(), pair, weight, validation, problem_type)

    def explain(self, dataset: DataFrame) -> TrainingPlan:
        """What `fit` would take: rows, labels, lengths, device, memory, disk, duration; what would go wrong, and its remedies.

        Counts the rows and labels, as `fit` does, loads the checkpoint, and trains on some batches for three seconds, to nothing.

        Raises:
            InputError: `fit` would refuse.
        """
        dataset, columns, labels = self._checked(dataset)
        folder = self.getCheckpointDir() or self.getStagingDir() or tempfile.gettempdir()
        return explain_training(dataset, columns, labels, self._settings(columns.problem_type, labels), folder)

    def _checked(self, dataset: DataFrame) -> tuple[DataFrame, TrainingColumns, LabelCounts]:
        """All that is checked before a fit: the rows, validation rows carved out where that is asked for, columns and labels."""
        from sparknlp_tx.training.checkpoint import checkpoint_labels

        columns = self.check(dataset)
        if self.getValidationFraction():
            dataset, columns = carve_validation(dataset, columns, self.getValidationFraction(), self.getSeed())
        names = nominal_names(columns.label, dataset) if columns.problem_type == SINGLE else []
        known = checkpoint_labels(self.getCheckpoint(), columns.problem_type)
        labels = columns.learn_labels(dataset).continuing(names).continuing(known)
        self._check_labels(columns.problem_type, labels)
        if columns.problem_type == SINGLE and not names and isinstance(label_type(columns.label, dataset), NumericType):
            _check_numbers(labels.labels)
        return dataset, columns, labels

    def _check_settings(self, problem_type: str, validated: bool) -> None:
        """Raise InputError on Params that do not go together."""
        from sparknlp_tx.training.lora import check_peft

        if self._column("validationIndicatorCol") and self.getValidationFraction():
            raise InputError("validationIndicatorCol or validationFraction", "both", "Clear one of them.")
        if not validated:
            for name in ("earlyStoppingPatience", "thresholdTuning"):
                if self.getOrDefault(name) not in (0, "none"):
                    found, remedy = f"{name} without any", "Set validationIndicatorCol or validationFraction."
                    raise InputError("validation rows", found, remedy)
        if problem_type == REGRESSION:
            self._decision(REGRESSION, []).check()
            for name in ("thresholdTuning", "classWeights"):
                if self.getOrDefault(name) != "none":
                    raise InputError(f"labels, for {name}", "problemType 'regression'", f"Leave {name} out.")
            if self.getPrecision() == "int8":
                raise InputError("labels, for precision 'int8'", "problemType 'regression'", "Take bfloat16 or auto.")
        if self.getBatchSize() % self.getNumTrainWorkers():
            found = f"batchSize {self.getBatchSize()} with numTrainWorkers {self.getNumTrainWorkers()}"
            raise InputError("a batchSize that the processes can share evenly", found, "Change one of them.")
        if self.getLoraRank():
            check_peft()
            if self.getTrainLayers() != "all":
                raise InputError("loraRank or trainLayers", "both", "Clear one of them.")
        if self.getThresholdTuning() != "none" and (self.isSet("thresholds") or self.isSet("threshold")):
            raise InputError("thresholdTuning or thresholds", "both", "Clear one of them.")

    def joined(self, train: DataFrame, validation: DataFrame) -> tuple["Self", DataFrame]:
        """An estimator and a DataFrame to fit it on: the rows of both, the second one's marked for validation; starts no job.

        Raises:
            InputError: a column is missing, the labels' types differ, or validation rows are marked in another way already.
        """
        for name in ("validationIndicatorCol", "validationFraction"):
            if self.isDefined(name) and self.getOrDefault(name):
                raise InputError(f"a DataFrame of validation rows or {name}", "both", "Take one of them out.")
        for df in (train, validation):
            self.check_columns(df)
        label = self.getLabelCol()
        types = [label_type(label, df).simpleString() for df in (train, validation)]
        if types[0] != types[1]:
            found = " and ".join(types)
            raise InputError(f"one type of {label!r} in the training and the validation table", found, "Cast one of them.")
        names = [self._column(name) for name in ("textCol", "textPairCol", "labelCol", "weightCol")]
        rows = joined_validation(train, validation, [name for name in names if name])
        return self.copy({self.validationIndicatorCol: VALIDATION}), rows

    def check_outputs(self, dataset: DataFrame) -> None:
        """Check that the columns the model will add are not there yet; starts no job.

        Raises:
            InputError: one is.
        """
        self._check_outputs(dataset)

    def check_columns(self, dataset: DataFrame) -> str:
        """Check the columns that every labelled table has, be it for training or for evaluation; starts no job.

        Returns:
            The kind of task that they make.

        Raises:
            InputError: a text column or the label column is missing or of another type.
        """
        self._check_texts(self._dataset(dataset, streams=False))
        self._check_column(dataset, "labelCol")
        return problem_type_of(dataset, self.getLabelCol(), self.getProblemType())

    def _check_labels(self, problem_type: str, labels: LabelCounts) -> None:
        """Check what hangs on the labels, now that they are known.

        Raises:
            InputError: thresholds do not fit them, or rows have no text and `handleInvalid` is `error`.
        """
        self._decision(problem_type, labels.labels).check()
        if self.getThresholdTuning() != "none" and problem_type == SINGLE and len(labels.labels) != 2:
            found = f"{len(labels.labels)} labels, one a row"
            raise InputError("two labels, or several a row, for thresholdTuning", found, "Leave it out: the largest wins.")
        if labels.invalid and self.getHandleInvalid() == "error":
            raise InputError(
                "a text in every row, as handleInvalid='error' says",
                f"{labels.invalid} rows with a null or empty text",
                "Filter them out, or set handleInvalid to 'keep' or 'skip': training leaves them out.",
            )
        if labels.invalid:
            message = (
                "%d rows with a null or empty text are left out of the training; what they score is null, at which Spark's "
            )
            log.warning(message + "evaluators fail: for these set handleInvalid to 'skip'", labels.invalid)

    def _settings(self, problem_type: str, labels: LabelCounts | None = None) -> "TrainingSettings":
        from sparknlp_tx.training.settings import TrainingSettings

        names, head_rate = labels.labels if labels else [], self.getHeadLearningRate()
        own = self.isDefined("headLearningRate")  # few labels: what a pooler has learnt before is soon lost
        pooler_rate = head_rate if own else min(head_rate, self.getLearningRate() * max(1, len(names)))
        balanced = labels is not None and self.getClassWeights() == "balanced"
        return TrainingSettings(
            checkpoint=self.getCheckpoint(),
            labels=names,
            max_length=self.getMaxLength(),
            batch_size=self.getBatchSize(),
            learning_rate=self.getLearningRate(),
            head_learning_rate=head_rate,
            pooler_learning_rate=pooler_rate,
            num_train_epochs=self.getNumTrainEpochs(),
            seed=self.getSeed(),
            training_args=self.getTrainingArgs(),
            problem_type=problem_type,
            start_bias=labels.start_bias(problem_type) if labels and not balanced else None,  # balanced labels are level
            class_weights=labels.balanced_weights(problem_type) if labels and balanced else None,
            metric=self.getMetricForBestModel(),
            patience=self.getEarlyStoppingPatience(),
            tune_thresholds=self.getThresholdTuning() != "none",
            train_layers=self.getTrainLayers(),
            max_train_seconds=self.getMaxTrainSeconds(),
            resumable=bool(self.getCheckpointDir()),
            lora_rank=self.getLoraRank(),
            workers=self.getNumTrainWorkers(),
        )


def _check_numbers(labels: list[str]) -> None:
    """Warn where labels are numbers, but not those that Spark's evaluators compare with."""
    if labels != [str(n) for n in range(len(labels))]:
        message = "the labels are the numbers %s: prediction gives their places, 0 to %d, with which Spark's evaluators compare the label "
        message += "column as it is; predictedLabel gives the numbers themselves. For evaluators take a StringIndexer before"
        log.warning(message, ", ".join(labels[:5]) + ", ..." * (len(labels) > 5), len(labels) - 1)
