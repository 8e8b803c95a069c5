"""OpenVINO as this library uses it: imported without telemetry, its files, its settings. Loads neither torch nor Spark."""

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = "openvino"  # inside a Hugging Face directory, the hub's own convention
MODEL = "openvino_model.xml"
INT8_MODEL = "openvino_model_int8.xml"
PREPARED = 64  # what is kept prepared for shapes of batches, enough for 16 of them: each takes 2 to 3 MB, and 250 lengths many
REPORT = "sparknlp_tx.json"  # what was measured when the model was exported and quantised

_TELEMETRY = "openvino_telemetry"


def is_installed() -> bool:
    """Whether OpenVINO can be imported here."""
    return importlib.util.find_spec("openvino") is not None


@lru_cache
def import_openvino() -> ModuleType:
    """OpenVINO; its telemetry, which would tell a third party of the import, is kept from loading."""
    with_telemetry = _hide()
    try:
        import openvino
        import openvino.tools.ovc  # binds its telemetry now

        return openvino
    finally:
        _restore(with_telemetry)


@lru_cache
def import_nncf() -> ModuleType:
    """NNCF, likewise."""
    import_openvino()
    with_telemetry = _hide()
    try:
        import nncf

        return nncf
    finally:
        _restore(with_telemetry)


def _hide() -> ModuleType | None:
    """Keep telemetry from being imported, and return it where it was: OpenVINO and NNCF have stubs for its absence."""
    module = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python allows it, and its stub of `sys` does not know
    return module


def _restore(module: ModuleType | None) -> None:
    if module is None:
        del sys.modules[_TELEMETRY]
    else:
        sys.modules[_TELEMETRY] = module


def model_file(directory: str | Path, precision: str) -> Path:
    """Where the exported model of a precision lies."""
    return Path(directory, FOLDER, INT8_MODEL if precision == "int8" else MODEL)


def is_exported(directory: str | Path, precision: str = "auto") -> bool:
    """Whether a Hugging Face directory has the exported model of a precision."""
    return model_file(directory, precision).is_file()


def read_report(directory: str | Path) -> dict[str, Any]:
    """What was measured when the model was exported and quantised; empty where nothing was."""
    file = Path(directory, FOLDER, REPORT)
    return json.loads(file.read_text()) if file.is_file() else {}


def update_report(directory: str | Path, **entries: Any) -> None:
    """Add entries to the report."""
    file = Path(directory, FOLDER, REPORT)
    fresh = file.with_suffix(".new")  # never in place: the file may be a link that another model shares
    fresh.write_text(json.dumps(read_report(directory) | entries, indent=2) + "\n")
    os.replace(fresh, file)


def save_model(model: Any, file: Path) -> None:
    """Write a model as FILE.xml and FILE.bin; never in place: what is there may be a link that another model shares."""
    with tempfile.TemporaryDirectory(dir=file.parent) as fresh:
        written = Path(fresh, file.name)
        import_openvino().save_model(model, str(written), compress_to_fp16=False)
        for suffix in (".xml", ".bin"):
            os.replace(written.with_suffix(suffix), file.with_suffix(suffix))


@lru_cache
def native_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 natively."""
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def read_model(file: Path) -> Any:
    """An exported model; its weights are mapped into memory, and what is compiled of it shares them."""
    return import_openvino().Core().read_model(str(file))


def is_arranged(model: Any) -> bool:
    """Whether `graph_rewrites.arrange` made an exported model's graph: it takes packed batches."""
    return any("first_tokens" in port.get_names() for port in model.inputs)


def compile_model(model: Any, precision: str, threads: int | None) -> Any:
    """A compiled model for one worker.

    In bfloat16 attention runs operation by operation, not as one generated kernel (`SNIPPETS_MODE`): on texts of 15 tokens the
    whole model is 1.3 times as fast then, on 256 tokens as fast as before. In float32 the kernel is the faster of the two.

    Args:
        model: what `read_model` gave.
        precision: `float32` or `bfloat16`: the arithmetic of what is not quantised.
        threads: how many to use; default all cores. They are not pinned: two workers would be pinned to the same core.
    """
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
    }
    undocumented = {"CPU_RUNTIME_CACHE_CAPACITY": str(PREPARED)}
    if precision == "bfloat16":
        undocumented["SNIPPETS_MODE"] = "DISABLE"
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    compile_for_cpu = partial(import_openvino().Core().compile_model, model, "CPU")
    with _environment(ONEDNN_PRIMITIVE_CACHE_CAPACITY=str(PREPARED)):
        try:
            return compile_for_cpu(settings | undocumented)
        except RuntimeError:  # another release may not know one of them
            return compile_for_cpu(settings)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Environment variables that are set inside the block, unless the user has set them: OpenVINO's oneDNN reads them once, and torch's would later."""
    fresh = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(fresh)
    try:
        yield
    finally:
        for name in fresh:
            os.environ.pop(name, None)
