"""Fine-tune Hugging Face text classifiers from Spark, score Delta tables on every executor, track the lot in MLflow.

The public names are resolved on first use (PEP 562), so that a Spark driver that imports `TransformerClassifier` loads no
torch, and a worker that imports `InferenceEngine` loads no Spark.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sparknlp_tx.version import __version__

if TYPE_CHECKING:
    from sparknlp_tx.classification import TransformerClassificationModel, TransformerClassifier
    from sparknlp_tx.engine import InferenceEngine
    from sparknlp_tx.session import local_session
    from sparknlp_tx.tracking import load_model, log_model

_HOMES = {
    "InferenceEngine": "engine",
    "TransformerClassificationModel": "classification",
    "TransformerClassifier": "classification",
    "load_model": "tracking",
    "local_session": "session",
    "log_model": "tracking",
}

__all__ = [
    "InferenceEngine",
    "TransformerClassificationModel",
    "TransformerClassifier",
    "__version__",
    "load_model",
    "local_session",
    "log_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
