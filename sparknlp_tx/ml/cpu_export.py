"""A model made fast on CPUs, from Spark's side: when it is exported to OpenVINO and quantised, by `inference.optimize`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.data.label_columns import true_labels
from sparknlp_tx.data.staging import staged_texts, with_texts
from sparknlp_tx.data.text_columns import invalid_text, text_column
from sparknlp_tx.errors import InputError
from sparknlp_tx.files import file_hashes, linked_copy
from sparknlp_tx.inference.backends import openvino_runtime
from sparknlp_tx.inference.backends.devices import gpu_count
from sparknlp_tx.inference.decision_rules import REGRESSION, decision_rule
from sparknlp_tx.inference.model_directory import read_config
from sparknlp_tx.ml.params import TransformerClassifierParams
from sparknlp_tx.spark.named_columns import column_of, find_column

if TYPE_CHECKING:
    from typing_extensions import Self

    from sparknlp_tx.inference.decision_rules import DecisionRule
    from sparknlp_tx.ml.summary import TrainingSummary

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


class CpuScoring(TransformerClassifierParams):
    """What a model needs to be scored fast on CPUs."""

    _export_tried = False
    if TYPE_CHECKING:  # the model's own
        summary: TrainingSummary

        @property
        def decision(self) -> DecisionRule: ...
        @property
        def directory(self) -> Path: ...
        @property
        def text_columns(self) -> tuple[str, ...]: ...
        def _unchanged_directory(self) -> Path: ...
        def _adopt(self, directory: Path, files: dict[str, str], summary: dict[str, Any]) -> None: ...

    def quantize(self, dataset: DataFrame) -> "Self":
        """A copy of this model that scores in int8 on CPUs, and keeps float32's labels.

        Rows whose decision is close are scored again at full precision; how close is learnt from 300 rows of the data set. On
        up to 2,000 others the agreement with float32 is measured, and both accuracies where the label column is there:
        `summary["int8"]` tells.

        Args:
            dataset: rows like those to score, best of the training table, with the text columns and perhaps the label column.

        Raises:
            InputError: OpenVINO is not installed, the model cannot be exported, there are too few rows, or another model was saved
                over this one's files.
        """
        from sparknlp_tx.inference.optimize.margins import CALIBRATION_ROWS
        from sparknlp_tx.inference.optimize.quantization import quantize_openvino

        self._check_texts(self._dataset(dataset, streams=False))
        decision = self.decision
        if decision.problem_type == REGRESSION:
            raise InputError("labels, for int8 to keep", "a model of regression", "Score it in bfloat16 or float32.")
        if not openvino_runtime.is_installed():
            raise InputError("OpenVINO to quantise with", "none installed", "pip install 'sparknlp_tx[cpu]'")
        self._ensure_export()
        names = self.text_columns
        labelled = find_column(dataset, self.getLabelCol()) is not None
        columns = [text_column(dataset, name).alias(name) for name in names]
        columns += [true_labels(dataset, self.getLabelCol(), decision)] if labelled else []
        valid = dataset.filter(~invalid_text(dataset, names))
        mixed = F.xxhash64(*(column_of(dataset, name) for name in names))  # tables often stand in the order of their labels
        anyhow = valid.orderBy(mixed).select(*columns)
        rows = [tuple(row) for row in anyhow.limit(CALIBRATION_ROWS + AGREEMENT_ROWS).collect()]
        if len(rows) < 2:
            raise InputError("rows to calibrate on", f"{len(rows)} rows with a text", "Give some hundreds.")
        calibration, held_out = rows[: min(CALIBRATION_ROWS, len(rows) // 2)], rows[min(CALIBRATION_ROWS, len(rows) // 2) :]
        truth = [row[-1] for row in held_out] if labelled else None
        directory = linked_copy(self._unchanged_directory())
        texts, others = ([row[: len(names)] if len(names) > 1 else row[0] for row in part] for part in (calibration, held_out))
        quantize_openvino(directory, texts, others, truth, decision)
        model = self.copy({self.precision: "int8"})
        model._adopt(directory, file_hashes(directory), self.summary)
        return model

    def _ensure_export(self) -> None:
        """Export a model that has no OpenVINO export, once, where OpenVINO is installed and its CPU would be used."""
        wanted = self.getDevice() in ("auto", "cpu") and self.getPrecision() != "float16"
        if not wanted or self._export_tried or openvino_runtime.is_exported(self.directory):
            return
        if not openvino_runtime.is_installed() or (self.getDevice() == "auto" and gpu_count()):
            return
        from sparknlp_tx.inference.optimize.export import export_openvino

        self._export_tried = True
        directory = linked_copy(self._unchanged_directory())
        if export_openvino(directory):
            self._adopt(directory, file_hashes(directory), self.summary)
