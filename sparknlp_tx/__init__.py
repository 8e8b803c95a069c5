"""Fine-tune Hugging Face text classifiers from Spark, score Delta tables on every executor, track models and runs in MLflow.

The public names are resolved on first use (PEP 562), so that a Spark driver that imports `TransformerClassifier` loads no
torch, and a worker that imports `InferenceEngine` loads no Spark.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sparknlp_tx.version import __version__

if TYPE_CHECKING:
    from sparknlp_tx.classification import TransformerClassificationModel, TransformerClassifier
    from sparknlp_tx.errors import InputError, TrainingError
    from sparknlp_tx.inference.engine import InferenceEngine
    from sparknlp_tx.spark.session import local_session
    from sparknlp_tx.tracking.models import load_model, log_model

_HOMES = {
    "InferenceEngine": "inference.engine",
    "InputError": "errors",
    "TrainingError": "errors",
    "TransformerClassificationModel": "classification",
    "TransformerClassifier": "classification",
    "load_model": "tracking.models",
    "local_session": "spark.session",
    "log_model": "tracking.models",
}

__all__ = [
    "InferenceEngine",
    "InputError",
    "TrainingError",
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
