"""A study in MLflow: a parent run with a child run for each trial. The runs are the truth: at each start Optuna's study is rebuilt from them.

A child run is made in one call, with the trial's number, its values and the study's key in its tags, before anything is trained. What
became of it is one tag, `trial_state`. So a process that is killed at any moment loses no trial and doubles none: a run without that tag
goes on under its own id. Optuna's study is in memory only; each proposal has its own seed, so what comes next does not depend on kills.
"""

import hashlib
import json
import warnings
from dataclasses import dataclass, field
from typing import Any

from sparknlp_tx.errors import InputError, JobError
from sparknlp_tx.lifecycle.tuning.search_space import Dimension
from sparknlp_tx.ml.live_metrics import brief_requests

COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
SAMPLERS, PRUNERS = ("tpe", "random"), ("median", "halving", "none")
STARTUP = 4  # trials that tpe draws at random, and that the median is taken of, at least
STEPS_AN_EPOCH = 100  # intermediate values are told to Optuna at epochs, in hundredths


@dataclass
class Trial:
    """A trial of a study.

    Attributes:
        number: from 0; run_id: of its MLflow run.
        values: what it tries, by the dimensions' names.
        state: `complete`, `pruned`, `failed`; None while it is to be done.
        value: the metric of its best epoch. told: the metric at epochs, in hundredths. seconds: of its fits.
        error: the last line of the traceback of a failed one.
    """

    number: int
    run_id: str
    values: dict[str, Any]
    state: str | None = None
    value: float | None = None
    told: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None


