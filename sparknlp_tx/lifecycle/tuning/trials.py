"""Trials of a study, run one after another by this process, or at once by executors: proposed, trained, pruned, ended, in MLflow."""

import shutil
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import JobError, TrainingStopped, reason_of
from sparknlp_tx.lifecycle.tuning.search_space import Dimension
from sparknlp_tx.lifecycle.tuning.settings import StudyResult, TrialSettings
from sparknlp_tx.lifecycle.tuning.study import COMPLETE, FAILED, PRUNED, STEPS_AN_EPOCH, Study, Trial
from sparknlp_tx.metrics.compute import LESS_IS_BETTER
from sparknlp_tx.ml.live_metrics import log_missed_metrics, observed
from sparknlp_tx.progress import say
from sparknlp_tx.training.fit_folder import locked
from sparknlp_tx.training.training_process import WorkerError

if TYPE_CHECKING:
    from sparknlp_tx.ml.estimator import TransformerClassifier

FAILURES = 3  # in a row that stop a study
LOSSES = 3  # times that a trial is begun again because its executor was lost


class _Pruned(TrainingStopped):
    """A trial's metrics are worse than those of other trials at the same epoch."""


def run_trials(settings: TrialSettings) -> StudyResult:
    """Run the trials that are missing; those that MLflow has are not run again.

    Raises:
        InputError: another process runs the study.
        JobError: three trials in a row failed, MLflow does not take a result, or no trial is complete.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    with locked(settings.folder / "study.lock"):
        study = _study(settings)
        done = sum(trial.state is not None for trial in study.trials)
        if study.trials:
            say(f"the study goes on: {done} of {settings.trials} trials are done, {len(study.trials) - done} were cut off")
        trials = _Trials(settings, study)
        if settings.parallelism == 1:
            _run_all(settings, study, trials)
        else:
            with ThreadPoolExecutor(settings.parallelism, thread_name_prefix="trial") as pool:
                threads = [pool.submit(_run_all, settings, study, trials) for _ in range(settings.parallelism)]
            for thread in threads:
                thread.result()
    return _result(settings, study)


def _study(settings: TrialSettings) -> Study:
    first = {}
    for dimension in settings.space:  # the first trial is what would be trained without a study
        value = _value_now(settings.estimator, dimension)
        if dimension.holds(value):
            first[dimension.name] = value
    maximize = settings.metric not in LESS_IS_BETTER
    return Study(
        settings.experiment_id,
        settings.key,
        settings.name,
        settings.space,
        first,
        maximize,
        settings.sampler,
        settings.pruner,
        settings.seed,
    )


def _value_now(estimator: "TransformerClassifier", dimension: Dimension) -> Any:
    if dimension.param:
        return estimator.getOrDefault(dimension.name) if estimator.isDefined(dimension.name) else None
    from transformers import TrainingArguments

    default = TrainingArguments.__dataclass_fields__[dimension.name].default
    return estimator.getTrainingArgs().get(dimension.name, default)


class _Trials:
    """The trials to run: those that were cut off, then new ones, as long as there is time. Threads share it."""

    def __init__(self, settings: TrialSettings, study: Study):
        self._settings, self._study = settings, study
        self._cut_off, self._lock, self._stopped = study.unfinished(), threading.Lock(), False
        self._spent = sum(trial.seconds for trial in study.trials)
        self._failed_in_a_row = 0

    def __iter__(self) -> Iterator[Trial]:
        while True:
            with self._lock:
                trial = self._next()
            if trial is None:
                return
            yield trial

    def _next(self) -> Trial | None:
        if self._stopped:
            return None
        if self._cut_off:
            return self._cut_off.pop(0)
        limit = self._settings.max_hours * 3600
        if limit and self._spent >= limit:
            say(f"--max-hours {self._settings.max_hours:g} are over: no other trial begins")
            return None
        return self._study.next() if len(self._study.trials) < self._settings.trials else None

    def ended(self, trial: Trial, state: str, value: float | None = None, error: str | None = None) -> None:
        """End a trial.

        Raises:
            JobError: MLflow does not take it, or it was the third in a row to fail.
        """
        with self._lock:
            try:
                self._study.end(trial, state, value, error)
            except JobError:
                self._stopped = True
                raise
            self._spent += trial.seconds
            self._failed_in_a_row = self._failed_in_a_row + 1 if state == FAILED else 0
            shown = f"{self._settings.metric} {value:.4f}" if value is not None else error or ""
            say(f"trial {trial.number}: {state}, {shown}, {trial.seconds:.0f} s")
            if self._failed_in_a_row >= FAILURES:
                self._stopped = True
                what = f"{FAILURES} trials in a row have failed; the last: {(error or '').rstrip('.')}"
                raise JobError(
                    f"{what}. Their runs have the tracebacks. Mend the cause or narrow the space, and start a study with that."
                )


def configured(estimator: "TransformerClassifier", space: list[Dimension], values: dict[str, Any]) -> "TransformerClassifier":
    """A copy of an estimator with a trial's values."""
    own = estimator.copy()
    params = {each.name: values[each.name] for each in space if each.param}
    arguments = {each.name: values[each.name] for each in space if not each.param}
    own._set(**params)
    return own.setTrainingArgs(own.getTrainingArgs() | arguments) if arguments else own


