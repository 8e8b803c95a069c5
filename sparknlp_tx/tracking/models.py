"""Models in MLflow: logged with their signature and requirements, loaded from any URI."""

import logging
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import Schema
from mlflow.types.schema import AnyType, Array, ColSpec, DataType

from sparknlp_tx.errors import InputError
from sparknlp_tx.files import temporary_directory
from sparknlp_tx.inference.backends import openvino_runtime
from sparknlp_tx.inference.decision_rules import decision_rule
from sparknlp_tx.tracking.carried_code import importable, write_carried

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

    from sparknlp_tx.ml.model import TransformerClassificationModel

log = logging.getLogger(__name__)
# What the engine imports, and so what a served model has to have; no Spark among it.
ENGINE_PACKAGES = ("mlflow", "numpy", "pandas", "pyarrow", "tokenizers")
TORCH_PACKAGES = ("safetensors", "torch", "transformers")  # in place of OpenVINO, which an exported model runs on
SPECS = {  # MLflow's types, by Spark's
    "double": DataType.double,
    "string": DataType.string,
    "array<double>": Array(DataType.double),
    "array<string>": Array(DataType.string),
}


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
            for field, kind in decision_rule(*model.config).fields.items()
            if model.getOrDefault(field + "Col")
        ]
    )
    return ModelSignature(inputs, outputs)


def engine_requirements(model: "TransformerClassificationModel") -> list[str]:
    """The packages that the model's engine imports, each at the version installed here: torch only where it runs on torch."""
    exported = openvino_runtime.is_exported(model.directory)
    on_torch = not exported or model.getPrecision() == "float16" or model.getDevice().startswith("cuda")
    packages = (*ENGINE_PACKAGES, *(("openvino",) if exported else ()), *(TORCH_PACKAGES if on_torch else ()))
    found = {name: _version(name) for name in packages}
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
    from sparknlp_tx.ml.model import TransformerClassificationModel

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
