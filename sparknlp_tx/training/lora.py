"""Low-rank adapters (LoRA, arXiv:2106.09685) through `peft`: large models trained by a small part of their parameters.

Knows neither Spark nor MLflow.
"""

import importlib.util
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError
from sparknlp_tx.training.head import head_parameters

if TYPE_CHECKING:
    import peft

LORA_RATE = 10  # times learningRate: adapters want about that, https://thinkingmachines.ai/blog/lora


def check_peft() -> None:
    """Raise InputError where `peft` is not installed."""
    if importlib.util.find_spec("peft") is None:
        raise InputError("peft, for loraRank", "none installed", "pip install 'sparknlp_tx[peft]', or set loraRank to 0.")


def add_lora(model: Any, rank: int) -> "peft.LoraModel":
    """Put adapters beside the linear layers of a classifier's encoder, in place; they and the head are what is trained.

    Args:
        rank: of the adapters; their scale is 2, the usual `lora_alpha = 2 * rank`.

    Returns:
        What merges them again: `.merge_and_unload()` gives the plain model.
    """
    import peft
    import torch
    from transformers.pytorch_utils import Conv1D

    head = head_parameters(model)
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D)) and f"{name}.weight" not in head
    ]
    lora = peft.LoraModel(model, peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=linear), "default")
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name in head or ".lora_" in name
    return lora