def _run_all(settings: TrialSettings, study: Study, trials: _Trials) -> None:
    """Run trials until there is none left."""
    for trial in trials:
        _run(settings, study, trial, trials)


def _run(settings: TrialSettings, study: Study, trial: Trial, trials: _Trials) -> None:
    """Train a trial to its end, or until it is pruned; a failure is the trial's own."""
    estimator = configured(settings.estimator, settings.space, study.values_of(trial))
    estimator.setCheckpointDir(str(settings.folder / f"trial-{trial.number}-{trial.run_id[:8]}"))
    estimator._shared_staging, estimator._on_executor = settings.folder / "staged", settings.parallelism > 1
    begin = time.monotonic()
    value = error = None
    try:
        value, state = _fit(settings, study, trial, estimator), COMPLETE
    except _Pruned:
        state = PRUNED
    except Exception as failure:
        own = isinstance(failure, WorkerError)  # its message is the process's whole traceback, the error at its end
        reason = str(failure).strip().splitlines()[-1] if own else f"{type(failure).__name__}: {reason_of(failure)}"
        state, error = FAILED, reason
        _keep_traceback(study, trial)
    shutil.rmtree(estimator.getCheckpointDir(), ignore_errors=True)
    trial.seconds = time.monotonic() - begin
    trials.ended(trial, state, value, error)


def _fit(settings: TrialSettings, study: Study, trial: Trial, estimator: "TransformerClassifier") -> float:
    """Fit in the trial's own run; the metric of the best epoch. A trial whose executor was lost begins again from its checkpoint."""
    import mlflow

    from sparknlp_tx.tracking.run_logging import log_training
    from sparknlp_tx.tracking.runs import LoggedRun

    def watch(metrics: dict[str, float], step: int) -> None:
        value = metrics.get(f"eval_{settings.metric}")
        prunes = value is not None and study.tell_step(trial, metrics.get("epoch", 0.0), value)
        if prunes and settings.parallelism == 1:  # of executors all metrics come at the end
            raise _Pruned

    for losses in range(LOSSES + 1):
        try:
            with mlflow.start_run(run_id=trial.run_id, nested=True), observed(watch):
                run = LoggedRun(trial.run_id, settings.experiment_id)
                run.log("what is tried", mlflow.log_params, {f"search.{name}": value for name, value in trial.values.items()})
                model = estimator.fit(settings.rows)
                run.log("metrics of the training", log_missed_metrics)
                run.log("the training's Params and history", log_training, model)
            return float(model.summary["metrics"][settings.metric])
        except WorkerError as error:
            if not error.lost or losses == LOSSES:
                raise
            say(f"trial {trial.number}: its executor was lost; it goes on from its last checkpoint")
    raise AssertionError("unreachable")


def _keep_traceback(study: Study, trial: Trial) -> None:
    """Log the traceback that is being handled to the trial's run."""
    text = traceback.format_exc()
    try:
        study.client.log_text(trial.run_id, text, "traceback.txt")
    except Exception as error:  # the store's
        say(f"the traceback of trial {trial.number} could not be logged ({reason_of(error)}):\n{text}")


def _result(settings: TrialSettings, study: Study) -> StudyResult:
    """The best trial, and all of them; the parent run says the same.

    Raises:
        JobError: no trial is complete.
    """
    best = study.best()
    if best is None:
        raise JobError("No trial is complete: see the errors in the runs of the study.")
    saved = sum(_saved(settings, study, trial) for trial in study.trials if trial.state == PRUNED)
    shown = [{name: value for name, value in asdict(trial).items() if name != "told"} for trial in study.trials]
    result = StudyResult(
        study.parent_id,
        settings.experiment_id,
        settings.metric,
        best.number,
        best.value or 0.0,
        study.values_of(best),
        _best_epoch(best, study.maximize),
        shown,
        round(saved / 60, 2),
    )
    states = [trial.state for trial in study.trials]
    pruned = f"; {states.count(PRUNED)} pruned, which saved about {result.pruned_minutes:g} minutes" if PRUNED in states else ""
    say(f"best of {len(states)} trials: {best.number}, {settings.metric} {best.value:.4f}, {result.best_values}{pruned}")
    try:
        study.client.log_metric(study.parent_id, f"best.{settings.metric}", result.best_value)
        study.client.set_tag(study.parent_id, "best_trial", str(best.number))
        study.client.log_dict(study.parent_id, asdict(result), "study.json")
        study.client.set_terminated(study.parent_id)
    except Exception as error:  # the trials are there
        say(f"the study's own run could not be ended: {reason_of(error)}")
    return result


def _best_epoch(trial: Trial, maximize: bool) -> float | None:
    """The epoch at which a trial was best."""
    sign = 1 if maximize else -1
    return max(trial.told, key=lambda step: sign * trial.told[step]) / STEPS_AN_EPOCH if trial.told else None


def _saved(settings: TrialSettings, study: Study, trial: Trial) -> float:
    """Seconds that a pruned trial would have taken on to its end, about."""
    epochs = configured(settings.estimator, settings.space, study.values_of(trial)).getNumTrainEpochs()
    reached = max(trial.told, default=0) / STEPS_AN_EPOCH
    return trial.seconds * (epochs / reached - 1) if reached else 0.0
