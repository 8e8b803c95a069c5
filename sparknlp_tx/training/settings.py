"""What a fine-tuning needs to know, and what it gives back."""

from dataclasses import dataclass, field
from typing import Any

from sparknlp_tx.inference.decision_rules import SINGLE
from sparknlp_tx.metrics.compute import BEST


@dataclass(frozen=True)
class TrainingSettings:
    """What a fine-tuning needs to know.

    Attributes:
        checkpoint: a hub name or a directory.
        labels: their names in the order of the logits; none for regression.
        max_length, batch_size, num_train_epochs, seed: as in transformers.
        learning_rate: peak rate of the encoder; head_learning_rate: of all above its layers; pooler_learning_rate: of a pooler
            among that, where the checkpoint brings one.
        training_args: any other fields of TrainingArguments.
        problem_type: as Hugging Face names it.
        start_bias: of a new head, [num_labels]: where its logits begin; None leaves it at zero.
        class_weights: how much each label's rows count, [num_labels]; for several labels a row, how much its positives count.
        metric: which epoch is kept, by the name of a metric; `auto` is accuracy, micro_f1 or pearson.
        patience: evaluations without a better one before training ends; 0 for no end.
        tune_thresholds: whether thresholds are chosen on the validation rows.
        train_layers: `all`, `head`, or `last:N` for the head and the last N layers of the encoder.
        max_train_seconds: when to stop with the best so far; 0 for never.
        resumable: whether checkpoints are kept that a killed fit goes on from.
        lora_rank: of the low-rank adapters that are trained beside the head; 0 for all that `train_layers` says.
        workers: processes that train together, each on its part of a batch.
    """

    checkpoint: str
    labels: list[str]
    max_length: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float
    pooler_learning_rate: float
    num_train_epochs: float
    seed: int
    training_args: dict[str, Any] = field(default_factory=dict)
    problem_type: str = SINGLE
    start_bias: list[float] | None = None
    class_weights: list[float] | None = None
    metric: str = "auto"
    patience: int = 0
    tune_thresholds: bool = False
    train_layers: str = "all"
    max_train_seconds: float = 0.0
    resumable: bool = False
    lora_rank: int = 0
    workers: int = 1

    @property
    def best_metric(self) -> str:
        """The metric that says which epoch is kept."""
        return BEST[self.problem_type] if self.metric == "auto" else self.metric


@dataclass
class TrainingResult:
    """What happened: `history` has one entry for every line the Trainer logged; `metrics` are the kept epoch's."""

    history: list[dict[str, float]]
    metrics: dict[str, float]
    best_epoch: float
    train_rows: int
    train_seconds: float
    rows_per_second: float
    device: str
    training_args: dict[str, Any]
    thresholds: list[float] | None = None
