"""What `fit` checks before it starts, and the plan that it follows. Loads no torch until it is asked.

`stage` is the estimator: its Params alone are read.
"""

import logging
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql.types import NumericType

from sparknlp_tx.data.label_columns import label_type, nominal_names, problem_type_of
from sparknlp_tx.data.label_counts import LabelCounts
from sparknlp_tx.data.splits import carve_validation, joined_validation
from sparknlp_tx.data.training_rows import TrainingColumns
from sparknlp_tx.errors import InputError
from sparknlp_tx.files import local_path
from sparknlp_tx.inference.backends import openvino_runtime
from sparknlp_tx.inference.decision_rules import REGRESSION, SINGLE
from sparknlp_tx.ml.fit_settings import training_settings
from sparknlp_tx.ml.params import TransformerClassifierParams, decision_rule_of
from sparknlp_tx.ml.schema_checks import NUMBERS, check_column, check_outputs, check_texts, column_name
from sparknlp_tx.spark.distributed_training import check_workers
from sparknlp_tx.training.settings import TrainingSettings

log = logging.getLogger(__name__)


class FitPlan(NamedTuple):
    """What a fit works on, once all checks have passed.

    Attributes:
        rows: the DataFrame; validation rows are marked in it if `validationFraction` asks for some.
    """

    rows: DataFrame
    columns: TrainingColumns
    labels: LabelCounts
    settings: TrainingSettings


def check_table(stage: TransformerClassifierParams, dataset: DataFrame) -> TrainingColumns:
    """Check all that can be checked without reading the rows: columns, training arguments, checkpoint; returns the columns.

    Raises:
        InputError: `fit` would refuse.
    """
    from sparknlp_tx.training.arguments import check_training_args
    from sparknlp_tx.training.checkpoint import check_checkpoint

    problem_type = check_labelled(stage, dataset)
    check_outputs(stage, dataset)
    check_column(stage, dataset, "weightCol", NUMBERS)
    check_column(stage, dataset, "validationIndicatorCol", ["boolean"])
    validated = bool(column_name(stage, "validationIndicatorCol") or stage.getValidationFraction())
    _check_settings(stage, problem_type, validated)
    if stage.getPrecision() == "int8" and not openvino_runtime.is_installed():
        raise InputError("OpenVINO for precision 'int8'", "none installed", "pip install 'sparknlp_tx[cpu]'")
    check_training_args(training_settings(stage, problem_type), validated)
    check_checkpoint(stage.getCheckpoint())
    if stage.getNumTrainWorkers() > 1:
        shared = stage.getCheckpointDir() or stage.getStagingDir()
        folder = str(local_path(shared)) if shared else ""
        use_cpu = bool(stage.getTrainingArgs().get("use_cpu"))
        check_workers(dataset.sparkSession, stage.getNumTrainWorkers(), folder, stage.getCheckpoint(), use_cpu)
    pair, weight, validation = (column_name(stage, name) for name in ("textPairCol", "weightCol", "validationIndicatorCol"))
    return TrainingColumns(stage.getTextCol(), stage.getLabelCol(), pair, weight, validation, problem_type)


def check_fit(stage: TransformerClassifierParams, dataset: DataFrame) -> FitPlan:
    """Check all that can be checked before a fit, count the labels in one Spark job, and plan the fit.

    Raises:
        InputError: `fit` would refuse.
    """
    from sparknlp_tx.training.checkpoint import checkpoint_labels

    columns = check_table(stage, dataset)
    if stage.getValidationFraction():
        dataset, columns = carve_validation(dataset, columns, stage.getValidationFraction(), stage.getSeed())
    names = nominal_names(columns.label, dataset) if columns.problem_type == SINGLE else []
    known = checkpoint_labels(stage.getCheckpoint(), columns.problem_type)
    labels = columns.learn_labels(dataset).continuing(names).continuing(known)
    _check_labels(stage, columns.problem_type, labels)
    if columns.problem_type == SINGLE and not names and isinstance(label_type(columns.label, dataset), NumericType):
        _check_numbers(labels.labels)
    return FitPlan(dataset, columns, labels, training_settings(stage, columns.problem_type, labels))


def check_labelled(stage: TransformerClassifierParams, dataset: DataFrame) -> str:
    """Check the columns that every labelled table has, for training or for evaluation; starts no job.

    Returns:
        The kind of task that they make.

    Raises:
        InputError: a text column or the label column is missing or of another type.
    """
    check_texts(stage, dataset)
    check_column(stage, dataset, "labelCol")
    return problem_type_of(dataset, stage.getLabelCol(), stage.getProblemType())


