"""fine_tune(): the Hugging Face Trainer over a datasets.Dataset, to a model directory. Knows neither Spark nor MLflow."""

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparknlp_tx.backends import quiet_transformers
from sparknlp_tx.errors import InputError
from sparknlp_tx.evaluation import classification_metrics
from sparknlp_tx.tokenization import TextEncoder, Tokens

if TYPE_CHECKING:
    import datasets
    import torch

log = logging.getLogger(__name__)


TOKENIZER_FILES = {"tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}


@dataclass(frozen=True)
class TrainingSettings:
    """What a fine-tuning needs to know. `head_learning_rate` is the peak rate of all above the encoder's layers."""

    checkpoint: str
    labels: list[str]
    max_length: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float
    num_train_epochs: float
    seed: int
    training_args: dict[str, Any] = field(default_factory=dict)


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


def check_checkpoint(checkpoint: str) -> None:
    """Raise InputError where a checkpoint is neither a complete directory nor a model that the hub gives."""
    from transformers import AutoConfig

    weights = ("*.safetensors", "pytorch_model*.bin")
    if os.path.isdir(checkpoint):
        found = sorted(os.listdir(checkpoint))
        if "config.json" not in found or not any(list(Path(checkpoint).glob(pattern)) for pattern in weights):
            raise InputError(
                f"a Hugging Face model in {checkpoint} (config.json, model.safetensors, tokenizer.json)",
                ", ".join(found[:10]) or "an empty folder",
                "Give the folder that save_pretrained wrote; of a model saved by this library, its folder model/.",
            )
        if not TOKENIZER_FILES & set(found):
            raise InputError(f"a tokenizer in {checkpoint}", ", ".join(found[:10]), "Save it there: tokenizer.save_pretrained.")
        return
    try:
        AutoConfig.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            "a directory or the name of a model on the Hugging Face hub",
            f"checkpoint {checkpoint!r}, which is no directory and which the hub does not give ({reason})",
            "Check its spelling and the network, or download the model and give its folder.",
        ) from error


def fine_tune(
    train: "datasets.Dataset",
    validation: "datasets.Dataset | None",
    settings: TrainingSettings,
    output_dir: str | Path,
    work_dir: str | Path,
    on_log: Callable[[dict[str, float], int], None] | None = None,
) -> TrainingResult:
    """Fine-tune a sequence classifier and write it as a Hugging Face directory.

    Args:
        train: rows with `text`, `label` (index into the labels), perhaps `text_pair` and `weight`.
        validation: rows of the same columns; the epoch with the best accuracy on them is kept. None keeps the last epoch.
        settings: checkpoint, labels, lengths and rates.
        output_dir: where config.json, model.safetensors, tokenizer.json and tokenizer_config.json are written.
        work_dir: a folder for tokens and the Trainer's checkpoints; the caller removes it.
        on_log: called with metrics and the global step each time the Trainer logs.
    """
    import transformers

    from sparknlp_tx.trainer import ClassifierTrainer, History, trainer_arguments

    transformers.set_seed(settings.seed)
    encoder = save_tokenizer(settings.checkpoint, settings.max_length, output_dir)
    train = tokenize(train, encoder, Path(work_dir, "train.tokens"))
    if validation is not None:
        validation = tokenize(validation, encoder, Path(work_dir, "validation.tokens"))
        validation = validation.select(np.argsort(validation["length"]))  # little padding in each batch
    args = trainer_arguments(settings, Path(work_dir, "trainer"), validation is not None)
    history = History(on_log, len(train))
    trainer = ClassifierTrainer(
        head_learning_rate=settings.head_learning_rate,
        model=load_classifier(settings, encoder),
        args=args,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=lambda rows: collate(rows, encoder),
        compute_metrics=lambda p: classification_metrics(p.label_ids, p.predictions.argmax(-1)),
        callbacks=[history],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    begin = time.monotonic()
    with quiet_transformers():
        trainer.train()
        seconds = time.monotonic() - begin
        trainer.model.float().save_pretrained(output_dir)
    return _result(trainer, history, len(train), seconds)


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
        rows_per_second=trainer.state.epoch * rows / seconds,
        device=str(args.device),
        training_args=json.loads(args.to_json_string()),
    )


