"""A model made fast on CPUs, from Spark's side: when it is exported to OpenVINO and quantised, by `inference.optimize`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.data.label_columns import true_labels
from sparknlp_tx.data.staging import staged_texts, with_texts
from sparknlp_tx.data.text_columns import invalid_text, text_column
from sparknlp_tx.errors import InputError
from sparknlp_tx.files import linked_copy
from sparknlp_tx.inference.backends import openvino_runtime
from sparknlp_tx.inference.decision_rules import REGRESSION, MultiLabel, SingleLabel, decision_rule
from sparknlp_tx.inference.model_directory import read_config
from sparknlp_tx.spark.named_columns import column_of

AGREEMENT_ROWS = 2_000


def prepare_for_cpus(directory: Path, train: Any, validation: Any, precision: str) -> None:
    """Export a fitted model where OpenVINO is installed; quantise it where `precision` says int8.

    Args:
        directory: the Hugging Face directory; the export goes into it.
        train, validation: staged rows; int8 is calibrated on some of the first, and its agreement measured on the second.
    """
    if not openvino_runtime.is_installed():
        return
    from sparknlp_tx.inference.optimize.export import export_openvino
    from sparknlp_tx.inference.optimize.margins import CALIBRATION_ROWS
    from sparknlp_tx.inference.optimize.quantization import quantize_openvino

    train = with_texts(train)
    step = max(1, len(train) // CALIBRATION_ROWS)
    texts = staged_texts(train.select(range(0, len(train), step)))
    if export_openvino(directory, texts) and precision == "int8":
        held_out = with_texts(validation) if validation is not None else train
        rows = held_out.select(range(min(len(held_out), AGREEMENT_ROWS)))
        decision = decision_rule(*read_config(directory))
        assert decision.problem_type != REGRESSION  # a fit refuses int8 for it
        quantize_openvino(directory, texts, staged_texts(rows), rows["labels"][:], decision)


def exported_copy(directory: Path) -> Path | None:
    """A copy of a model directory with an OpenVINO export; None if the model cannot be exported, which is logged as a warning."""
    from sparknlp_tx.inference.optimize.export import export_openvino

    copy = linked_copy(directory)
    return copy if export_openvino(copy) else None


def quantized_copy(
    directory: Path, dataset: DataFrame, text_columns: Sequence[str], label_col: str | None, decision: SingleLabel | MultiLabel
) -> Path:
    """A copy of an exported model directory with an int8 export, calibrated on rows of a DataFrame.

    Args:
        label_col: the true labels, to measure the accuracy; None if there are none.

    Raises:
        InputError: there are too few rows, or the model has no export.
    """
    from sparknlp_tx.inference.optimize.margins import CALIBRATION_ROWS
    from sparknlp_tx.inference.optimize.quantization import quantize_openvino

    columns = [text_column(dataset, name).alias(name) for name in text_columns]
    columns += [true_labels(dataset, label_col, decision)] if label_col else []
    valid = dataset.filter(~invalid_text(dataset, text_columns))
    mixed = F.xxhash64(*(column_of(dataset, name) for name in text_columns))  # tables are often sorted by label
    drawn = valid.orderBy(mixed).select(*columns).limit(CALIBRATION_ROWS + AGREEMENT_ROWS)
    rows = [tuple(row) for row in drawn.collect()]
    if len(rows) < 2:
        raise InputError("rows to calibrate on", f"{len(rows)} rows with a text", "Give some hundreds.")
    size = min(CALIBRATION_ROWS, len(rows) // 2)
    texts = [row[: len(text_columns)] if len(text_columns) > 1 else row[0] for row in rows]
    truth = [row[-1] for row in rows[size:]] if label_col else None
    copy = linked_copy(directory)
    quantize_openvino(copy, texts[:size], texts[size:], truth, decision)
    return copy
