"""MLflow: logging a training run and its model, loading a model back from any MLflow URI."""

import dataclasses
import logging
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.spark_dataset_source import SparkDatasetSource
from mlflow.models import ModelSignature
from mlflow.types import Schema
from mlflow.types.schema import AnyType, Array, ColSpec, DataType

from sparknlp_tx import openvino_runtime, tables
from sparknlp_tx.artifact import directory_bytes, temporary_directory
from sparknlp_tx.carried import importable, write_carried
from sparknlp_tx.decisions import decision_for
from sparknlp_tx.errors import InputError
from sparknlp_tx.params import SCORING_PARAMS
from sparknlp_tx.version import __version__

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

    from sparknlp_tx.classification import TransformerClassificationModel

log = logging.getLogger(__name__)

# What the engine imports, and so what a served model has to have; no Spark among it.
ENGINE_PACKAGES = ("mlflow", "numpy", "pandas", "safetensors", "tokenizers", "torch", "transformers")
SPECS = {  # MLflow's types, by Spark's
    "double": DataType.double,
    "string": DataType.string,
    "array<double>": Array(DataType.double),
    "array<string>": Array(DataType.string),
}


PAUSE = 60.0  # seconds for which a training does not ask again after a server that did not answer
missed_metrics: list[tuple[dict[str, float], int]] = []  # that a training could not log on its way; `log_missed_metrics` does
_silent_until = 0.0


@contextmanager
def brief_requests(timeout: int | None = None, retries: int = 1) -> Iterator[None]:
    """Within it a server that does not answer is given up after seconds; MLflow's own retries take minutes."""
    values = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries)} | (
        {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout)} if timeout else {}
    )
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def log_training_metrics(metrics: dict[str, float], step: int) -> None:
    """Log what the Trainer says at a step to the active run: `eval_accuracy` becomes `validation.accuracy`.

    It never stops a training: what cannot be logged is kept in `missed_metrics`.
    """
    global _silent_until
    named = {
        name.replace("eval_", "validation.", 1) if name.startswith("eval_") else f"train.{name}": v
        for name, v in metrics.items()
    }
    named = {name.removeprefix("train.train_"): value for name, value in named.items()}
    if time.monotonic() < _silent_until:
        missed_metrics.append((named, step))
        return
    try:
        with brief_requests(timeout=10):
            mlflow.log_metrics(named, step=step)
    except Exception as error:
        log.warning("MLflow did not take the metrics of step %d; the training goes on: %s", step, str(error)[:300])
        missed_metrics.append((named, step))
        _silent_until = time.monotonic() + PAUSE


def log_missed_metrics() -> None:
    """Log what a training could not log on its way; raises what MLflow does."""
    while missed_metrics:
        named, step = missed_metrics[0]
        mlflow.log_metrics(named, step=step)
        del missed_metrics[0]


def log_data(table: str, at: int | None, context: str) -> None:
    """Log a table as an input of the active run; starts no job.

    Args:
        table: a name or a path, as `tables.read_table` takes it.
        at: the version that was read, as `tables.open_table` tells; None for what has no versions: views, tables of other formats.
        context: what it is for: `training`, `validation`, `test`, `scoring`.
    """
    name = tables.TableName.parse(table)
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
    mlflow.log_metrics({name: value for name, value in summary.items() if value is not None})
    versions = {f"version.{name}": _version(name) for name in (*ENGINE_PACKAGES, "pyspark", "datasets")}
    mlflow.set_tags(
        {
            "checkpoint": model.getCheckpoint(),
            "task": model.config.problem_type,
            "num_labels": model.numClasses,
            "device": model.summary.get("device", ""),
            "version.sparknlp_tx": __version__,
            "version.python": platform.python_version(),
            **versions,
        }
    )


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


