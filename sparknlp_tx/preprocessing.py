"""A checkpoint's tokenizer beside the model, and rows of tokens to what the Trainer takes: padded batches of tensors.

Knows neither Spark nor MLflow.
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparknlp_tx.decisions import MULTI, REGRESSION
from sparknlp_tx.errors import InputError
from sparknlp_tx.metrics import indicators
from sparknlp_tx.tokenization import TextEncoder, Tokens

if TYPE_CHECKING:
    import torch

    from sparknlp_tx.training import TrainingSettings

log = logging.getLogger(__name__)


def save_tokenizer(checkpoint: str, max_length: int | None, output_dir: str | Path) -> TextEncoder:
    """Write the checkpoint's tokenizer with all that `TextEncoder` needs; returns the encoder that reads it back.

    Args:
        max_length: where texts are to be cut; None cuts nowhere.
    """
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:  # causal models, as gpt2, know no padding
        tokenizer.pad_token = tokenizer.eos_token
    positions = getattr(AutoConfig.from_pretrained(checkpoint), "max_position_embeddings", None) or 0
    limit = min(
        tokenizer.model_max_length, (positions // 8 * 8 or positions) if positions > 0 else 10**9
    )  # RoBERTa's 514 serve 512 tokens
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


def tokens_of(rows: dict[str, list]) -> Tokens:
    """The tokens of a part of a data set."""
    return Tokens(rows["input_ids"], rows.get("token_type_ids", []))


def collate(rows: list[dict[str, Any]], encoder: TextEncoder, settings: "TrainingSettings") -> dict[str, "torch.Tensor"]:
    """Rows of tokens to one padded batch of tensors; labels as the loss of the kind of task wants them."""
    import torch

    tokens = Tokens([row["input_ids"] for row in rows], [row.get("token_type_ids", []) for row in rows])
    batch = {name: torch.from_numpy(array) for name, array in encoder.pad(tokens, range(len(rows))).items()}
    batch["labels"] = target_tensor([row["labels"] for row in rows], settings)
    if "weight" in rows[0]:
        batch["weight"] = torch.tensor([row["weight"] for row in rows], dtype=torch.float32)
    return batch


def target_tensor(labels: list, settings: "TrainingSettings") -> "torch.Tensor":
    """Labels as the loss of the kind of task wants them: int64 [n], indicators float32 [n, num_labels], or float32 [n]."""
    import torch

    if settings.problem_type == MULTI:
        return torch.from_numpy(indicators(labels, len(settings.labels)).astype(np.float32))
    return torch.tensor(labels, dtype=torch.float32 if settings.problem_type == REGRESSION else torch.int64)
