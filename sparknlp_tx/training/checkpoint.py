"""The checkpoint that a fit starts from: checked, asked for its labels, loaded with a head for the labels that are learnt.

Knows neither Spark nor MLflow.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.decision_rules import SINGLE
from sparknlp_tx.inference.tokenization import TextEncoder
from sparknlp_tx.inference.transformers_compat import mismatched_keys, quiet_transformers, weights_as

if TYPE_CHECKING:
    from sparknlp_tx.training.settings import TrainingSettings

log = logging.getLogger(__name__)
TOKENIZER_FILES = {"tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}
OTHER_HEADS = ("ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")


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
    try:
        config = AutoConfig.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        problem = "cannot be read" if os.path.isdir(checkpoint) else "is no directory and which the hub does not give"
        raise InputError(
            "a directory or the name of a model on the Hugging Face hub",
            f"checkpoint {checkpoint!r}, which {problem} ({reason})",
            "Check its spelling and the network, or download the model and give its folder.",
        ) from error
    other = [name for name in config.architectures or [] if any(head in name for head in OTHER_HEADS)]
    if other:
        raise InputError(
            "a checkpoint without a head, or with one for sequence classification",
            f"{other[0]} in {checkpoint}",
            "Give the model that it was fine-tuned from.",
        )


def checkpoint_labels(checkpoint: str, problem_type: str) -> list[str]:
    """The labels that a checkpoint was fine-tuned for, where it was for this kind of task; else none."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(checkpoint)
    classifies = any("ForSequenceClassification" in name for name in config.architectures or [])
    if not classifies or (config.problem_type or SINGLE) != problem_type:
        return []
    return [config.id2label[index] for index in sorted(config.id2label)]


def load_classifier(settings: "TrainingSettings", encoder: TextEncoder, device: str = "cpu") -> tuple[Any, set[str]]:
    """The checkpoint with a head for the labels; and the names of the parameters that it did not bring.

    A checkpoint that was fine-tuned for the same labels, or for the first of them, goes on from its own head. A new head starts at
    the labels' own frequencies, or at the mean target, so that its first steps are not spent on finding them.
    """
    import torch

    names, known = settings.labels or ["LABEL_0"], checkpoint_labels(settings.checkpoint, settings.problem_type)
    model, loading_info, _ = pretrained_classifier(settings, encoder, device)
    rows = {name: p for name, p in model.named_parameters() if _is_of_labels(name, p, model, len(names))}
    new = set(loading_info["missing_keys"]) | mismatched_keys(loading_info)
    if known != names[: len(known)] and not new & set(rows):  # as many labels as ours, but others
        new |= set(rows)
        for parameter in rows.values():
            torch.nn.init.normal_(parameter, std=0.02)
    if known and known != names and new & set(rows):
        kept = known == names[: len(known)]
        log.warning(
            "%s was fine-tuned for %s: its head is %s",
            settings.checkpoint,
            f"{len(known)} labels ({', '.join(known[:5])}{', ...' * (len(known) > 5)})",
            f"kept for them, and grows by {', '.join(names[len(known) :][:5])}" if kept else "replaced by a new one",
        )
    with torch.no_grad():
        for name in new & set(rows):
            if name.endswith("bias") and settings.start_bias is not None:
                rows[name].copy_(torch.tensor(settings.start_bias))
            if known and known == names[: len(known)]:
                rows[name][: len(known)] = _weights(settings.checkpoint, name)
    return model, new


def pretrained_classifier(
    settings: "TrainingSettings", encoder: TextEncoder, device: str = "cpu"
) -> tuple[Any, dict[str, Any], int]:
    """The checkpoint with a head of the right size, transformers' loading info, and how many tokens the embedding grew by.

    A tokenizer to which tokens were added makes the embedding as large, as `resize_token_embeddings` does.

    Raises:
        InputError: the embedding cannot grow.
    """
    import transformers

    from sparknlp_tx.training.fast_dropout import attention_for

    attention = attention_for(transformers.AutoConfig.from_pretrained(settings.checkpoint), device)
    names = settings.labels or ["LABEL_0"]
    with quiet_transformers():
        model, loading_info = transformers.AutoModelForSequenceClassification.from_pretrained(
            settings.checkpoint,
            num_labels=len(names),
            id2label=dict(enumerate(names)),
            label2id={label: index for index, label in enumerate(names)},
            problem_type=settings.problem_type,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **weights_as("float32"),
            **({"attn_implementation": attention} if attention else {}),
        )
        grown = _grow_embedding(model, encoder, settings.checkpoint)
    if model.config.pad_token_id is None or position_table(model) is None:  # else its positions would move when it is loaded
        model.config.pad_token_id = encoder.pad_token_id
    return model, loading_info, grown


def _grow_embedding(model: Any, encoder: TextEncoder, checkpoint: str) -> int:
    """Give a model's embedding a row for each of the tokenizer's tokens; returns how many were missing."""
    try:
        rows = model.get_input_embeddings().weight.shape[0]
    except (AttributeError, NotImplementedError):  # a model that has no table of tokens
        return 0
    missing = encoder.vocabulary_size - rows
    if missing <= 0:
        return 0
    try:
        model.resize_token_embeddings(encoder.vocabulary_size)
    except Exception as error:
        found = f"a tokenizer of {encoder.vocabulary_size:,} tokens and an embedding of {rows:,} ({model.config.model_type})"
        raise InputError(
            f"a token embedding for each token in {checkpoint}", found, "Give the model's own tokenizer."
        ) from error
    return missing


def position_table(model: Any) -> Any:
    """The learnt positions of a model of RoBERTa's kind, which counts them from the padding token's on; None for every other."""
    tables = (module for name, module in model.named_modules() if name.endswith("position_embeddings"))
    return next((table for table in tables if getattr(table, "padding_idx", None) is not None), None)


def _is_of_labels(name: str, parameter: Any, model: Any, num_labels: int) -> bool:
    """Whether a parameter has a row for each label: the last layer of the head."""
    return not name.startswith(model.base_model_prefix + ".") and parameter.shape[0] == num_labels and ".dense." not in name


def _weights(checkpoint: str, name: str) -> Any:
    """A parameter as a checkpoint has it."""
    import transformers

    with quiet_transformers():
        model = transformers.AutoModelForSequenceClassification.from_pretrained(checkpoint, **weights_as("float32"))
    return dict(model.named_parameters())[name].data