def log_model(
    model: "TransformerClassificationModel",
    name: str = "model",
    registered_model_name: str | None = None,
    input_example: Any = None,
) -> "ModelInfo":
    """Log a model as a pyfunc from code to the active run, or to a run of its own.

    The pyfunc carries this package, under a name of its own, and the saved directory, and requires what the engine imports; no
    Spark, no pickle. It takes a list of texts (for pairs, of tuples), or a DataFrame that has the text columns by their names, and
    gives `transform`'s columns.

    Args:
        name: the model's name in the run.
        registered_model_name: register it under this name as well.
        input_example: shown with the model; default one made-up text.

    Returns:
        MLflow's ModelInfo; its `model_uri` is what `load_model` takes.
    """
    folder = temporary_directory("log")
    model.save(str(folder / "model"))
    entry, package = write_carried(folder)
    with importable(package):
        return mlflow.pyfunc.log_model(
            name=name,
            python_model=str(entry),
            artifacts={"model": str(folder / "model")},
            code_paths=[str(package)],
            pip_requirements=engine_requirements(model),
            signature=signature(model),
            input_example=example(model) if input_example is None else input_example,
            registered_model_name=registered_model_name,
        )


def example(model: "TransformerClassificationModel") -> pd.DataFrame:
    """One made-up row of the columns that the pyfunc takes."""
    return pd.DataFrame({name: ["This is a text to classify."] for name in _text_columns(model)})


def _text_columns(model: "TransformerClassificationModel") -> list[str]:
    return [model.getTextCol(), *([model.getTextPairCol()] if model.isDefined("textPairCol") else [])]


def signature(model: "TransformerClassificationModel") -> ModelSignature:
    """What the pyfunc takes and gives, by the model's column names.

    MLflow hands on the columns that are named here and no others. Those of a list have numbers, which have to stand at their own
    places; those of a DataFrame have names; either may be there. Of a type of strings MLflow would make a text "None" of null: the
    pyfunc checks itself what is in them.
    """
    names = _text_columns(model)
    inputs = Schema([ColSpec(AnyType(), name, required=False) for name in (*range(len(names)), *names)])
    outputs = Schema(
        [
            ColSpec(SPECS[kind], model.getOrDefault(field + "Col"), required=False)
            for field, kind in decision_for(*model.config).fields.items()
            if model.getOrDefault(field + "Col")
        ]
    )
    return ModelSignature(inputs, outputs)


def engine_requirements(model: "TransformerClassificationModel") -> list[str]:
    """The packages that the model's engine imports, each at the version installed here."""
    exported = ("openvino",) if openvino_runtime.is_exported(model.directory) else ()
    found = {name: _version(name) for name in (*ENGINE_PACKAGES, *exported)}
    if found["mlflow"] == "absent":
        found = {"mlflow-skinny": _version("mlflow-skinny")} | found
    return [_requirement(name, version) for name, version in found.items() if version != "absent"]


def _requirement(name: str, version: str) -> str:
    """A package at its version; a vendor's own build (`2.6.0a0`), which no index has, as the release that it was made from."""
    release = re.fullmatch(r"(\d+(?:\.\d+)*)(?:a|b|rc|\.dev)\d+.*", version)
    return f"{name}>={release[1]}" if release else f"{name}=={version}"


def _version(package: str) -> str:
    try:
        return version(package).partition("+")[0]  # torch's local part names a wheel that no index has
    except PackageNotFoundError:
        return "absent"


def load_model(uri: str) -> "TransformerClassificationModel":
    """The Spark model behind a URI: a saved directory, `runs:/...`, `models:/name/version` or `models:/name@alias`.

    Raises:
        InputError: there is no model of this library at the URI.
    """
    from sparknlp_tx.classification import TransformerClassificationModel

    if not uri.startswith(("runs:", "models:", "mlflow-artifacts:")):
        return TransformerClassificationModel.load(uri)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(temporary_directory("download"))))
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise InputError("a model in MLflow", f"none at {uri} ({error})", "Check the URI and MLFLOW_TRACKING_URI.") from error
    saved = [file.parent.parent for file in folder.glob("artifacts/*/metadata/part-00000")]
    if not saved:
        raise InputError(f"a model that sparknlp_tx logged at {uri}", "another kind of model", "Give the URI of such a model.")
    return TransformerClassificationModel.load(str(saved[0]))
