"""The same training on different machines: seconds an epoch by device, workers and precision, from the runs that logged them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlflow

from sparknlp_tx.errors import InputError
from sparknlp_tx.lifecycle.comparison.models import experiment_of
from sparknlp_tx.ml.live_metrics import brief_requests

GROUPED = ("checkpoint", "hardware", "workers", "training_precision")  # tags of a run


@dataclass
class HardwareRow:
    """Trainings of one checkpoint on one kind of machine.

    Attributes:
        checkpoint, hardware, workers, precision: as the runs say. runs: how many.
        rows: that were trained on, of the newest run. seconds_per_epoch, rows_per_second: medians over the runs.
    """

    checkpoint: str
    hardware: str
    workers: str
    precision: str
    runs: int
    rows: int
    seconds_per_epoch: float
    rows_per_second: float


def compare_hardware(experiment: str, runs: Sequence[str] = ()) -> list[HardwareRow]:
    """The trainings of an experiment by what they ran on, the fastest first.

    Args:
        runs: these alone.

    Raises:
        InputError: there is no such experiment, or no run of it has logged how fast it trained.
    """
    from statistics import median

    number = experiment_of(experiment)
    with brief_requests(timeout=30):
        found = mlflow.search_runs([number], "tags.hardware LIKE '%'", output_format="list", max_results=5_000)
    groups: dict[tuple[str, ...], list[Any]] = {}
    for run in found:
        if "seconds_per_epoch" in run.data.metrics and (not runs or run.info.run_id in runs):
            groups.setdefault(tuple(run.data.tags.get(name, "") for name in GROUPED), []).append(run.data.metrics)
    if not groups:
        remedy = "Train with sparknlp-tx train --experiment; runs of older versions have not logged it."
        raise InputError(f"runs in {experiment!r} that have logged how fast they trained", "none", remedy)
    rows = []
    for (checkpoint, hardware, workers, precision), group in groups.items():
        epoch, rate = (median(each[name] for each in group) for name in ("seconds_per_epoch", "rows_per_second"))
        rows.append(HardwareRow(checkpoint, hardware, workers, precision, len(group), int(group[0]["train_rows"]), epoch, rate))
    return sorted(rows, key=lambda row: (row.checkpoint, -row.rows_per_second))
