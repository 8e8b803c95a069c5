"""A model directory to OpenVINO, once, on the driver: exported, compared with torch before it is trusted, quantised to int8.

Knows no Spark. Needs torch, transformers and the extra `cpu`.
"""

import contextlib
import logging
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sparknlp_tx import graph
from sparknlp_tx import openvino_runtime as runtime
from sparknlp_tx.backends import OpenVINOBackend, TorchBackend, quiet_transformers
from sparknlp_tx.batching import Layout
from sparknlp_tx.decisions import MULTI, REGRESSION, MultiLabel, SingleLabel, read_config
from sparknlp_tx.engine import InferenceEngine
from sparknlp_tx.errors import InputError
from sparknlp_tx.metrics import indicators
from sparknlp_tx.tokenization import Text, TextEncoder, arranged
from sparknlp_tx.transformers_versions import weights_as

log = logging.getLogger(__name__)

TOLERANCE = 1e-3  # largest difference of a logit from torch's, in float32, with which an export is trusted
CALIBRATION_ROWS = 300
SAFETY = 2.0
PROBES = (
    "a",
    "A short text to compare.",
    "A longer text, so that batches have rows of several lengths and padding. " * 3,
    " ".join(map(str, range(600))),  # longer than a window of attention
)


class Agreement(NamedTuple):
    """How int8 stands against float32 on rows it was not calibrated on: shares from 0 to 1."""

    rows: int
    agreement: float
    accuracy: float | None
    accuracy_float32: float | None
    scored_again: float


def export_openvino(directory: str | Path, texts: Sequence[Text] = ()) -> bool:
    """Export the model in a Hugging Face directory to its folder `openvino/`, where it can be.

    Args:
        texts: real rows on which the logits are compared with torch's, beside a few made up here.

    Returns:
        Whether there is an export that gives torch's logits; if not, why not is logged as a warning, once.
    """
    folder = Path(directory, runtime.FOLDER)
    reason = ""
    for arrange in (True, False):
        try:
            _convert(Path(directory), folder, arrange)
            error = _largest_error(directory, [*texts][:32] + ([] if texts and isinstance(texts[0], tuple) else [*PROBES]))
            if error <= TOLERANCE:
                break
            reason = f"its logits differ from torch's by {error:.2g}"
        except Exception as failure:  # converters fail in many ways; torch serves all the same
            reason = next(iter(str(failure).strip().splitlines()), type(failure).__name__)
        log.debug("Not exported to OpenVINO with arrange=%s: %s", arrange, reason)
        shutil.rmtree(folder, ignore_errors=True)
    else:
        log.warning("This model cannot be exported to OpenVINO (%s): CPUs will score it with torch, more slowly.", reason[:200])
        return False
    runtime.update_report(directory, largest_logit_error=error)
    if runtime.native_bfloat16() and texts:
        learn_margin(directory, "bfloat16", list(texts)[:CALIBRATION_ROWS])
    return True


def learn_margin(directory: str | Path, precision: str, texts: Sequence[Text]) -> None:
    """Learn by how little a decision may lead in a reduced precision and still be float32's; keep it with the model.

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


def _convert(directory: Path, folder: Path, arrange: bool) -> None:
    """Export a model: with `arrange` made to do less, see `graph.py`; a ValueError where that cannot be done."""
    import torch
    from transformers import AutoModelForSequenceClassification

    openvino = runtime.import_openvino()
    encoder = TextEncoder(directory)
    with quiet_transformers():
        model = AutoModelForSequenceClassification.from_pretrained(directory, **weights_as("float32")).eval()

    first = _first_position(model) if arrange else 0

    class Logits(torch.nn.Module):
        """The model with positional inputs, its positions counted from 0, and its logits as the one output."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            given = dict(zip(names, inputs, strict=True))
            if arrange:
                given["position_ids"] = given["position_ids"] + first
            return self.model(**given).logits

    padded = encoder.pad(encoder.encode(["two texts", "of different lengths, so that one of them is padded"]), [0, 1])
    if arrange:
        padded["position_ids"] = np.tile(np.arange(padded["input_ids"].shape[1]), (2, 1))
    names = list(padded)
    example = tuple(torch.from_numpy(array) for array in padded.values())
    with torch.no_grad(), quiet_transformers(), warnings.catch_warnings(), _root_logger_kept():
        warnings.simplefilter("ignore")  # of the tracer: what it took for constant is found by comparing logits
        converted = openvino.convert_model(Logits(), example_input=example)
    for port, name in zip(converted.inputs, names, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_partial_shape(openvino.PartialShape([-1, -1]))
        port.get_node().set_element_type(openvino.Type.i64)
    converted.validate_nodes_and_infer_types()
    if arrange:
        graph.arrange(converted)
    graph.flatten_before_gelu(converted)
    folder.mkdir(exist_ok=True)
    runtime.save_model(converted, folder / runtime.MODEL)


def _first_position(model: Any) -> int:
    """The number that a model with learnt positions gives to the first; RoBERTa's kind counts from behind its padding's.

    Raises:
        ValueError: it has no learnt positions.
    """
    positions = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    if positions is None or not hasattr(positions, "padding_idx"):
        raise ValueError("it has no learnt positions")
    return 0 if positions.padding_idx is None else positions.padding_idx + 1


@contextlib.contextmanager
def _root_logger_kept() -> Iterator[None]:
    """OpenVINO's converter sets up the root logger as if the process were its own."""
    root = logging.getLogger()
    level, handlers, filters = root.level, root.handlers[:], root.filters[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:], root.filters[:] = handlers, filters


def _largest_error(directory: str | Path, texts: Sequence[Text]) -> float:
    """Largest difference of a logit between the export and torch, in float32: in batches with padding, and in a packed one."""
    encoder = TextEncoder(directory)
    tokens = encoder.encode(list(texts))
    exported, torch_backend = OpenVINOBackend(directory, "float32"), TorchBackend(directory, "cpu", "float32")
    order = np.argsort(-tokens.lengths(), kind="stable")
    found, expected = [], []
    for start in range(0, len(order), 8):
        inputs = encoder.pad(tokens, order[start : start + 8])
        found.append(exported(inputs))
        expected.append(torch_backend.fetch([torch_backend(inputs)]))
    errors = [np.abs(np.concatenate(found) - np.concatenate(expected)).max()]
    if exported.packs:
        layout = Layout.of(tokens.lengths()[order], int(tokens.lengths().max()))
        packed = encoder.pack(tokens, order, layout, range(len(layout.texts)))
        errors.append(np.abs(exported(packed.inputs)[packed.places] - np.concatenate(expected)[packed.texts]).max())
    return float(max(errors))


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
