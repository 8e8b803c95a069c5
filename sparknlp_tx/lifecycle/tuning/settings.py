"""What the trials of a study share, and what came of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError
from sparknlp_tx.files import local_path
from sparknlp_tx.lifecycle.tuning.search_space import Dimension

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparknlp_tx.ml.estimator import TransformerClassifier


@dataclass
class TrialSettings:
    """What all trials share.

    Attributes:
        estimator, rows: what is fitted, and on what: validation rows are marked among the rows.
        metric: of the validation rows, which is to be the best.
        space: the dimensions. trials: how many there are to be in all. max_hours: of trials after which no other begins; 0 for any.
        folder: for the trials' checkpoints and staged tokens; removed at the end.
        key, name, experiment_id, sampler, pruner, seed: of the study.
        parallelism: trials at once, each on an executor; 1 for one after another in this process.
    """

    estimator: "TransformerClassifier"
    rows: "DataFrame"
    metric: str
    space: list[Dimension]
    trials: int
    folder: Path
    key: str
    name: str
    experiment_id: str
    max_hours: float = 0.0
    sampler: str = "tpe"
    pruner: str = "median"
    seed: int = 0
    parallelism: int = 1


@dataclass
class StudyResult:
    """What a study found.

    Attributes:
        study_run_id, experiment_id: of the parent run. metric: what was compared, on the validation rows.
        best: the number of the best trial; best_value, best_values: its metric, and what it tried.
        best_epoch: of its fit; None where it was cut off and has told none.
        trials: each with `number`, `run_id`, `state`, `value`, `values`, `seconds`, `error`.
        pruned_minutes: that pruning saved, about: what the pruned trials would have taken to their ends.
    """

    study_run_id: str
    experiment_id: str
    metric: str
    best: int
    best_value: float
    best_values: dict[str, Any]
    best_epoch: float | None
    trials: list[dict[str, Any]] = field(default_factory=list)
    pruned_minutes: float = 0.0


def check_folder(folder: str) -> Path:
    """The folder for a study's work.

    Raises:
        InputError: it is a file.
    """
    path = local_path(folder)
    if path.is_file():
        raise InputError(f"a folder for the study's checkpoints at {folder}", "a file", "Name another (--study-dir).")
    return path
