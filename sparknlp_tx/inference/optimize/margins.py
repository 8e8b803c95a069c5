"""Calibration of the margin below which a prediction of reduced precision may differ from float32's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sparknlp_tx.inference.backends import openvino_runtime as runtime
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION
from sparknlp_tx.inference.engine import InferenceEngine
from sparknlp_tx.inference.model_directory import read_config
from sparknlp_tx.inference.tokenization import Text

CALIBRATION_ROWS = 300
SAFETY = 2.0


def learn_margin(directory: str | Path, precision: str, texts: Sequence[Text]) -> None:
    """Calibrate the margin below which a prediction of reduced precision may differ from float32's, and store it with the model.

    It is the largest amount by which the precision raised a lead on the calibration rows, and as much again for the rows
    that are not among them. Of several labels a row, where each has a threshold of its own, it is twice the largest change of a
    logit. Regression decides nothing and needs none.
    """
    arithmetic = "bfloat16" if runtime.native_bfloat16() else "float32"
    runtime.update_report(directory, arithmetic=arithmetic, **{precision: {"margin_bound": 0.0}})
    reduced, exact = (
        InferenceEngine.from_pretrained(directory, "cpu", p).predict_logits(texts) for p in (precision, "float32")
    )
    kind = read_config(directory).problem_type
    largest = (
        0.0 if kind == REGRESSION else float(np.abs(reduced - exact).max()) if kind == MULTI else margin_error(reduced, exact)
    )
    bound = SAFETY * largest
    runtime.update_report(directory, **{precision: {"margin_bound": bound, "calibration_rows": len(texts)}})


def margin_error(rough: np.ndarray, exact: np.ndarray) -> float:
    """The largest amount by which quantisation raised the lead of int8's best label over its closest rivals."""
    rows = np.arange(len(rough))
    best = rough.argmax(axis=1)
    raised = 0.0
    for rivals in (np.argsort(rough, axis=1)[:, -2], np.argsort(exact, axis=1)[:, -1], np.argsort(exact, axis=1)[:, -2]):
        lead_rough = rough[rows, best] - rough[rows, rivals]
        lead_exact = exact[rows, best] - exact[rows, rivals]
        raised = max(raised, float(np.max(lead_rough - lead_exact)))
    return raised
