"""An estimate of what fitting a DataFrame takes: labels are counted, a sample is read, some batches are tried."""

import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from sparknlp_tx.data.label_counts import LabelCounts
from sparknlp_tx.data.staging import CHARACTER_BYTES, ROW_BYTES
from sparknlp_tx.data.text_columns import text_column
from sparknlp_tx.data.text_samples import sample_texts, token_lengths
from sparknlp_tx.data.training_rows import TrainingColumns
from sparknlp_tx.files import local_path
from sparknlp_tx.ml.scoring_plan import told_duration
from sparknlp_tx.spark.distribution import is_local
from sparknlp_tx.training.settings import TrainingSettings
from sparknlp_tx.training.step_probe import try_training

STAGED_CHARACTERS = 500_000  # a second and core, about: `benchmarks/staging.py`
RARE = 5  # rows of a label that are too few to learn it from


@dataclass(frozen=True)
class TrainingPlan:
    """How a DataFrame would be fitted; `str` gives it in a few lines.

    Attributes:
        rows, train_rows: with a text; those among them to train on.
        task: `problem_type`, `labels` (how many), `rarest` and `rarest_rows`.
        tokens: of a sample of texts: `sample`, `mean`, `p50`, `p95`, `max`, and `cut`, the share (0 to 1) longer than maxLength.
        engine: `device`, `precision`, `where` (the driver, this client's machine, the executors), `parameters` (millions, all of
            them), `seconds_per_step` as tried, `steps`.
        memory_mb, memory_free_mb: that training takes, with the longest batch, as tried; that the device has.
        disk_mb, disk_free_mb: for the staged tokens and the checkpoints; free in the folder that they go to.
        seconds: how long it would take, about.
        problems: what would go wrong, each with its remedy.
        advice: what would make it better, a sentence each.
    """

    rows: int
    train_rows: int
    task: dict[str, Any]
    tokens: dict[str, float]
    engine: dict[str, Any]
    memory_mb: int
    memory_free_mb: int
    disk_mb: int
    disk_free_mb: int
    seconds: float
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """All of it as a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        engine, tokens, task = self.engine, self.tokens, self.task
        labels = f", {task['labels']} labels, {task['rarest']!r} in {task['rarest_rows']:,} rows" if task["labels"] else ""
        held_out = f", {self.rows - self.train_rows:,} of them for validation" if self.rows > self.train_rows else ""
        lines = [
            f"rows        {self.rows:,}{held_out}",
            f"task        {task['problem_type']}{labels}",
            f"tokens      {tokens['mean']} on average, 95 % of the texts up to {tokens['p95']}, longest {tokens['max']}; "
            f"{tokens['cut']:.1%} cut (sample of {tokens['sample']:,})",
            f"device      {engine['device']}, {engine['precision']}, {engine['where']}",
            f"model       {engine['parameters']:,} million parameters, {engine['steps']:,} steps of {engine['batch_size']} rows",
            f"memory      {self.memory_mb:,} MB with the longest texts; {self.memory_free_mb:,} MB free",
            f"disk        {self.disk_mb:,} MB for tokens and checkpoints; {self.disk_free_mb:,} MB free",
            f"duration    about {told_duration(self.seconds)}: {engine['seconds_per_step']:.3g} s a step",
        ]
        lines += [f"problem     {line}" for line in self.problems]
        return "\n".join(lines + [f"advice      {line}" for line in self.advice])

    __repr__ = __str__


def explain_training(
    df: DataFrame, columns: TrainingColumns, labels: LabelCounts, settings: TrainingSettings, folder: str
) -> TrainingPlan:
    """What a fit would take, after its checks; reads a sample and trains some batches of it for three seconds, to nothing.

    Args:
        df, columns, labels, settings: of the `FitPlan`.
        folder: where the fit would work; empty for a temporary folder.
    """
    from sparknlp_tx.training.checkpoint_check import check_runs
    from sparknlp_tx.training.tokenizer import save_tokenizer

    spark = df.sparkSession
    names = [name for name in (columns.text, columns.text_pair) if name]
    texts = sample_texts(df.select(*(text_column(df, name).alias(name) for name in names)), labels.rows)
    with tempfile.TemporaryDirectory(prefix="sparknlp_tx-explain-") as work:
        save_tokenizer(settings.checkpoint, settings.max_length, work)
        encoder = check_runs(settings, work, columns.text_pair is not None)
        tokens = token_lengths(encoder, texts, settings.max_length)
        tried = try_training(settings, encoder, texts, Path(work))
    steps = int(np.ceil(labels.train / settings.batch_size) * settings.num_train_epochs)
    engine = {name: tried[name] for name in ("device", "precision", "parameters", "seconds_per_step")}
    engine |= {"steps": steps, "batch_size": settings.batch_size}
    engine["where"] = "on the driver" if is_local(spark) else "in this process: the driver, or the client of Spark Connect"
    if settings.workers > 1:
        engine["where"] = f"in {settings.workers} processes" + ("" if is_local(spark) else " on the executors")
    free, disk_free = (
        _free_memory(tried["device"]),
        shutil.disk_usage(_existing(local_path(folder or tempfile.gettempdir()))).free // 10**6,
    )
    staged = labels.rows * ROW_BYTES + labels.characters * CHARACTER_BYTES
    kept = settings.resumable + bool(labels.rows > labels.train)
    disk = int((staged + kept * 2 * 12e6 * tried["parameters"] + 8e6 * tried["parameters"]) / 1e6)
    seconds = (
        steps * tried["seconds_per_step"] / settings.workers + labels.characters / STAGED_CHARACTERS + tried["load_seconds"]
    )
    task = {"problem_type": columns.problem_type, "labels": len(labels.labels), "rarest": None, "rarest_rows": 0}
    if labels.labels:
        task["rarest_rows"], task["rarest"] = min(zip(labels.counts, labels.labels, strict=True))
    plan = TrainingPlan(
        labels.rows, labels.train, task, tokens, engine, tried["memory_mb"], free, disk, disk_free, round(seconds, 1)
    )
    plan.problems.extend(_problems(plan, settings))
    plan.advice.extend(_advice(plan, settings))
    return plan


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder


def _free_memory(device: str) -> int:
    """Megabytes that are free on a device, or available on this machine."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0] // 10**6
    import psutil

    return psutil.virtual_memory().available // 10**6


