"""fine_tune(): the Hugging Face Trainer over a datasets.Dataset, to a model directory. Knows neither Spark nor MLflow."""

import json
import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparknlp_tx.files import check_space
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, decision_rule
from sparknlp_tx.inference.tokenization import TextEncoder
from sparknlp_tx.inference.transformers_compat import quiet_transformers
from sparknlp_tx.metrics.thresholds import tune_thresholds
from sparknlp_tx.training.checkpoint import load_classifier
from sparknlp_tx.training.fit_folder import last_checkpoint
from sparknlp_tx.training.head import head_rates
from sparknlp_tx.training.settings import TrainingResult, TrainingSettings

if TYPE_CHECKING:
    import datasets

log = logging.getLogger(__name__)


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
    from sparknlp_tx.training.arguments import without_launcher

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

    from sparknlp_tx.training.arguments import trainer_arguments
    from sparknlp_tx.training.callbacks import History, watchers
    from sparknlp_tx.training.fast_dropout import fast_dropout
    from sparknlp_tx.training.trainer import ClassifierTrainer

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
    from sparknlp_tx.training.lora import add_lora
    from sparknlp_tx.training.used_embeddings import TokenRows

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
    decision = decision_rule(settings.problem_type, settings.labels)
    assert decision.problem_type != REGRESSION  # a fit refuses to tune its thresholds
    probabilities, truth = decision.probabilities(found.predictions), np.asarray(found.label_ids)
    thresholds = None
    if settings.tune_thresholds and settings.problem_type == MULTI:
        thresholds = tune_thresholds(truth > 0, probabilities)
    elif settings.tune_thresholds:
        above = tune_thresholds(truth[:, None] == 1, probabilities[:, 1:])[0]
        thresholds = [1 - above, above]  # label 1 where p1 / above is more than p0 / (1 - above)
    if settings.problem_type == MULTI:
        tuned = decision_rule(MULTI, settings.labels, thresholds=thresholds)
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
