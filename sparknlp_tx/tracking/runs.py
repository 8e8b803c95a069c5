"""MLflow runs of commands: problems are found before the work; later, logging never fails a command, and a run always ends.

  plan = check_tracking(options.experiment, options.registered_model)   # before any work
  with logged_run(plan) as run:
      run.log("metrics", mlflow.log_metrics, metrics)
  result |= run.result()

Only jobs import it.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import LifecycleStage
from mlflow.utils.validation import _validate_experiment_name, _validate_model_name

from sparknlp_tx.errors import InputError
from sparknlp_tx.ml.live_metrics import brief_requests

log = logging.getLogger(__name__)

WAITS = (1.0, 3.0)  # seconds before something is logged once more
REQUEST_RETRIES = 3  # of a request of what is logged in one go; MLflow waits 0, 4 and 8 seconds
REACH = "Check MLFLOW_TRACKING_URI (and MLFLOW_REGISTRY_URI), the login for it, and that it can be reached from here."


@dataclass(frozen=True)
class Tracking:
    """What `check_tracking` found: the experiment's name (None: MLflow's own choice), and a run to join, that is there already."""

    experiment: str | None = None
    joined: str | None = None


def check_tracking(experiment: str | None, registered_model: str | None = None) -> Tracking:
    """Check all that can be known of MLflow before any work; makes nothing there.

    Args:
        experiment: its name; None for that of MLFLOW_EXPERIMENT_NAME or _ID, or the default one.
        registered_model: the name under which a model is to be registered.

    Raises:
        InputError: a name that MLflow does not take, a deleted experiment, a run of another experiment that is active or named by
            MLFLOW_RUN_ID, or a server that cannot be reached or asks for a login.
    """
    if experiment is not None:
        _check_name("a name of an MLflow experiment", experiment, _validate_experiment_name)
    if registered_model is not None:
        remedy = "Give a name without '/' and ':'; in Unity Catalog it is catalog.schema.name."
        _check_name("a name of a registered model", registered_model, _validate_model_name, remedy)
    _check_sqlite(mlflow.get_tracking_uri())
    try:
        with brief_requests(timeout=10):
            joined = _check_experiment(experiment)
            if registered_model is not None:
                mlflow.MlflowClient().search_registered_models(max_results=1)
    except InputError:
        raise
    except Exception as error:  # a store's own: of requests, SQL, a plugin
        place = f"{mlflow.get_tracking_uri()}: {_first_line(error)}"
        raise InputError("an MLflow server or store that answers", place, REACH) from error
    return Tracking(experiment, joined)


def _check_name(what: str, name: str, check: Callable[[str], None], remedy: str = "Give another name.") -> None:
    try:
        if not name.strip():
            raise ValueError("an empty one")
        check(name)
    except Exception as error:
        raise InputError(what, f"{name!r} ({_first_line(error)})", remedy) from error


def _check_sqlite(uri: str) -> None:
    """Raise InputError where a database's folder is not there: MLflow would try for minutes to open it."""
    if uri.startswith("sqlite:///"):
        folder = Path(uri.removeprefix("sqlite:///").partition("?")[0]).absolute().parent
        if not folder.is_dir():
            raise InputError(
                f"the folder of MLflow's database {uri}", "no such folder", "Make it, or mend MLFLOW_TRACKING_URI."
            )


def _check_experiment(experiment: str | None) -> str | None:
    """Raise InputError where the experiment is deleted; returns the run to join: the active one, or that of MLFLOW_RUN_ID."""
    client = mlflow.MlflowClient()
    name, number = experiment, None
    if name is None:
        name, number = os.environ.get("MLFLOW_EXPERIMENT_NAME"), os.environ.get("MLFLOW_EXPERIMENT_ID")
    found = None
    if name:
        found = client.get_experiment_by_name(name)
    elif number:
        found = client.get_experiment(number)
    else:
        client.search_experiments(max_results=1)  # says whether it answers
    if found is not None and found.lifecycle_stage == LifecycleStage.DELETED:
        remedy = f"Restore it (mlflow experiments restore -x {found.experiment_id}), or name another."
        raise InputError(f"an experiment {found.name!r} to log to", "a deleted one", remedy)
    active = mlflow.active_run()
    run_id = active.info.run_id if active else os.environ.get("MLFLOW_RUN_ID")
    if run_id:
        where = "that is active in this process" if active else "of MLFLOW_RUN_ID"
        _check_run(client, run_id, where, experiment, found)
    return run_id or None


