"""Training metrics to the active MLflow run while a fit lasts; a server that does not answer never stops it."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


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
    import mlflow

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
    import mlflow

    while missed_metrics:
        named, step = missed_metrics[0]
        mlflow.log_metrics(named, step=step)
        del missed_metrics[0]


def active_run_logger() -> Callable[[dict[str, float], int], None] | None:
    """What logs to the active MLflow run, where this process has one; what fails there never stops a training."""
    mlflow = sys.modules.get("mlflow")
    return None if mlflow is None or mlflow.active_run() is None else log_training_metrics
