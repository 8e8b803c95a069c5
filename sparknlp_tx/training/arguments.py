"""transformers.TrainingArguments: the device's best settings, the Params, the user's own fields; and what is wrong with those."""

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainingArguments

from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.inference.backends.torch_backend import has_bfloat16
from sparknlp_tx.inference.transformers_compat import grouped_by_length
from sparknlp_tx.metrics.compute import LESS_IS_BETTER, check_metric

if TYPE_CHECKING:
    from sparknlp_tx.training.settings import TrainingSettings

# What torchrun, accelerate and MPI leave in the environment of the processes that they start.
LAUNCHED = {
    *("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT", "PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
}
LAUNCHERS = ("TORCHELASTIC_", "ACCELERATE_", "FSDP_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_")

# Fields of TrainingArguments that a Param already sets, by the Param's name.
PARAM_FIELDS = {
    "learning_rate": "learningRate",
    "num_train_epochs": "numTrainEpochs",
    "per_device_train_batch_size": "batchSize",
    "seed": "seed",
    "output_dir": "a temporary folder",
    "per_device_eval_batch_size": "a budget of tokens",
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
        with without_launcher():
            trainer_arguments(settings, Path("unused"), validated)
    except (TypeError, ValueError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            "values that transformers.TrainingArguments takes", f"{training_args} ({reason})", "Change them."
        ) from error


@contextmanager
def without_launcher() -> Iterator[None]:
    """Within it this process trains alone: what a launcher left in the environment would have it wait for others for ever."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        yield
        return
    left = {name: value for name, value in os.environ.items() if name in LAUNCHED or name.startswith(LAUNCHERS)}
    for name in left:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(left)


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
        **grouped_by_length(),
        "length_column_name": "length",
        "dataloader_pin_memory": device != "cpu",
        "logging_steps": 0.02,
        "logging_nan_inf_filter": False,  # `callbacks.Limits` looks for them
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
        "per_device_train_batch_size": settings.batch_size // settings.workers,
        "seed": settings.seed,
        "remove_unused_columns": False,  # the collator takes what it needs
    }
    if "WORLD_SIZE" in os.environ and device == "cpu":  # one of several processes
        chosen["ddp_backend"] = "gloo"
    args = TrainingArguments(output_dir=str(output_dir), **(chosen | own))
    if args.n_gpu > 1:  # one process uses one GPU: numTrainWorkers is for several
        args._n_gpu = 1
    return args
