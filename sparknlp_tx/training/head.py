"""The layers above the encoder: their learning rates, and which layers are trained at all."""

from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError

if TYPE_CHECKING:
    from sparknlp_tx.training.settings import TrainingSettings


def head_rates(model: Any, new: set[str], settings: "TrainingSettings") -> dict[str, float]:
    """The peak learning rate of each parameter above the encoder's layers, by its name.

    Args:
        new: names of the parameters that the checkpoint did not bring. A pooler that it did has a rate of its own.
    """
    pooler = model.base_model_prefix + ".pooler."
    return {
        name: settings.pooler_learning_rate if name.startswith(pooler) and name not in new else settings.head_learning_rate
        for name in head_parameters(model)
    }


def head_parameters(model: Any) -> set[str]:
    """Names of the parameters above the encoder's layers: the classification head, and the pooler where there is one."""
    body = model.base_model_prefix + "."
    return {
        name for name, _ in model.named_parameters() if not name.startswith(body) or name[len(body) :].startswith("pooler.")
    }


def freeze(model: Any, train_layers: str) -> None:
    """Leave only some layers to be trained: `all`, `head`, or `last:N`, the head and the last N layers of the encoder.

    Raises:
        InputError: the model has no list of layers.
    """
    import torch

    if train_layers == "all":
        return
    layers = max((m for m in model.base_model.modules() if isinstance(m, torch.nn.ModuleList)), key=len, default=None)
    last = int(train_layers.partition(":")[2] or 0)
    if layers is None or last > len(layers):
        found = f"{len(layers) if layers is not None else 'no list of'} layers"
        raise InputError(
            f"a model with at least {last} layers, for trainLayers={train_layers!r}", found, "Take 'all' or 'head'."
        )
    kept = {id(parameter) for layer in list(layers)[len(layers) - last :] for parameter in layer.parameters()}
    head = head_parameters(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name in head or id(parameter) in kept