def _problems(plan: TrainingPlan, settings: TrainingSettings) -> list[str]:
    found = []
    if plan.memory_mb > plan.memory_free_mb:
        remedy = "a smaller batchSize or maxLength, trainingArgs={'gradient_checkpointing': True}, or loraRank"
        found.append(f"{plan.memory_mb:,} MB of memory wanted, {plan.memory_free_mb:,} MB free: take {remedy}.")
    if plan.disk_mb > plan.disk_free_mb:
        found.append(
            f"{plan.disk_mb:,} MB of disk wanted, {plan.disk_free_mb:,} MB free: set stagingDir or checkpointDir to a larger disk."
        )
    return found


def _advice(plan: TrainingPlan, settings: TrainingSettings) -> list[str]:
    advice, tokens = [], plan.tokens
    if tokens["cut"] > 0.01:
        advice.append(
            f"{tokens['cut']:.0%} of the texts are truncated at maxLength={settings.max_length}. Raise maxLength to use all of the text."
        )
    if plan.rows == plan.train_rows:
        advice.append("no validation rows: validationFraction=0.1 keeps the epoch that is best on rows it has not seen.")
    if plan.task["labels"] and plan.task["rarest_rows"] < RARE:
        rows = f"{plan.task['rarest_rows']} row" + "s" * (plan.task["rarest_rows"] != 1)
        advice.append(f"label {plan.task['rarest']!r} has {rows}: merge it with another, or label more.")
    if settings.max_train_seconds and plan.seconds > settings.max_train_seconds:
        advice.append(f"maxTrainSeconds={settings.max_train_seconds:g} ends it before its {plan.engine['steps']:,} steps.")
    if plan.seconds > 3600 and not settings.resumable:
        advice.append("set checkpointDir: a fit that is killed then goes on from its last checkpoint.")
    if plan.engine["device"] == "cpu" and plan.seconds > 600 and not settings.lora_rank and settings.train_layers == "all":
        advice.append("a GPU is many times as fast; on this CPU trainLayers='last:2' trains a part of the model.")
    return advice
