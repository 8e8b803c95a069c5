"""What watches a training: progress and history, checkpoints on the way, and what ends it before its time."""

import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from transformers import EarlyStoppingCallback, TrainerCallback

from sparknlp_tx.errors import TrainingError, TrainingStopped
from sparknlp_tx.progress import Progress

if TYPE_CHECKING:
    from sparknlp_tx.training.settings import TrainingSettings

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 300.0  # age of the last checkpoint at which another one is written, where a fit can be resumed


def watchers(settings: "TrainingSettings", validated: bool) -> list[TrainerCallback]:
    """Callbacks that stop a training early (patience, a time limit, a loss that is no number) or save checkpoints."""
    patience = [EarlyStoppingCallback(settings.patience)] if settings.patience and validated else []
    saving = [Saving()] if settings.resumable else []
    return [*patience, *saving, Limits(settings.max_train_seconds)]


class Saving(TrainerCallback):
    """Has a checkpoint written when the last one is some minutes old."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if agreed(time.monotonic() - self._last >= CHECKPOINT_SECONDS):
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._last = time.monotonic()


class Limits(TrainerCallback):
    """Stops a training that has run for so many seconds (0: any), with the best so far; and one whose loss is no number."""

    def __init__(self, seconds: float):
        self._seconds, self._begin = seconds, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._begin = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not self._seconds or control.should_training_stop:
            return
        if agreed(time.monotonic() - self._begin >= self._seconds):
            log.warning(
                "maxTrainSeconds=%g: training stops at step %d of %d", self._seconds, state.global_step, state.max_steps
            )
            control.should_evaluate = control.should_save = args.load_best_model_at_end
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **kwargs: Any) -> None:
        for name in ("loss", "eval_loss", "grad_norm"):
            value = (logs or {}).get(name, 0.0)
            if not math.isfinite(value):
                raise TrainingError(
                    f"Expected a finite loss; found {name} {value} at step {state.global_step}. Lower learningRate and "
                    "headLearningRate, or train in float32: trainingArgs={'bf16': False, 'fp16': False}."
                )


class History(TrainerCallback):
    """Keeps every line that the Trainer logs, hands it on, and shows how far it is."""

    def __init__(self, on_log: Callable[[dict[str, float], int], None] | None, rows: int, metric: str):
        self.entries: list[dict[str, float]] = []
        self.begin = 0.0
        self._on_log, self._rows, self._metric = on_log, rows, metric
        self._progress: Progress | None = None

    def best(self, metric: str, greater_is_better: bool) -> dict[str, float]:
        """The entry of the evaluation with the best value of a metric; the first of equals, as the Trainer keeps it."""
        metric = metric if metric.startswith("eval_") else f"eval_{metric}"
        evaluations = [entry for entry in self.entries if metric in entry]
        sign = 1 if greater_is_better else -1
        return max(evaluations, key=lambda entry: sign * entry[metric], default={})

    def last(self) -> dict[str, float]:
        """The entry of the last evaluation."""
        return next((entry for entry in reversed(self.entries) if "eval_loss" in entry), {})

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.entries = [dict(entry) for entry in state.log_history]  # of a fit that goes on
        self.begin = state.epoch or 0.0
        if state.is_world_process_zero:
            self._progress = Progress("training", round(state.num_train_epochs * self._rows), "rows")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._progress is not None:
            self._progress.update(state.epoch * self._rows, self._note(state))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **kwargs: Any) -> None:
        entry = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, (int, float))}
        self.entries.append({"step": state.global_step, **entry})
        if self._on_log is not None and state.is_world_process_zero:
            try:
                self._on_log(entry, state.global_step)
            except TrainingStopped:
                raise
            except Exception as error:  # whatever takes the metrics, a training does not end for it
                log.warning("The metrics of step %d were not taken: %s", state.global_step, error)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._progress is not None:
            self._progress.close(self._note(state))

    def _note(self, state: Any) -> str:
        last = {name: value for entry in self.entries for name, value in entry.items()}
        known = [
            f"{name.replace('eval_', 'validation ')} {last[name]:.4g}"
            for name in ("loss", "eval_loss", f"eval_{self._metric}")
            if name in last
        ]
        return ", ".join([f"epoch {state.epoch:.1f}/{state.num_train_epochs}", *known])


def agreed(flag: bool) -> bool:
    """What the first process says, where several train together: their clocks differ, and all have to do the same."""
    if not torch.distributed.is_initialized():
        return flag
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    said = torch.tensor(int(flag), device=device)
    torch.distributed.broadcast(said, 0)
    return bool(said.item())
