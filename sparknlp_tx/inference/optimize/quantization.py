"""An exported model to int8 on the driver: quantised, and how well it agrees with float32 measured.

Knows no Spark. Needs the extra `cpu`.
"""

import contextlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.backends import openvino_runtime as runtime
from sparknlp_tx.inference.decision_rules import MULTI, MultiLabel, SingleLabel, indicators
from sparknlp_tx.inference.engine import InferenceEngine
from sparknlp_tx.inference.optimize.margins import CALIBRATION_ROWS, learn_margin
from sparknlp_tx.inference.packing import arranged
from sparknlp_tx.inference.tokenization import Text, TextEncoder

log = logging.getLogger(__name__)


class Agreement(NamedTuple):
    """How int8 stands against float32 on rows it was not calibrated on: shares from 0 to 1."""

    rows: int
    agreement: float
    accuracy: float | None
    accuracy_float32: float | None
    scored_again: float


def quantize_openvino(
    directory: str | Path,
    calibration: Sequence[Text],
    held_out: Sequence[Text],
    labels: Sequence | None,
    decision: SingleLabel | MultiLabel,
) -> Agreement:
    """Quantise an exported model to int8 by NNCF's post-training quantisation, and learn which decisions are close.

    Args:
        calibration: training rows; up to 300 are used.
        held_out: other rows, to measure the agreement with float32 on.
        labels: indices of their labels, or lists of them, where they are known.
        decision: how logits become predictions.

    Returns:
        The agreement; it is kept with the model, too.

    Raises:
        InputError: the model has no OpenVINO export.
    """
    if not runtime.is_exported(directory):
        raise InputError(
            "a model exported to OpenVINO, for int8", "one without", "Install the extra 'cpu', or take another precision."
        )
    nncf = runtime.import_nncf()
    nncf.set_log_level(logging.ERROR)
    encoder = TextEncoder(directory)
    texts = list(calibration)[:CALIBRATION_ROWS]
    tokens = encoder.encode(texts)
    model = runtime.read_model(runtime.model_file(directory, "float32"))
    rows = [encoder.pad(tokens, [row]) for row in range(len(texts))]
    rows = [arranged(inputs) for inputs in rows] if runtime.is_arranged(model) else rows
    settings = {
        "model_type": nncf.ModelType.TRANSFORMER,
        "preset": nncf.QuantizationPreset.PERFORMANCE,  # symmetric activations: 1.2 times as fast, no less exact on Banking77
        "subset_size": len(rows),
    }
    with contextlib.redirect_stdout(sys.stderr):  # where its progress bars belong
        quantised = nncf.quantize(model, nncf.Dataset(rows), **settings)
    runtime.save_model(quantised, runtime.model_file(directory, "int8"))
    learn_margin(directory, "int8", texts)
    return measure_agreement(directory, held_out, labels, decision)


def measure_agreement(
    directory: str | Path, texts: Sequence[Text], labels: Sequence | None, decision: SingleLabel | MultiLabel
) -> Agreement:
    """Score rows by int8, second looks included, and by float32; keep the figures with the model.

    Args:
        texts: rows that int8 was not calibrated on.
        labels: their labels' indices, or lists of them, where they are known.
        decision: how logits become predictions.
    """
    rough, exact = (InferenceEngine.from_pretrained(directory, "cpu", precision) for precision in ("int8", "float32"))
    logits = (engine.predict_logits(texts, decision.margin) for engine in (rough, exact))
    found, expected = (decision.predict(decision.probabilities(values)) for values in logits)
    truth = indicators(labels, len(decision.labels)) if decision.problem_type == MULTI and labels is not None else labels
    measured = Agreement(
        rows=len(texts),
        agreement=_share_equal(found, expected),
        accuracy=None if labels is None else _share_equal(found, np.asarray(truth)),
        accuracy_float32=None if labels is None else _share_equal(expected, np.asarray(truth)),
        scored_again=rough.stats.second_looks / max(1, rough.stats.texts),
    )
    report = runtime.read_report(directory)
    runtime.update_report(directory, int8=report["int8"] | measured._asdict())
    if measured.agreement < 0.995:
        log.warning("int8 gives %.2f %% of %d rows another label than float32", 100 * (1 - measured.agreement), len(texts))
    return measured


def _share_equal(found: np.ndarray, expected: np.ndarray) -> float:
    """The share of rows with the same label, or with all the same labels."""
    return float((found == expected).reshape(len(found), -1).all(axis=1).mean())
