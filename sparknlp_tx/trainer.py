"""The Hugging Face Trainer as this library sets it up: its arguments, its optimizer, its loss, what it says while it runs."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from sparknlp_tx.backends import has_bfloat16
from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.progress import Progress

if TYPE_CHECKING:
    from sparknlp_tx.training import TrainingSettings

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
        "save_total_limit": 1,
        "save_only_model": True,
        "load_best_model_at_end": validated,
        "metric_for_best_model": "accuracy",
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
    """A Trainer whose head learns at a rate of its own and whose rows may have weights."""

    def __init__(self, *, head_learning_rate: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.head_learning_rate = head_learning_rate
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
                        "lr": self.head_learning_rate if in_head else self.args.learning_rate,
                        "weight_decay": self.args.weight_decay if decays else 0.0,
                    }
                    for (in_head, decays), parameters in groups.items()
                ],
                **kwargs,
            )
        return self.optimizer

    def compute_loss(self, model: Any, inputs: dict, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        weight = inputs.pop("weight", None)
        if weight is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        losses = torch.nn.functional.cross_entropy(
            outputs.logits, labels, reduction="none", label_smoothing=self.args.label_smoothing_factor
        )
        loss = (losses * weight).sum() / weight.sum().clamp_min(1e-12)
        return (loss, outputs) if return_outputs else loss


class History(TrainerCallback):
    """Keeps every line that the Trainer logs, hands it on, and shows how far it is."""

    def __init__(self, on_log: Callable[[dict[str, float], int], None] | None, rows: int):
        self.entries: list[dict[str, float]] = []
        self._on_log, self._rows = on_log, rows
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
            f"{name.removeprefix('eval_')} {last[name]:.4g}" for name in ("loss", "eval_loss", "eval_accuracy") if name in last
        ]
        return ", ".join([f"epoch {state.epoch:.1f}/{state.num_train_epochs}", *known])


def head_parameters(model: Any) -> set[str]:
    """Names of the parameters above the encoder's layers: the classification head, and the pooler where there is one."""
    body = model.base_model_prefix + "."
    return {
        name for name, _ in model.named_parameters() if not name.startswith(body) or name[len(body) :].startswith("pooler.")
    }
