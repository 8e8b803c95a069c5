"""The Hugging Face Trainer as this library sets it up: its arguments, its optimizer, its loss, what it says while it runs."""

import dataclasses
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import DistributedLengthGroupedSampler

from sparknlp_tx.backends import has_bfloat16
from sparknlp_tx.decisions import MULTI, REGRESSION
from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.metrics import LESS_IS_BETTER, check_metric
from sparknlp_tx.progress import Progress
from sparknlp_tx.resume import COMPLETE

if TYPE_CHECKING:
    from sparknlp_tx.training import TrainingSettings

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 300.0  # age of the last checkpoint at which another one is written, where a fit can be resumed

# Fields of TrainingArguments that a Param already sets, by the Param's name.
PARAM_FIELDS = {
    "learning_rate": "learningRate",
    "num_train_epochs": "numTrainEpochs",
    "per_device_train_batch_size": "batchSize",
    "seed": "seed",
    "output_dir": "a temporary folder",
}


def check_training_args(settings: "TrainingSettings", validated: bool) -> None:
    """Raise InputError on a field that does not exist, that a Param sets, or whose value transformers does not take."""
    training_args = settings.training_args
    fields = training_argument_names()
    for name in training_args:
        if name in PARAM_FIELDS:
            raise InputError(
                "each training setting once",
                f"{name!r} in trainingArgs, which {PARAM_FIELDS[name]} sets",
                "Take one of them out.",
            )
        if name not in fields:
            raise InputError("fields of transformers.TrainingArguments", repr(name), nearest(name, fields))
    check_metric(training_args.get("metric_for_best_model", settings.best_metric), settings.problem_type)
    if "metric_for_best_model" in training_args and settings.metric != "auto":
        found = "'metric_for_best_model' in trainingArgs, which metricForBestModel sets"
        raise InputError("each training setting once", found, "Take one of them out.")
    try:
        trainer_arguments(settings, Path("unused"), validated)
    except (TypeError, ValueError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            "values that transformers.TrainingArguments takes", f"{training_args} ({reason})", "Change them."
        ) from error


def training_argument_names() -> list[str]:
    """The fields of transformers.TrainingArguments."""
    return [field.name for field in dataclasses.fields(TrainingArguments) if field.init]


def trainer_arguments(settings: "TrainingSettings", output_dir: Path, validated: bool) -> Any:
    """TrainingArguments: the device's best settings, then the Params, then the user's own fields."""
    own = settings.training_args
    device = "cuda:0" if torch.cuda.is_available() and not own.get("use_cpu") else "cpu"
    bf16 = has_bfloat16(device) and not own.get("fp16")
    chosen: dict[str, Any] = {
        "use_cpu": device == "cpu",
        "bf16": bf16,
        "fp16": device != "cpu" and not bf16 and "bf16" not in own,
        "train_sampling_strategy": "group_by_length",
        "length_column_name": "length",
        "per_device_eval_batch_size": 2 * settings.batch_size,
        "dataloader_pin_memory": device != "cpu",
        "logging_steps": 0.02,
        "eval_strategy": "epoch" if validated else "no",
        "save_strategy": "epoch" if validated else "no",
        "save_total_limit": 2 if settings.resumable else 1,
        "save_only_model": not settings.resumable,
        "restore_callback_states_from_checkpoint": settings.resumable,
        "load_best_model_at_end": validated,
        "metric_for_best_model": settings.best_metric,
        "greater_is_better": own.get("metric_for_best_model", settings.best_metric).removeprefix("eval_") not in LESS_IS_BETTER,
        "report_to": "none",
        "disable_tqdm": True,
    }
    chosen |= {
        "learning_rate": settings.learning_rate,
        "num_train_epochs": settings.num_train_epochs,
        "per_device_train_batch_size": settings.batch_size,
        "seed": settings.seed,
        "remove_unused_columns": False,  # the collator takes what it needs
    }
    return TrainingArguments(output_dir=str(output_dir), **(chosen | own))


