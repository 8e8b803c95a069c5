"""A model directory to OpenVINO, once, on the driver: exported, compared with torch before it is trusted.

Knows no Spark. Needs torch, transformers and the extra `cpu`.
"""

import contextlib
import inspect
import logging
import shutil
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparknlp_tx.inference.backends import openvino_runtime as runtime
from sparknlp_tx.inference.backends.openvino_backend import OpenVINOBackend
from sparknlp_tx.inference.backends.torch_backend import TorchBackend
from sparknlp_tx.inference.batching import SHORT_WIDTH
from sparknlp_tx.inference.optimize import graph_rewrites as graph
from sparknlp_tx.inference.optimize.margins import CALIBRATION_ROWS, learn_margin
from sparknlp_tx.inference.packing import Layout, pack, row_width
from sparknlp_tx.inference.tokenization import Text, TextEncoder
from sparknlp_tx.inference.transformers_compat import quiet_transformers, weights_as

log = logging.getLogger(__name__)
_converting = threading.Lock()
TOLERANCE = 1e-3  # largest difference of a logit from torch's, in float32, with which an export is trusted
PACKED_TOLERANCE = 1e-4  # largest difference that what lies beside a text may make to a logit
PACKED_SHARE = 0.1  # nor more than this share of how far the texts' logits lie apart
PROBES = (
    "a",
    "A short text to compare.",
    "A longer text, so that batches have rows of several lengths and padding. " * 3,
    " ".join(map(str, range(600))),  # longer than a window of attention
)


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
            error = _largest_error(directory, list(texts)[:32])
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


def _convert(directory: Path, folder: Path, arrange: bool) -> None:
    """Export a model: with `arrange` made to do less, see `graph_rewrites`; a ValueError where that cannot be done."""
    import torch
    from transformers import AutoModelForSequenceClassification

    openvino = runtime.import_openvino()
    encoder = TextEncoder(directory)
    with quiet_transformers():
        model = AutoModelForSequenceClassification.from_pretrained(directory, **weights_as("float32")).eval()
    padded = encoder.pad(encoder.encode(["two texts", "of different lengths, so that one of them is padded"]), [0, 1])
    if arrange:
        padded["position_ids"] = np.tile(np.arange(padded["input_ids"].shape[1]), (2, 1))
    names = list(padded)
    example = tuple(torch.from_numpy(array) for array in padded.values())
    with torch.no_grad(), quiet_transformers(), _root_logger_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer: what it took for constant is found by comparing logits
        converted = openvino.convert_model(_logits_of(model, names, arrange), example_input=example)
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


def _logits_of(model: Any, names: Sequence[str], arrange: bool) -> Any:
    """A module that takes a model's inputs by position, the positions of each text counted from 0, and gives its logits alone."""
    import torch

    padding = _position_of_padding(model) if arrange else None
    takes_types = "token_type_ids" in inspect.signature(model.forward).parameters

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            given = dict(zip(names, inputs, strict=True))
            if arrange:
                if takes_types:  # transformers' own default is no longer than there are positions
                    given.setdefault("token_type_ids", torch.zeros_like(given["input_ids"]))
                if padding is not None:
                    given["position_ids"] = _positions_behind(padding, given["input_ids"], given["position_ids"])
            return self.model(**given).logits

    return Logits()


def _position_of_padding(model: Any) -> int | None:
    """The position that RoBERTa's kind gives to padding and counts from; None for a model that counts from 0.

    Raises:
        ValueError: it has no learnt positions.
    """
    positions = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    if positions is None or not hasattr(positions, "padding_idx"):
        raise ValueError("it has no learnt positions")
    return positions.padding_idx


def _positions_behind(padding: int, ids: Any, positions: Any) -> Any:
    """Positions as RoBERTa's kind counts them, int64 [rows, tokens]: a padding token that a text itself contains does not count."""
    counts = (ids != padding).long()
    counted = counts.cumsum(1)
    begin = counts.new_ones(ids.shape).cumsum(1) - 1 - positions  # where in the row each token's text begins
    before = (counted - counts).gather(1, begin)
    return (counted - before) * counts + padding


@contextlib.contextmanager
def _root_logger_kept() -> Iterator[None]:
    """OpenVINO's converter sets the root logger to ERROR, as if the process were its own. One thread at a time, so that none keeps what another has set."""
    root = logging.getLogger()
    with _converting:
        level, handlers, filters = root.level, root.handlers[:], root.filters[:]
        try:
            yield
        finally:
            root.setLevel(level)
            root.handlers[:], root.filters[:] = handlers, filters


def _largest_error(directory: str | Path, texts: Sequence[Text]) -> float:
    """Largest difference of a logit between the export and torch, in float32, on these texts and some more, with padding.

    Raises:
        ValueError: in packed batches a text's logits depend on the texts beside it.
    """
    encoder = TextEncoder(directory)
    probes = [*PROBES, f"One with {encoder.pad_token} inside."]
    pairs = bool(texts) and isinstance(texts[0], tuple)
    tokens = encoder.encode([*texts, *(zip(probes, probes, strict=True) if pairs else probes)])
    exported, torch_backend = OpenVINOBackend(directory, "float32"), TorchBackend(directory, "cpu", "float32")
    order = np.argsort(-tokens.lengths(), kind="stable")
    found, expected = [], []
    for start in range(0, len(order), 8):
        inputs = encoder.pad(tokens, order[start : start + 8])
        found.append(exported(inputs))
        expected.append(torch_backend.fetch([torch_backend(inputs)]))
    logits = np.concatenate(found)
    if exported.packs:
        layout = Layout.of(tokens.lengths()[order], max(SHORT_WIDTH, row_width(int(tokens.lengths().max()))))
        packed = pack(encoder, tokens, order, layout, range(len(layout.texts)))
        changed = np.abs(exported(packed.inputs)[packed.places] - logits[packed.texts]).max()
        if changed > min(PACKED_TOLERANCE, max(1e-6, PACKED_SHARE * np.ptp(logits, axis=0).max())):
            raise ValueError(f"what lies beside a text changes a logit by {changed:.2g}")
    return float(np.abs(logits - np.concatenate(expected)).max())
