"""What commands log to an MLflow run: input tables, Params, metrics."""

import dataclasses
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.spark_dataset_source import SparkDatasetSource

from sparknlp_tx.files import directory_bytes
from sparknlp_tx.inference.backends.devices import processor
from sparknlp_tx.ml.params import SCORING_PARAMS
from sparknlp_tx.spark.table_names import TableName
from sparknlp_tx.tracking.models import ENGINE_PACKAGES, TORCH_PACKAGES, _version
from sparknlp_tx.version import __version__

if TYPE_CHECKING:
    from sparknlp_tx.ml.model import TransformerClassificationModel


def log_data(table: str, at: int | None, context: str) -> None:
    """Log a table as an input of the active run; starts no job.

    Args:
        table: a name or a path, as `tables.read_table` takes it.
        at: the version that was read, from `tables.open_table`; None for what has no versions: views, tables of other formats.
        context: what it is for: `training`, `validation`, `test`, `scoring`.
    """
    name = TableName.parse(table)
    shown = ".".join(name.parts)
    if at is None:
        source: Any = SparkDatasetSource(path=name.path, table_name=shown or None)
    elif name.path is not None:
        source = DeltaDatasetSource(path=name.path, delta_table_version=at)
    else:
        source = DeltaDatasetSource(delta_table_name=shown, delta_table_version=at)
    digest = "no version" if at is None else f"v{at}"
    mlflow.log_input(MetaDataset(source, name=shown or Path(name.path or "").name, digest=digest), context=context)


def log_training(model: "TransformerClassificationModel") -> None:
    """Log a fitted model's Params, effective TrainingArguments, summary and versions to the active run."""
    values = {param.name: value for param, value in model.extractParamMap().items()}
    arguments = model.summary.get("training_args", {})
    mlflow.log_params(values | {f"args.{name}": value for name, value in changed_arguments(arguments).items()})
    mlflow.log_dict(arguments, "training_arguments.json")
    mlflow.log_dict({"history": model.summary.get("history", [])}, "history.json")
    summary = {name: model.summary.get(name) for name in ("train_seconds", "train_rows", "rows_per_second", "best_epoch")}
    summary |= {f"int8.{name}": value for name, value in model.summary.get("int8", {}).items()}
    summary["model_size_mb"] = model_size_mb(model)
    if model.summary.get("train_rows") and model.summary.get("rows_per_second"):
        summary["seconds_per_epoch"] = model.summary["train_rows"] / model.summary["rows_per_second"]
    mlflow.log_metrics({name: value for name, value in summary.items() if value is not None})
    versions = {f"version.{name}": _version(name) for name in (*ENGINE_PACKAGES, *TORCH_PACKAGES, "pyspark", "datasets")}
    mlflow.set_tags(
        {
            "checkpoint": model.getCheckpoint(),
            "task": model.config.problem_type,
            "num_labels": model.numClasses,
            "device": model.summary.get("device", ""),
            "hardware": _hardware(model.summary.get("device", "")),
            "workers": str(model.getOrDefault("numTrainWorkers")),
            "training_precision": next((name for name in ("bf16", "fp16") if arguments.get(name)), "float32"),
            "version.sparknlp_tx": __version__,
            "version.python": platform.python_version(),
            **versions,
        }
    )


def _hardware(device: str) -> str:
    """What a training ran on: the card's name, or the processor's."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else device
    return processor()


def log_scoring(model: "TransformerClassificationModel", uri: str, metrics: dict[str, float]) -> None:
    """Log to the active run how a table was scored: the model's URI and Params, and `ScoringObservation.metrics`."""
    values = {param.name: value for param, value in model.extractParamMap().items()}
    mlflow.log_params({"model": uri} | {name: values[name] for name in SCORING_PARAMS if name in values})
    mlflow.log_metrics({f"scoring.{name}": value for name, value in metrics.items()})
    mlflow.set_tags({"version.sparknlp_tx": __version__, "version.python": platform.python_version()})


def changed_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """The TrainingArguments that differ from the defaults of transformers, without the temporary folder."""
    from transformers import TrainingArguments

    defaults = {f.name: f.default for f in dataclasses.fields(TrainingArguments) if f.default is not dataclasses.MISSING}
    return {
        name: value
        for name, value in arguments.items()
        if name in defaults and name != "output_dir" and value != defaults[name]
    }


def model_size_mb(model: "TransformerClassificationModel") -> float:
    """Size of a model's files in megabytes (10^6 bytes)."""
    return directory_bytes(model.directory) / 1e6
