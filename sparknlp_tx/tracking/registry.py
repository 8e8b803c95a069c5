"""MLflow's model registry: which version an alias names, and what its tags say."""

import re
from dataclasses import dataclass, field

import mlflow
from mlflow.exceptions import MlflowException

from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.ml.live_metrics import brief_requests

ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # stores differ in what they say of an alias that is not there


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        name, number: `models:/name/number`.
        run_id: of the run that logged it; None where the registry does not tell.
        tags: as they were when it was read.
    """

    name: str
    number: str
    run_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """For `load_model`."""
        return f"models:/{self.name}/{self.number}"


def check_registered(name: str) -> None:
    """Raise InputError where no model of that name is registered; offers the nearest."""
    if not is_registered(name):
        names = [model.name for model in mlflow.MlflowClient().search_registered_models(max_results=100)]
        raise InputError(f"a registered model {name!r}", "none of that name", nearest(name, names))


def is_registered(name: str) -> bool:
    """Whether a model of that name is registered.

    Raises:
        InputError: the registry does not answer.
    """
    try:
        with brief_requests(timeout=10):
            mlflow.MlflowClient().get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise InputError("a model registry that answers", _line(error), "Check MLFLOW_REGISTRY_URI.") from error
        return False
    return True


def aliased(name: str, alias: str) -> Version | None:
    """The version that an alias names; None where a registered model has no such alias.

    Raises:
        InputError: the registry knows no aliases, or does not answer.
    """
    try:
        with brief_requests(timeout=10):
            found = mlflow.MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        remedy = "Take a server of MLflow 2.3 or later, or Unity Catalog; check MLFLOW_REGISTRY_URI."
        raise InputError("a model registry with aliases", _line(error), remedy) from error
    return _version(found)


def version_of(uri: str) -> Version | None:
    """The registered version that a URI names: `models:/name/version` or `models:/name@alias`; None for any other URI or a folder.

    Raises:
        InputError: there is no such model, version or alias; says which there are.
    """
    by_number, by_alias = re.fullmatch(r"models:/([^/@]+)/(\d+)", uri), re.fullmatch(r"models:/([^/@]+)@([^/@]+)", uri)
    if by_number is None and by_alias is None:
        return None
    name = (by_number or by_alias)[1]  # type: ignore[index]
    check_registered(name)
    if by_alias is not None:
        found = aliased(name, by_alias[2])
        if found is None:
            aliases = mlflow.MlflowClient().get_registered_model(name).aliases
            raise InputError(f"an alias {by_alias[2]!r} of {name}", "none of that name", nearest(by_alias[2], aliases))
        return found
    assert by_number is not None
    try:
        with brief_requests(timeout=10):
            return _version(mlflow.MlflowClient().get_model_version(name, by_number[2]))
    except MlflowException:
        numbers = [version.version for version in mlflow.MlflowClient().search_model_versions(f"name='{name}'")]
        there = ", ".join(sorted(map(str, numbers), key=int)) or "none"
        raise InputError(f"a version {by_number[2]} of {name}", "none of that number", f"There are: {there}.") from None


def run_of(uri: str) -> str | None:
    """The run that logged a model, as far as its URI tells; None for a folder."""
    version = version_of(uri)
    if version is not None:
        return version.run_id
    if uri.startswith("runs:/"):
        return uri.removeprefix("runs:/").partition("/")[0]
    if uri.startswith("models:/"):
        with brief_requests(timeout=10):
            return mlflow.models.get_model_info(uri).run_id
    return None


def logged_table(run_id: str, context: str = "training") -> str | None:
    """The table that a run has logged as an input, with its version, as `tables.open_table` takes it; None where it logged none.

    Args:
        context: what it was for: `training`, `validation`, `test`.
    """
    import json

    with brief_requests(timeout=10):
        inputs = mlflow.MlflowClient().get_run(run_id).inputs.dataset_inputs
    for entry in inputs:
        if any(tag.key == "mlflow.data.context" and tag.value == context for tag in entry.tags):
            source = json.loads(entry.dataset.source)
            table = source.get("delta_table_name") or source.get("path")
            version = source.get("delta_table_version")
            return table and (table if version is None else f"{table}@v{version}")
    return None


def _version(found: object) -> Version:
    return Version(found.name, str(found.version), found.run_id or None, dict(found.tags))  # type: ignore[attr-defined]


def set_tags(version: Version, tags: dict[str, str]) -> None:
    """Set tags of a version."""
    client = mlflow.MlflowClient()
    with brief_requests(timeout=10, retries=3):
        for key, value in tags.items():
            client.set_model_version_tag(version.name, version.number, key, value)


def set_alias(version: Version, alias: str) -> None:
    """Have an alias name a version, and no other: one write."""
    with brief_requests(timeout=10, retries=3):
        mlflow.MlflowClient().set_registered_model_alias(version.name, alias, version.number)


def remove_alias(name: str, alias: str) -> None:
    """Have an alias name no version."""
    with brief_requests(timeout=10, retries=3):
        mlflow.MlflowClient().delete_registered_model_alias(name, alias)


def model_tag(name: str, key: str) -> str | None:
    """A tag of a registered model itself; None where it has no such tag, or there is no such model."""
    try:
        with brief_requests(timeout=10):
            return mlflow.MlflowClient().get_registered_model(name).tags.get(key)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def set_model_tag(name: str, key: str, value: str) -> None:
    """Set a tag of a registered model itself."""
    with brief_requests(timeout=10, retries=3):
        mlflow.MlflowClient().set_registered_model_tag(name, key, value)


def register(uri: str, name: str) -> Version:
    """Register a logged model under a name, or copy a version of another name to it; the new version."""
    with brief_requests(retries=3):
        if version_of(uri) is not None:
            return _version(mlflow.MlflowClient().copy_model_version(uri, name))
        return _version(mlflow.register_model(uri, name))


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