def save_tokenizer(checkpoint: str, max_length: int | None, output_dir: str | Path) -> TextEncoder:
    """Write the checkpoint's tokenizer with all that `TextEncoder` needs; returns the encoder that reads it back.

    Args:
        max_length: where texts are to be cut; None cuts nowhere.
    """
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    positions = getattr(AutoConfig.from_pretrained(checkpoint), "max_position_embeddings", None) or 0
    limit = min(tokenizer.model_max_length, positions // 8 * 8 if positions > 0 else 10**9)  # RoBERTa's 514 serve 512 tokens
    if max_length and max_length > limit:
        log.warning("maxLength %d is more than the %d tokens that %s takes: %d is used", max_length, limit, checkpoint, limit)
    tokenizer.model_max_length = min(max_length, limit) if max_length else 10**9
    tokenizer.save_pretrained(output_dir)
    if not Path(output_dir, "tokenizer.json").is_file():
        raise InputError(
            "a checkpoint with a fast tokenizer (tokenizer.json)", f"none in {checkpoint}", "Convert its tokenizer."
        )
    file = Path(output_dir, "tokenizer_config.json")
    config = json.loads(file.read_text())
    config["model_input_names"] = tokenizer.model_input_names
    config["padding_side"] = tokenizer.padding_side
    config["pad_token_type_id"] = tokenizer.pad_token_type_id
    file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    return TextEncoder(output_dir)


def tokenize(rows: "datasets.Dataset", encoder: TextEncoder, file: Path) -> "datasets.Dataset":
    """Rows of texts to rows of `input_ids`, perhaps `token_type_ids`, `length`, `labels`, perhaps `weight`; kept on disk."""
    paired = "text_pair" in rows.column_names

    def encode(batch: dict[str, list]) -> dict[str, Any]:
        texts = list(zip(batch["text"], batch["text_pair"], strict=True)) if paired else batch["text"]
        tokens = encoder.encode(texts)
        encoded = {"input_ids": tokens.input_ids, "length": tokens.lengths(), "labels": batch["label"]}
        if "token_type_ids" in encoder.input_names:
            encoded["token_type_ids"] = tokens.token_type_ids
        return encoded

    import datasets

    drop = [name for name in ("text", "text_pair", "label") if name in rows.column_names]
    datasets.disable_progress_bars()
    try:
        return rows.map(encode, batched=True, remove_columns=drop, cache_file_name=str(file), new_fingerprint=file.stem)
    finally:
        datasets.enable_progress_bars()


def collate(rows: list[dict[str, Any]], encoder: TextEncoder) -> dict[str, "torch.Tensor"]:
    """Rows of tokens to one padded batch of tensors."""
    import torch

    tokens = Tokens([row["input_ids"] for row in rows], [row.get("token_type_ids", []) for row in rows])
    batch = {name: torch.from_numpy(array) for name, array in encoder.pad(tokens, range(len(rows))).items()}
    batch["labels"] = torch.tensor([row["labels"] for row in rows])
    if "weight" in rows[0]:
        batch["weight"] = torch.tensor([row["weight"] for row in rows], dtype=torch.float32)
    return batch


def load_classifier(settings: TrainingSettings, encoder: TextEncoder) -> Any:
    """The checkpoint with a new classification head for the labels."""
    import transformers

    with quiet_transformers():
        return transformers.AutoModelForSequenceClassification.from_pretrained(
            settings.checkpoint,
            num_labels=len(settings.labels),
            id2label=dict(enumerate(settings.labels)),
            label2id={label: index for index, label in enumerate(settings.labels)},
            problem_type="single_label_classification",
            ignore_mismatched_sizes=True,
            dtype="float32",
        )
