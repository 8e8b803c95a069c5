"""A checkpoint's tokenizer beside the model, and rows of tokens to what the Trainer takes: padded batches of tensors.

Knows neither Spark nor MLflow.
"""

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, indicators
from sparknlp_tx.inference.tokenization import TextEncoder, Tokens

if TYPE_CHECKING:
    import torch

    from sparknlp_tx.training.settings import TrainingSettings

log = logging.getLogger(__name__)


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