def _check_settings(stage: TransformerClassifierParams, problem_type: str, validated: bool) -> None:
    """Raise InputError on Params that do not go together."""
    from sparknlp_tx.training.lora import check_peft

    if column_name(stage, "validationIndicatorCol") and stage.getValidationFraction():
        raise InputError("validationIndicatorCol or validationFraction", "both", "Clear one of them.")
    if not validated:
        for name in ("earlyStoppingPatience", "thresholdTuning"):
            if stage.getOrDefault(name) not in (0, "none"):
                found, remedy = f"{name} without any", "Set validationIndicatorCol or validationFraction."
                raise InputError("validation rows", found, remedy)
    if problem_type == REGRESSION:
        decision_rule_of(stage, REGRESSION, []).check()
        for name in ("thresholdTuning", "classWeights"):
            if stage.getOrDefault(name) != "none":
                raise InputError(f"labels, for {name}", "problemType 'regression'", f"Leave {name} out.")
        if stage.getPrecision() == "int8":
            raise InputError("labels, for precision 'int8'", "problemType 'regression'", "Take bfloat16 or auto.")
    if stage.getBatchSize() % stage.getNumTrainWorkers():
        found = f"batchSize {stage.getBatchSize()} with numTrainWorkers {stage.getNumTrainWorkers()}"
        raise InputError("a batchSize that the processes can share evenly", found, "Change one of them.")
    if stage.getLoraRank():
        check_peft()
        if stage.getTrainLayers() != "all":
            raise InputError("loraRank or trainLayers", "both", "Clear one of them.")
    if stage.getThresholdTuning() != "none" and (stage.isSet("thresholds") or stage.isSet("threshold")):
        raise InputError("thresholdTuning or thresholds", "both", "Clear one of them.")


def joined_rows(stage: TransformerClassifierParams, train: DataFrame, validation: DataFrame) -> DataFrame:
    """The rows of both DataFrames, the second one's marked for validation in a column `VALIDATION`; starts no job.

    Raises:
        InputError: a column is missing, the labels' types differ, or validation rows are marked in another way already.
    """
    for name in ("validationIndicatorCol", "validationFraction"):
        if stage.isDefined(name) and stage.getOrDefault(name):
            raise InputError(f"a DataFrame of validation rows or {name}", "both", "Take one of them out.")
    for df in (train, validation):
        check_labelled(stage, df)
    label = stage.getLabelCol()
    types = [label_type(label, df).simpleString() for df in (train, validation)]
    if types[0] != types[1]:
        found = " and ".join(types)
        raise InputError(f"one type of {label!r} in the training and the validation table", found, "Cast one of them.")
    names = [column_name(stage, name) for name in ("textCol", "textPairCol", "labelCol", "weightCol")]
    return joined_validation(train, validation, [name for name in names if name])


def _check_labels(stage: TransformerClassifierParams, problem_type: str, labels: LabelCounts) -> None:
    """Check what depends on the labels.

    Raises:
        InputError: thresholds do not fit them, or rows have no text and `handleInvalid` is `error`.
    """
    decision_rule_of(stage, problem_type, labels.labels).check()
    if stage.getThresholdTuning() != "none" and problem_type == SINGLE and len(labels.labels) != 2:
        found = f"{len(labels.labels)} labels, one a row"
        raise InputError("two labels, or several a row, for thresholdTuning", found, "Leave it out: the largest wins.")
    if labels.invalid and stage.getHandleInvalid() == "error":
        raise InputError(
            "a text in every row, as handleInvalid='error' says",
            f"{labels.invalid} rows with a null or empty text",
            "Filter them out, or set handleInvalid to 'keep' or 'skip': training leaves them out.",
        )
    if labels.invalid:
        message = "%d rows with a null or empty text are left out of the training; what they score is null, at which Spark's "
        log.warning(message + "evaluators fail: for these set handleInvalid to 'skip'", labels.invalid)


def _check_numbers(labels: list[str]) -> None:
    """Warn where labels are numbers, but not those that Spark's evaluators compare with."""
    if labels != [str(n) for n in range(len(labels))]:
        message = "the labels are the numbers %s, not 0 to %d: `prediction` is the label's index, and Spark's evaluators compare it with the label "
        message += "column. Put a StringIndexer in front for evaluators, or use model.evaluate"
        log.warning(message, ", ".join(labels[:5]) + ", ..." * (len(labels) > 5), len(labels) - 1)
