"""fine_tune(): the Hugging Face Trainer over a datasets.Dataset, to a model directory. Knows neither Spark nor MLflow."""

import json
import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparknlp_tx.artifact import check_space
from sparknlp_tx.backends import quiet_transformers
from sparknlp_tx.decisions import MULTI, REGRESSION, SINGLE, decision_for
from sparknlp_tx.metrics import BEST, tune_thresholds
from sparknlp_tx.pretrained import head_rates, load_classifier
from sparknlp_tx.resume import last_checkpoint
from sparknlp_tx.tokenization import TextEncoder

if TYPE_CHECKING:
    import datasets

log = logging.getLogger(__name__)


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


def fine_tune(
    train: "datasets.Dataset",
    validation: "datasets.Dataset | None",
    settings: TrainingSettings,
    output_dir: str | Path,
    work_dir: str | Path,
    on_log: Callable[[dict[str, float], int], None] | None = None,
) -> TrainingResult:
    """Fine-tune a sequence classifier and write it as a Hugging Face directory.

    Where processes train together (`torch.distributed`), each calls this with the same arguments; the first one writes.

    Args:
        train: staged rows: `input_ids`, perhaps `token_type_ids`, `length`, `labels` (an index into the labels, a list of them, or
            a number), perhaps `weight`.
        validation: rows of the same columns; the epoch that is best on them is kept. None keeps the last epoch.
        settings: checkpoint, labels, lengths and rates.
        output_dir: where `save_tokenizer` has written, and config.json and model.safetensors go.
        work_dir: a folder for the Trainer's checkpoints, which a fit that was begun there goes on from; the caller removes it.
        on_log: called with metrics and the global step each time the Trainer logs.

    Raises:
        InputError: the disk is too small, or the checkpoint has fewer layers than are to be trained.
        TrainingError: the loss is no number.
    """
    from sparknlp_tx.training_arguments import without_launcher

    with without_launcher() if settings.workers == 1 else nullcontext():
        return _fine_tune(train, validation, settings, Path(output_dir), Path(work_dir), on_log)


def _fine_tune(
    train: "datasets.Dataset",
    validation: "datasets.Dataset | None",
    settings: TrainingSettings,
    output_dir: Path,
    work_dir: Path,
    on_log: Callable[[dict[str, float], int], None] | None,
) -> TrainingResult:
    import transformers

    from sparknlp_tx.callbacks import History, watchers
    from sparknlp_tx.dropout import fast_dropout
    from sparknlp_tx.trainer import ClassifierTrainer
    from sparknlp_tx.training_arguments import trainer_arguments

    transformers.set_seed(settings.seed)
    encoder = TextEncoder(output_dir)
    args = trainer_arguments(settings, Path(work_dir, "trainer"), validation is not None)
    history = History(on_log, len(train), settings.best_metric)
    train, validation = _tokens(train), validation and _tokens(validation)
    model, rates, lora, embedding = _trained_parts(settings, encoder, args, [train, *filter(None, [validation])])
    _check_disk(model, args, Path(work_dir))
    trainer = ClassifierTrainer(
        settings=settings,
        encoder=encoder,
        model=model,
        head_rates=rates,
        args=args,
        train_dataset=train,
        eval_dataset=validation,
        callbacks=[history, *watchers(settings, validation is not None)],
    )
    begin = time.monotonic()
    with quiet_transformers(), fast_dropout(args.device.type):
        with args.main_process_first(local=False):  # it removes what is not whole
            checkpoint = last_checkpoint(Path(args.output_dir), settings.resumable)
        trainer.train(resume_from_checkpoint=checkpoint)
        result = _result(trainer, history, len(train), time.monotonic() - begin)
        if validation is not None and (settings.tune_thresholds or settings.problem_type == MULTI):
            result.thresholds = _thresholds(trainer.predict(trainer.eval_dataset), settings)
        embedding.restore()
        if trainer.is_world_process_zero():
            (lora.merge_and_unload() if lora else trainer.model).float().save_pretrained(output_dir)
    return result


def _trained_parts(settings: TrainingSettings, encoder: TextEncoder, args: Any, tokens: "list[datasets.Dataset]") -> tuple:
    """The model; its head's learning rates; what merges its adapters, where it has some; what gives it its embedding back."""
    from sparknlp_tx.embeddings import TokenRows
    from sparknlp_tx.lora import add_lora

    model, new = load_classifier(settings, encoder, args.device.type)
    rates = head_rates(model, new, settings)
    lora = add_lora(model, settings.lora_rank) if settings.lora_rank else None
    return model, rates, lora, TokenRows(model, args, tokens)


def _tokens(rows: "datasets.Dataset") -> "datasets.Dataset":
    """The staged columns that a batch is made of."""
    return rows.remove_columns([name for name in ("text", "text_pair") if name in rows.column_names])


def _check_disk(model: Any, args: Any, folder: Path) -> None:
    """Raise InputError where a folder's disk does not take the Trainer's checkpoints: weights, and the optimizer's two moments."""
    weights, trained = (4 * sum(p.numel() for p in model.parameters() if p.requires_grad or every) for every in (True, False))
    limit = args.save_total_limit or 1  # as many as there will be, where there is no limit: that is the user's to know
    kept = 0 if args.save_strategy == "no" and args.save_only_model else limit + 1  # one is being written
    needed = kept * (weights + (0 if args.save_only_model else 2 * trained))
    check_space(folder, needed, "the checkpoints of the training")


def _thresholds(found: Any, settings: TrainingSettings) -> list[float] | None:
    """Thresholds for the labels, chosen on the validation rows where that is asked for; None for the plain ones."""
    decision = decision_for(settings.problem_type, settings.labels)
    assert decision.problem_type != REGRESSION  # a fit refuses to tune its thresholds
    probabilities, truth = decision.probabilities(found.predictions), np.asarray(found.label_ids)
    thresholds = None
    if settings.tune_thresholds and settings.problem_type == MULTI:
        thresholds = tune_thresholds(truth > 0, probabilities)
    elif settings.tune_thresholds:
        above = tune_thresholds(truth[:, None] == 1, probabilities[:, 1:])[0]
        thresholds = [1 - above, above]  # label 1 where p1 / above is more than p0 / (1 - above)
    if settings.problem_type == MULTI:
        tuned = decision_for(MULTI, settings.labels, thresholds=thresholds)
        if not tuned.predict(probabilities).any():
            log.warning(
                "The model predicts no label for any of the %d validation rows: it has learnt little. More epochs, a larger "
                "learningRate or headLearningRate, or thresholdTuning='f1' help.",
                len(probabilities),
            )
    return thresholds


def _result(trainer: Any, history: Any, rows: int, seconds: float) -> TrainingResult:
    args = trainer.args
    kept_best = args.load_best_model_at_end
    best = history.best(args.metric_for_best_model, args.greater_is_better) if kept_best else history.last()
    return TrainingResult(
        history=history.entries,
        metrics={name.removeprefix("eval_"): value for name, value in best.items() if name.startswith("eval_")},
        best_epoch=best.get("epoch", trainer.state.epoch),
        train_rows=rows,
        train_seconds=seconds,
        rows_per_second=(trainer.state.epoch - history.begin) * rows / seconds,
        device=str(args.device),
        training_args=json.loads(args.to_json_string()),
    )
