"""MLflow runs of jobs: what can be known is checked before the work begins; what fails after it is told, and fails nothing."""

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import mlflow
from mlflow.entities import LifecycleStage, RunStatus

from sparknlp_tx.errors import InputError, JobError, reason_of

log = logging.getLogger(__name__)

PROBE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}  # MLflow's own patience is minutes


def check_tracking(experiment: str | None, registered_model: str | None = None) -> None:
    """Check, before any work, that a run can be logged: names, experiment, server, the run that is active or asked for.

    Raises:
        InputError: it cannot; says what is in the way.
    """
    if experiment is not None and not experiment.strip():
        raise InputError("the name of an experiment", repr(experiment), "Give one, or leave --experiment out.")
    if registered_model is not None and (not registered_model.strip() or re.search("[/:]", registered_model)):
        remedy = "MLflow takes names without / and :, such as tickets (in Unity Catalog catalog.schema.tickets)."
        raise InputError("a name for --registered-model", repr(registered_model), remedy)
    active = mlflow.active_run()
    if active is not None:
        remedy = "End it first: mlflow.end_run()."
        raise InputError("no active MLflow run in this process, as the job has one of its own", active.info.run_id, remedy)
    with _environment(PROBE):
        try:
            found = mlflow.get_experiment_by_name(experiment) if experiment else None
            if experiment is None:  # the server has to answer all the same
                mlflow.search_experiments(max_results=1)
            if registered_model is not None:
                mlflow.MlflowClient().search_registered_models(max_results=1)
            asked = os.environ.get("MLFLOW_RUN_ID")
            run = mlflow.get_run(asked) if asked else None
        except Exception as error:  # each store has its own kinds
            place = f"an MLflow server or store that answers ({mlflow.get_tracking_uri()})"
            raise InputError(place, reason_of(error), "Check MLFLOW_TRACKING_URI, the login and the network.") from None
    if found is not None and found.lifecycle_stage == LifecycleStage.DELETED:
        remedy = f"Restore it: mlflow experiments restore --experiment-id {found.experiment_id}; or name another."
        raise InputError(f"an experiment {experiment!r}", "a deleted one of that name", remedy)
    if run is not None and experiment is not None and (found is None or run.info.experiment_id != found.experiment_id):
        told = f"MLFLOW_RUN_ID {run.info.run_id}, of another experiment"
        raise InputError(f"a run of experiment {experiment!r}", told, "Unset MLFLOW_RUN_ID, or name its experiment.")


class RunLog:
    """A run that is being logged to: what cannot be logged is remembered, and nothing fails by it.

    Attributes:
        info: MLflow's RunInfo; None where no run could be begun.
        missing: what could not be logged, with the reason.
    """

    def __init__(self, info: Any = None):
        self.info = info
        self.missing: list[str] = []

    def __call__(self, what: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call what logs; its result, or None where it fails. After a failure MLflow tries the next things but briefly."""
        with _environment(PROBE if self.missing else {}):
            try:
                return function(*args, **kwargs)
            except Exception as error:
                self.missing.append(f"{what}: {reason_of(error)}")
                log.warning("Not logged to MLflow: %s", self.missing[-1])
                return None

    def result(self) -> dict[str, Any]:
        """The run's ids, and what is missing in it, for the result of a job."""
        told = {"not_logged": self.missing} if self.missing else {}
        if self.info is None:
            return told
        return {"run_id": self.info.run_id, "experiment_id": self.info.experiment_id, **told}


@contextlib.contextmanager
def logged_run(experiment: str | None) -> Iterator[RunLog]:
    """A run for a job's work: FINISHED at its end, FAILED where the work fails, KILLED where it is interrupted or terminated."""
    run = RunLog()

    def begin() -> Any:
        if experiment is not None:
            mlflow.set_experiment(experiment)
        return mlflow.start_run().info

    run.info = run("the run", begin)
    status = RunStatus.to_string(RunStatus.FAILED)
    try:
        yield run
        status = RunStatus.to_string(RunStatus.FINISHED)
    except JobError:
        raise
    except (KeyboardInterrupt, SystemExit):
        status = RunStatus.to_string(RunStatus.KILLED)
        raise
    finally:
        if run.info is not None:
            run("the end of the run", mlflow.end_run, status)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Variables of the environment set for a while, unless they are set already."""
    ours = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