def study_key(facts: dict[str, Any]) -> str:
    """What makes a study the same one, started again: the hash of what it was started with."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


class Study:
    """The trials of one study, in an experiment.

    Args:
        experiment_id: of MLflow.
        key: see `study_key`; the parent run with it is found, or made.
        space: the dimensions. first: values of the first trial, as far as they lie in the space.
        maximize: whether more of the metric is better.
        sampler, pruner, seed: see `SAMPLERS`, `PRUNERS`.

    Raises:
        InputError: Optuna is not installed.
    """

    def __init__(
        self,
        experiment_id: str,
        key: str,
        name: str,
        space: list[Dimension],
        first: dict[str, Any],
        maximize: bool,
        sampler: str = "tpe",
        pruner: str = "median",
        seed: int = 0,
    ):
        import mlflow

        check_optuna()
        self.client = mlflow.MlflowClient()
        self.experiment_id, self.key, self.space, self.first = experiment_id, key, space, first
        self.maximize, self.sampler, self.seed = maximize, sampler, seed
        self._distributions = {each.name: each.distribution() for each in space}
        self._study = _new_study(maximize, pruner)
        self._optuna: dict[int, Any] = {}  # running trials of Optuna by number
        self.parent_id = self._parent(name)
        self.trials = self._read()
        for trial in self.trials:
            if trial.state is not None:
                self._study.add_trial(self._frozen(trial))

    def next(self) -> Trial:
        """A new trial, with its run."""
        number = len(self.trials)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Optuna's experimental parts
            self._study.sampler = _new_sampler(self.sampler, self.seed + number)
            if number == 0 and self.first:
                self._study.enqueue_trial(self.first)
            self._optuna[number] = self._study.ask(self._distributions)
        trial = Trial(number, "", dict(self._optuna[number].params))
        tags = {"study_key": self.key, "trial_number": str(number), "trial_values": json.dumps(trial.values)}
        tags |= {"mlflow.parentRunId": self.parent_id, "mlflow.runName": f"trial {number}"}
        with brief_requests(retries=3):
            trial.run_id = self.client.create_run(self.experiment_id, tags=tags).info.run_id
        self.trials.append(trial)
        return trial

    def unfinished(self) -> list[Trial]:
        """Trials whose runs were begun and not ended: of a process that was killed."""
        found = [trial for trial in self.trials if trial.state is None and trial.number not in self._optuna]
        for trial in found:
            self._study.enqueue_trial(trial.values)
            self._optuna[trial.number] = self._study.ask(self._distributions)
        return found

    def tell_step(self, trial: Trial, epoch: float, value: float) -> bool:
        """Tell the metric at an epoch; whether the trial is to be pruned."""
        step = round(epoch * STEPS_AN_EPOCH)
        trial.told[step] = value
        running = self._optuna[trial.number]
        running.report(value, step)
        return bool(running.should_prune())

    def end(self, trial: Trial, state: str, value: float | None = None, error: str | None = None) -> None:
        """End a trial: tag its run, end it, tell Optuna.

        Raises:
            JobError: MLflow does not take it; the trial is done again by the next start.
        """
        from mlflow.entities import Metric, RunTag

        trial.state, trial.value, trial.error = state, value, error
        tags = {"trial_state": state, "trial_told": json.dumps(trial.told), "trial_seconds": f"{trial.seconds:.1f}"}
        tags |= {"trial_error": error[:4_000]} if error else {}
        status = "FAILED" if state == FAILED else "FINISHED"
        try:
            with brief_requests(retries=3):
                if value is not None:
                    self.client.log_batch(trial.run_id, metrics=[Metric("trial_value", value, 0, 0)])
                self.client.log_batch(trial.run_id, tags=[RunTag(key, text) for key, text in tags.items()])
                self.client.set_terminated(trial.run_id, status)
        except Exception as failure:
            what = f"MLflow does not take what became of trial {trial.number} ({str(failure).splitlines()[0][:200]})."
            raise JobError(
                f"{what} Start the study again when it answers: this trial is done once more, the others stand."
            ) from failure
        self._study.tell(self._optuna.pop(trial.number), **self._told(trial))

    def best(self) -> Trial | None:
        """The complete trial with the best value; None where there is none."""
        complete = [trial for trial in self.trials if trial.state == COMPLETE and trial.value is not None]
        sign = 1 if self.maximize else -1
        return max(complete, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def values_of(self, trial: Trial) -> dict[str, Any]:
        """What a trial tries, as values of Params and training arguments."""
        return {each.name: each.value(trial.values[each.name]) for each in self.space}

    def _parent(self, name: str) -> str:
        found = self.client.search_runs(
            [self.experiment_id], f"tags.study_key = '{self.key}' and tags.study = 'parent'", max_results=1
        )
        if found:
            self.client.update_run(found[0].info.run_id, status="RUNNING")
            return found[0].info.run_id
        tags = {"study": "parent", "study_key": self.key, "mlflow.runName": name}
        return self.client.create_run(self.experiment_id, tags=tags).info.run_id

    def _read(self) -> list[Trial]:
        """The trials of the child runs, by their numbers."""
        found, token = [], None
        while True:
            query = f"tags.`mlflow.parentRunId` = '{self.parent_id}' and tags.trial_number LIKE '%'"
            page = self.client.search_runs([self.experiment_id], query, max_results=1_000, page_token=token)
            found += [_trial(run) for run in page]
            token = page.token
            if not token:
                return sorted(found, key=lambda trial: trial.number)

    def _frozen(self, trial: Trial) -> Any:
        from optuna.trial import TrialState, create_trial

        told = self._told(trial)
        state = told["state"]
        value = told["values"]
        if state == TrialState.PRUNED and value is None and not trial.told:
            state = TrialState.FAIL
        return create_trial(
            state=state, value=value, params=trial.values, distributions=self._distributions, intermediate_values=trial.told
        )

    def _told(self, trial: Trial) -> dict[str, Any]:
        from optuna.trial import TrialState

        states = {COMPLETE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL}
        return {"values": trial.value if trial.state == COMPLETE else None, "state": states[trial.state or FAILED]}


def check_optuna() -> None:
    """Raise InputError where Optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise InputError("Optuna, which proposes the trials", "none installed", "pip install 'sparknlp_tx[tune]'") from None


def _trial(run: Any) -> Trial:
    tags = run.data.tags
    state = tags.get("trial_state")
    told = {int(step): value for step, value in json.loads(tags.get("trial_told", "{}")).items()}
    return Trial(
        number=int(tags["trial_number"]),
        run_id=run.info.run_id,
        values=json.loads(tags["trial_values"]),
        state=state,
        value=run.data.metrics.get("trial_value") if state == COMPLETE else None,
        told=told,
        seconds=float(tags.get("trial_seconds", 0)),
        error=tags.get("trial_error"),
    )


def _new_study(maximize: bool, pruner: str) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruners = {
        "median": optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
        "halving": optuna.pruners.SuccessiveHalvingPruner(min_resource=STEPS_AN_EPOCH),
        "none": optuna.pruners.NopPruner(),
    }
    return optuna.create_study(direction="maximize" if maximize else "minimize", pruner=pruners[pruner])


def _new_sampler(sampler: str, seed: int) -> Any:
    import optuna

    if sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
