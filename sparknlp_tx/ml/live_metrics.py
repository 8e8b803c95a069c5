"""Training metrics to the active MLflow run while a fit lasts; a server that does not answer never stops it."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

log = logging.getLogger(__name__)
Observer = Callable[[dict[str, float], int], None]
_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)

PAUSE = 60.0  # seconds for which a training does not ask again after a server that did not answer
missed_metrics: list[tuple[str, dict[str, float], int]] = []  # run, metrics and step that a training could not log on its way
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
    import mlflow

    global _silent_until
    named = {
        name.replace("eval_", "validation.", 1) if name.startswith("eval_") else f"train.{name}": v
        for name, v in metrics.items()
    }
    named = {name.removeprefix("train.train_"): value for name, value in named.items()}
    run_id = mlflow.active_run().info.run_id
    if time.monotonic() < _silent_until:
        missed_metrics.append((run_id, named, step))
        return
    try:
        with brief_requests(timeout=10):
            mlflow.log_metrics(named, step=step)
    except Exception as error:
        log.warning("MLflow did not take the metrics of step %d; the training goes on: %s", step, str(error)[:300])
        missed_metrics.append((run_id, named, step))
        _silent_until = time.monotonic() + PAUSE


def log_missed_metrics() -> None:
    """Log what a training of the active run could not log on its way; raises what MLflow does."""
    import mlflow

    run_id = mlflow.active_run().info.run_id
    for entry in [entry for entry in missed_metrics if entry[0] == run_id]:
        mlflow.log_metrics(entry[1], step=entry[2])
        missed_metrics.remove(entry)


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Within it a fit of this thread tells an observer what the Trainer logs: metrics by name, and the step.

    What the observer raises is a warning, but for TrainingStopped, which ends the fit.
    """
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def training_observer() -> Observer | None:
    """What takes the metrics of a fit: the active MLflow run, where this process has one, and an observer, where there is one."""
    mlflow = sys.modules.get("mlflow")
    takers: list[Observer] = [] if mlflow is None or mlflow.active_run() is None else [log_training_metrics]
    observer = _observer.get()
    takers += [observer] if observer is not None else []
    if not takers:
        return None

    def tell(metrics: dict[str, float], step: int) -> None:
        for take in takers:
            take(metrics, step)

    return tell
