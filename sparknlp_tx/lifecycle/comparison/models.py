"""Which models are compared: those of an experiment, of some runs, and others by their URIs; each with a name of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow

from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.ml.live_metrics import brief_requests
from sparknlp_tx.tracking import registry
from sparknlp_tx.tracking.models import load_model

if TYPE_CHECKING:
    from sparknlp_tx.ml.model import TransformerClassificationModel

MOST = 20  # models of an experiment that are compared, the newest


@dataclass
class Compared:
    """A model to compare.

    Attributes:
        name: short, and no other one's. uri: for `load_model`, or a folder.
        model: loaded. run_id: that logged it; model_id: of MLflow's logged model; None where there is none.
    """

    name: str
    uri: str
    model: "TransformerClassificationModel"
    run_id: str | None = None
    model_id: str | None = None


def chosen_models(experiment: str | None, runs: Sequence[str], uris: Sequence[str]) -> list[Compared]:
    """The models to compare, loaded.

    Args:
        experiment: its logged models of this library, the newest 20; with `runs` those of these runs alone.
        uris: others.

    Raises:
        InputError: there is no such experiment, a run has no model, a URI none; or there are fewer than two.
    """
    logged = _logged(experiment, runs) if experiment is not None and (runs or not uris) else []
    found = [_compared(name, uri, run_id, model_id) for name, uri, run_id, model_id in logged]
    for uri in uris:
        run_id = registry.run_of(uri) if uri.startswith(("models:/", "runs:/")) else None
        found.append(_compared(_short(uri), uri, run_id, None))
    if len(found) < 2:
        where = f" in the experiment {experiment!r}" if experiment else ""
        raise InputError(
            f"two models or more to compare{where}", str(len(found)), "Name models with --models, or another --experiment."
        )
    _distinct(found)
    return found


def experiment_of(name: str) -> str:
    """The id of an experiment.

    Raises:
        InputError: there is none of that name; offers the nearest.
    """
    with brief_requests(timeout=10):
        found = mlflow.get_experiment_by_name(name)
        if found is None:
            names = [each.name for each in mlflow.search_experiments(max_results=100)]
            raise InputError(f"an experiment {name!r}", "none of that name", nearest(name, names))
    return found.experiment_id


def _logged(experiment: str, runs: Sequence[str]) -> list[tuple[str, str, str | None, str]]:
    """Name, URI, run and id of an experiment's logged models, the oldest first."""
    number = experiment_of(experiment)
    with brief_requests(timeout=30):
        models = mlflow.search_logged_models(experiment_ids=[number], output_format="list", max_results=10 * MOST)
    ours = [each for each in models if _is_ours(each)]
    if runs:
        without = set(runs) - {each.source_run_id for each in ours}
        if without:
            remedy = f"Runs that have one: {', '.join(sorted({str(each.source_run_id) for each in ours})) or 'none'}."
            raise InputError(f"a model that sparknlp_tx logged, of the run {min(without)} in {experiment!r}", "none", remedy)
        ours = [each for each in ours if each.source_run_id in runs]
    newest = sorted(ours, key=lambda each: each.creation_timestamp)[-MOST:]
    named = [_names(each) for each in newest]
    short = [name for name, _ in named]
    names = [name if short.count(name) == 1 else whole for name, whole in named]
    return [
        (name, f"models:/{each.model_id}", each.source_run_id, each.model_id) for name, each in zip(names, newest, strict=True)
    ]


def _is_ours(model: Any) -> bool:
    """Whether a logged model is one of this library: it carries a saved stage."""
    try:
        with brief_requests(timeout=30):
            files = mlflow.artifacts.list_artifacts(artifact_uri=f"{model.artifact_location}/artifacts/model")
    except Exception:  # of another flavour, or not whole
        return False
    return any(file.path.endswith("metadata") for file in files)


def _names(model: Any) -> tuple[str, str]:
    """The checkpoint's name, and that with the run's."""
    if not model.source_run_id:
        return model.name, model.name
    with brief_requests(timeout=10):
        run = mlflow.get_run(model.source_run_id)
    checkpoint = Path(run.data.tags.get("checkpoint", "")).name
    whole = " ".join(filter(None, (checkpoint, f"({run.info.run_name})" if run.info.run_name else "")))
    return checkpoint or whole, whole


def _compared(name: str, uri: str, run_id: str | None, model_id: str | None) -> Compared:
    registry.version_of(uri)  # says which versions and aliases there are
    return Compared(name, uri, load_model(uri), run_id, model_id)


def _short(uri: str) -> str:
    """`models:/tickets/3` to `tickets/3`; a folder's last part."""
    return uri.partition(":/")[2].strip("/") if uri.startswith(("models:", "runs:")) else Path(uri).name


def _distinct(models: list[Compared]) -> None:
    """Number the models that have one name."""
    names = [each.name for each in models]
    for each in models:
        if names.count(each.name) > 1:
            each.name = f"{each.name} #{1 + sum(other.name.startswith(each.name) for other in models[: models.index(each)])}"