class ClassifierTrainer(Trainer):
    """A Trainer whose head learns at a rate of its own, and whose rows and labels may have weights."""

    def __init__(self, *, settings: "TrainingSettings", model: Any, **kwargs: Any):
        freeze(model, settings.train_layers)
        super().__init__(model=model, **kwargs)
        self.settings = settings
        self.class_weights = None if settings.class_weights is None else torch.tensor(settings.class_weights)
        self.model_accepts_loss_kwargs = False

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            cls, kwargs = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            head, decayed = head_parameters(self.model), set(self.get_decay_parameter_names(self.model))
            groups: dict[tuple[bool, bool], list] = {}
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    groups.setdefault((name in head, name in decayed), []).append(parameter)
            self.optimizer = cls(
                [
                    {
                        "params": parameters,
                        "lr": self.settings.head_learning_rate if in_head else self.args.learning_rate,
                        "weight_decay": self.args.weight_decay if decays else 0.0,
                    }
                    for (in_head, decays), parameters in groups.items()
                ],
                **kwargs,
            )
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Rows grouped by length, in an order that seed and epoch decide, so that a fit that goes on has the same."""
        if self.args.train_sampling_strategy != "group_by_length" or self.args.world_size > 1:
            return super()._get_train_sampler(train_dataset)
        rows = self.train_dataset if train_dataset is None else train_dataset
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        lengths = rows[self.args.length_column_name][:]
        return DistributedLengthGroupedSampler(size, num_replicas=1, rank=0, seed=self.args.seed, lengths=lengths)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint, and say when it is whole."""
        super()._save_checkpoint(model, trial)
        Path(self.args.output_dir, f"checkpoint-{self.state.global_step}", COMPLETE).touch()

    def compute_loss(self, model: Any, inputs: dict, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """Cross-entropy, binary cross-entropy or squared error, as the kind of task wants; the mean over the rows' weights."""
        inputs = dict(inputs)
        weight, labels = inputs.pop("weight", None), inputs.pop("labels")
        outputs = model(**inputs)
        losses, weight = self._losses(outputs.logits.float(), labels, weight)
        loss = losses.mean() if weight is None else (losses * weight).sum() / weight.sum().clamp_min(1e-12)
        return (loss, outputs) if return_outputs else loss

    def _losses(self, logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor | None) -> tuple:
        """The loss of each row, [n], and the rows' weights, the labels' among them."""
        F = torch.nn.functional
        class_weights = None if self.class_weights is None else self.class_weights.to(logits.device)
        if self.settings.problem_type == REGRESSION:
            return F.mse_loss(logits.squeeze(-1), labels, reduction="none"), weight
        smoothing = self.args.label_smoothing_factor
        if self.settings.problem_type == MULTI:
            labels = labels * (1 - smoothing) + smoothing / 2
            losses = F.binary_cross_entropy_with_logits(logits, labels, reduction="none", pos_weight=class_weights)
            return losses.mean(dim=-1), weight
        if class_weights is not None:
            of_labels = class_weights[labels]
            weight = of_labels if weight is None else weight * of_labels
        return F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing), weight


def freeze(model: Any, train_layers: str) -> None:
    """Leave only some layers to be trained: `all`, `head`, or `last:N`, the head and the last N layers of the encoder.

    Raises:
        InputError: the model's layers cannot be told.
    """
    if train_layers == "all":
        return
    layers = max((m for m in model.base_model.modules() if isinstance(m, torch.nn.ModuleList)), key=len, default=None)
    last = int(train_layers.partition(":")[2] or 0)
    if layers is None or last > len(layers):
        found = f"{len(layers) if layers is not None else 'no list of'} layers"
        raise InputError(
            f"a model with at least {last} layers, for trainLayers={train_layers!r}", found, "Take 'all' or 'head'."
        )
    kept = {id(parameter) for layer in list(layers)[len(layers) - last :] for parameter in layer.parameters()}
    head = head_parameters(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name in head or id(parameter) in kept


def watchers(settings: "TrainingSettings", validated: bool) -> list[TrainerCallback]:
    """What ends a training before its time (patience, a limit of seconds, a loss that is no number) or saves it meanwhile."""
    patience = [EarlyStoppingCallback(settings.patience)] if settings.patience and validated else []
    saving = [Saving()] if settings.resumable else []
    return [*patience, *saving, Limits(settings.max_train_seconds)]


class Saving(TrainerCallback):
    """Has a checkpoint written when the last one is some minutes old."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if time.monotonic() - self._last >= CHECKPOINT_SECONDS:
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
        if self._seconds and time.monotonic() - self._begin >= self._seconds and not control.should_training_stop:
            log.warning(
                "maxTrainSeconds=%g: training stops at step %d of %d", self._seconds, state.global_step, state.max_steps
            )
            control.should_evaluate = control.should_save = args.load_best_model_at_end
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **kwargs: Any) -> None:
        for name in ("loss", "eval_loss", "grad_norm"):
            if not math.isfinite((logs or {}).get(name, 0.0)):
                raise InputError(
                    "a finite loss",
                    f"{name} {logs[name]} at step {state.global_step}",
                    "Lower learningRate and headLearningRate, or train in float32: trainingArgs={'bf16': False, 'fp16': False}.",
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
        self._progress = Progress("training", round(state.num_train_epochs * self._rows), "rows")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._progress.update(state.epoch * self._rows, self._note(state))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **kwargs: Any) -> None:
        entry = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, (int, float))}
        self.entries.append({"step": state.global_step, **entry})
        if self._on_log is not None:
            self._on_log(entry, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._progress.close(self._note(state))

    def _note(self, state: Any) -> str:
        last = {name: value for entry in self.entries for name, value in entry.items()}
        known = [
            f"{name.removeprefix('eval_')} {last[name]:.4g}"
            for name in ("loss", "eval_loss", f"eval_{self._metric}")
            if name in last
        ]
        return ", ".join([f"epoch {state.epoch:.1f}/{state.num_train_epochs}", *known])


def head_parameters(model: Any) -> set[str]:
    """Names of the parameters above the encoder's layers: the classification head, and the pooler where there is one."""
    body = model.base_model_prefix + "."
    return {
        name for name, _ in model.named_parameters() if not name.startswith(body) or name[len(body) :].startswith("pooler.")
    }
