"""How fast models score on this machine, measured in turn: what one shares with the others, noise included, cancels out."""

import time
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from sparknlp_tx.inference.tokenization import Text

if TYPE_CHECKING:
    from sparknlp_tx.ml.model import TransformerClassificationModel

Name = TypeVar("Name", bound=Hashable)
ROUNDS = 3
SECONDS = 10.0  # of measuring a model, about, at most
TURN_SECONDS = 0.5  # that each model has at least in each round: in less, another process decides


def rows_per_second(
    models: "Mapping[Name, TransformerClassificationModel]",
    texts: Sequence[Text],
    rounds: int = ROUNDS,
) -> dict[Name, float]:
    """Rows a second of each model's engine in this process, the best of some rounds in which they take turns.

    Args:
        models: by name; each scores as its Params say.
        texts: some hundred real ones, or (text, pair) tuples; models that would take longer than some seconds get fewer.
    """
    some: dict[Name, Sequence] = {}
    for name, model in models.items():
        model.predict(texts[:8])  # loads it
        begin = time.perf_counter()
        model.predict(texts[:32])
        rate = min(32, len(texts)) / (time.perf_counter() - begin)
        some[name] = texts[: max(32, int(rate * SECONDS / rounds))]
    best = dict.fromkeys(models, 0.0)
    for _ in range(rounds):
        for name, model in models.items():
            begin, seconds, scored = time.perf_counter(), 0.0, 0
            while seconds < TURN_SECONDS:
                model.predict(some[name])
                scored += len(some[name])
                seconds = time.perf_counter() - begin
            best[name] = max(best[name], scored / seconds)
    return best
