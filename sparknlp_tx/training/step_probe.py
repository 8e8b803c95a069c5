"""Some batches of a training, tried for seconds, to nothing: how fast it is, and how much memory it takes."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparknlp_tx.inference.tokenization import Text

if TYPE_CHECKING:
    from sparknlp_tx.training.settings import TrainingSettings

PROBE_SECONDS = 3.0


def try_training(settings: "TrainingSettings", encoder: Any, texts: Sequence[Text], folder: Path) -> dict[str, Any]:
    """Load the checkpoint, and train on batches of some texts, forwards and backwards, for three seconds.

    Returns:
        `device`, `precision`, `parameters` (millions), `load_seconds`, `seconds_per_step`, `memory_mb`: weights, gradients and the
        optimizer's two moments in float32, and what the longest batch keeps for its backward pass.
    """
    import torch

    from sparknlp_tx.inference.transformers_compat import quiet_transformers
    from sparknlp_tx.training.arguments import trainer_arguments, without_launcher
    from sparknlp_tx.training.checkpoint import load_classifier
    from sparknlp_tx.training.fast_dropout import fast_dropout

    begin = time.monotonic()
    with without_launcher():
        args = trainer_arguments(settings, folder / "trainer", False)
    model, _ = load_classifier(settings, encoder, args.device.type)
    model.to(args.device).train()
    loaded = time.monotonic() - begin
    precision = "bfloat16" if args.bf16 else "float16" if args.fp16 else "float32"
    tokens = encoder.encode(list(texts) or ["a text"])
    order = np.argsort(tokens.lengths(), kind="stable")[::-1]  # the longest first: it sets the memory
    size = max(1, min(args.per_device_train_batch_size, len(order)))
    batches = [order[at : at + size] for at in range(0, len(order), size)]
    lower = torch.float16 if precision == "float16" else torch.bfloat16
    full = [batch for batch in batches if len(batch) == size]
    saved: dict[int, int] = {}
    spent: list[float] = []
    with quiet_transformers(), fast_dropout(args.device.type):
        while sum(spent) < PROBE_SECONDS and len(spent) <= 3 * len(full):
            batch = full[(7 * len(spent)) % len(full)]  # the longest, then from all over the lengths
            inputs = {name: torch.from_numpy(array).to(args.device) for name, array in encoder.pad(tokens, batch).items()}
            begin = time.monotonic()
            with torch.autocast(args.device.type, lower, precision != "float32"), _counting({} if spent else saved):
                loss = model(**inputs).logits.float().square().mean()
            loss.backward()
            if args.device.type == "cuda":
                torch.cuda.synchronize()
            spent.append(time.monotonic() - begin)
    parameters = sum(p.numel() for p in model.parameters())
    per_step = float(np.mean(spent[1:] or spent))
    return {
        "device": str(args.device),
        "precision": precision,
        "parameters": round(parameters / 1e6, 1),
        "load_seconds": loaded,
        "seconds_per_step": per_step,
        "memory_mb": int((16 * parameters + sum(saved.values())) / 1e6),
    }


def _counting(saved: dict[int, int]) -> Any:
    """Counts the bytes that a forward pass keeps, by where they lie."""
    import torch

    def keep(tensor: "torch.Tensor") -> "torch.Tensor":
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    return torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