def _check_run(client: Any, run_id: str, where: str, experiment: str | None, found: Any) -> None:
    """Raise InputError where a run cannot be joined: not there, deleted, or of another experiment than is asked for."""
    remedy = "End that run (unset MLFLOW_RUN_ID), or leave --experiment out."
    try:
        run = client.get_run(run_id)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise InputError(f"the MLflow run {run_id}, {where}", "no such run", "Unset MLFLOW_RUN_ID.") from error
    if run.info.lifecycle_stage == LifecycleStage.DELETED:
        raise InputError(f"the MLflow run {run_id}, {where}", "a deleted one", "Unset MLFLOW_RUN_ID.")
    if experiment is not None and (found is None or found.experiment_id != run.info.experiment_id):
        raise InputError(f"a run of the experiment {experiment!r}", f"the run {run_id}, {where}, of another one", remedy)


@dataclass
class LoggedRun:
    """A run whose logging never fails a job. `not_logged`: what could not be logged, as it was called.

    Attributes:
        run_id, experiment_id: None where the run could not be begun.
    """

    run_id: str | None = None
    experiment_id: str | None = None
    not_logged: list[str] = field(default_factory=list)

    def log(self, what: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Log something: `call(*args, **kwargs)`, retried for some seconds if it fails. If it keeps failing, a warning is logged.

        What is called may have been done in part: it has to bear to be called twice.

        Returns:
            What the call returned; None where it was not logged.
        """
        if self.run_id is None:
            self._missed(what, "there is no run")
            return None
        waits = () if self.not_logged else WAITS  # once is enough for what follows
        for wait in (*waits, None):
            try:
                with brief_requests():
                    return call(*args, **kwargs)
            except Exception as error:
                if wait is None:
                    self._missed(what, _first_line(error))
                else:
                    time.sleep(wait)
        return None

    def log_once(self, what: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As `log`, for what would be there twice if it were called again after it had done a part: a model that is logged.

        Within the call MLflow asks again for some seconds, request by request.
        """
        if self.run_id is None:
            self._missed(what, "there is no run")
            return None
        try:
            with brief_requests(retries=1 if self.not_logged else REQUEST_RETRIES):
                return call(*args, **kwargs)
        except Exception as error:
            self._missed(what, _first_line(error))
        return None

    def result(self) -> dict[str, Any]:
        """For the job's result: the run, and what of it is missing."""
        ids = {"run_id": self.run_id, "experiment_id": self.experiment_id}
        return ids | ({"not_logged": self.not_logged} if self.not_logged else {})

    def _missed(self, what: str, why: str) -> None:
        if what not in self.not_logged:
            self.not_logged.append(what)
        log.warning("Not logged to MLflow: %s (%s)", what, why)


@contextmanager
def logged_run(tracking: Tracking, name: str | None = None) -> Iterator[LoggedRun]:
    """Begin a run, or join the one that is there, and end it whatever happens: FINISHED, FAILED, or KILLED where the job is.

    An active run of the process is joined and left active: whoever began it ends it.

    Args:
        name: of a new run; default MLflow's choice.
    """
    run = LoggedRun()
    active = mlflow.active_run()
    try:
        with brief_requests():
            begun = active or _start(tracking, name)
        run.run_id, run.experiment_id = begun.info.run_id, begun.info.experiment_id
    except Exception as error:
        run._missed("the run", _first_line(error))
    status = "FINISHED"
    try:
        yield run
    except Exception:  # the command's own failure goes on; the run says so
        status = "FAILED"
        raise
    except BaseException:  # Ctrl-C, SIGTERM
        status = "KILLED"
        raise
    finally:
        if active is None and run.run_id is not None:
            run.log(f"the run's end ({status})", mlflow.end_run, status)


def experiment_id(tracking: Tracking) -> str:
    """The experiment's id; one that is named and not there yet is made."""
    from mlflow.tracking.fluent import _get_experiment_id

    return mlflow.set_experiment(tracking.experiment).experiment_id if tracking.experiment else _get_experiment_id()


def _start(tracking: Tracking, name: str | None) -> Any:
    if tracking.joined:
        return mlflow.start_run(run_id=tracking.joined)
    if tracking.experiment is not None:
        mlflow.set_experiment(tracking.experiment)
    return mlflow.start_run(run_name=name)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
