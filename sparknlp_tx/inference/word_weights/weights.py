"""Which words decided: words are left out of a text, and the engine says what changes. Knows neither Spark nor torch.

The weight of a word is by how much its label's lead over the best other one falls without it, in logits: occlusion (Zeiler and Fergus 2014, arXiv:1311.2901), of words erasure
(Li, Monroe and Jurafsky 2016, arXiv:1612.08220). The word is removed, not masked: encoders differ in their masks, and some have none.
A text of n words takes n + 2 scorings, in batches.

A long text takes as much as 18 scorings of it, however long it is, in two steps. The words are looked at among their neighbours, in pieces
of 6 words: each piece is scored alone, and the pieces that lean most to a side again without each of their words. The 10 words that told
most there are left out of the whole text; the weights of the others are estimates from their pieces, brought to the same scale.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, DecisionRule
from sparknlp_tx.inference.engine import InferenceEngine
from sparknlp_tx.inference.engine_cache import engine_for
from sparknlp_tx.inference.scorer import rows_of_texts, texts_of
from sparknlp_tx.inference.scoring_settings import ScoringSettings
from sparknlp_tx.inference.tokenization import Text
from sparknlp_tx.inference.word_weights.reading import Reading, readings_of
from sparknlp_tx.inference.word_weights.results import Word, WordWeights

EXACT_WORDS = 64  # up to so many each word is left out of the whole text
PIECE = 6  # words; of longer texts
TELLING = 0.6  # share of the pieces that are looked into
CHECKED = 10  # words that are left out of the whole text
TEXTS_AT_A_TIME = 16  # each makes up to so many variants of itself as it has words
Asking = Generator[list[Text], np.ndarray, "Weights"]  # gives texts, gets how each decision's value is there


class Weights(NamedTuple):
    """Of each word: the weights for each decision, float64 [words, decisions]; whether they are measured, bool [words]."""

    values: np.ndarray
    exact: np.ndarray


class Decision(NamedTuple):
    """A label, by its index, and the best other one; -1 for none."""

    label: int
    runner_up: int

    def value(self, standing: np.ndarray) -> np.ndarray:
        """By how much the label leads in each row of float [n, num_labels]; for a number, the number.

        It leads over whichever other label is the best there: without the word that decided, that is often not the runner-up of the
        whole text, and the lead over that one hardly changes.
        """
        own = standing[:, max(0, self.label)].astype(np.float64)
        return own - np.delete(standing, self.label, axis=1).max(axis=1) if self.runner_up >= 0 else own


def explain_words(
    texts: Sequence[Text | None], scoring: ScoringSettings, label: str | None = None, exact_words: int = EXACT_WORDS
) -> list[WordWeights]:
    """Which words of each text speak for its predicted label and against the others; in this process, with the engine that scores.

    Of several labels a row each predicted one is compared with its threshold; where none is, the one that comes closest. Of a number it
    is the change of the number. Logits are those of the engine's precision: in bfloat16 they differ by some hundredths from float32's.

    Args:
        texts: texts, or (text, pair) tuples; None and empty ones as `scoring.handle_invalid` says: no words, left out, or an error.
        label: explain this label instead, compared with the best other one, or with its threshold.
        exact_words: a text of more words than that is explained with as much as 18 scorings, see the head of this module.

    Raises:
        InputError: no list of texts; a label that there is not.
    """
    width = len(scoring.text_columns)
    rows = rows_of_texts(texts, width)
    checked = texts_of([[row[part] for row in rows] for part in range(width)], scoring.handle_invalid)
    kept = [text for text in checked if text is not None or scoring.handle_invalid != "skip"]
    index = label_index(scoring.decision, label)
    check_exact_words(exact_words)
    engine = engine_for(scoring, scoring.device)
    return list(weigh_words(engine, scoring.decision, kept, index, exact_words))


def label_index(decision: DecisionRule, label: str | None) -> int | None:
    """Which label that is; None for none.

    Raises:
        InputError: the model has no such label.
    """
    if label is None:
        return None
    if decision.problem_type == REGRESSION:
        raise InputError("no label, as the model predicts a number", repr(label), "Leave it out.")
    if label not in decision.labels:
        raise InputError("a label of the model", repr(label), nearest(str(label), decision.labels))
    return list(decision.labels).index(label)


def check_exact_words(exact_words: int) -> None:
    """Raise InputError where that is no number of words."""
    if not isinstance(exact_words, int) or exact_words < 0:
        raise InputError("exact_words of 0 or more", repr(exact_words), "Change it.")


def weigh_words(
    engine: InferenceEngine,
    decision: DecisionRule,
    texts: Sequence[Text | None],
    label: int | None = None,
    exact_words: int = EXACT_WORDS,
) -> Iterator[WordWeights]:
    """The same with an engine, some texts at a time; a None is no text."""
    for start in range(0, len(texts), TEXTS_AT_A_TIME):
        several = texts[start : start + TEXTS_AT_A_TIME]
        standings = decision.standing(engine.predict_logits(several, decision.margin))  # the labels are those of `transform`
        given = [number for number, text in enumerate(several) if text is not None]
        readings = readings_of(engine.encoder, [several[number] for number in given])  # type: ignore[misc]
        decisions = [_decisions(decision, standings[number], label) for number in given]
        asking = [_weights(reading, own, exact_words) for reading, own in zip(readings, decisions, strict=True)]
        found = _answered(asking, lambda asked: decision.standing(engine.predict_logits(asked, _no_second_look)))
        explained = iter(zip(readings, decisions, found, strict=True))
        for text, standing in zip(several, standings, strict=True):
            yield (
                WordWeights(None, None, None, float("nan"), ())
                if text is None
                else _result(decision, text, standing, *next(explained))
            )


def _no_second_look(logits: np.ndarray) -> np.ndarray:
    """A margin beyond each bound: some variants at another precision than the others would pass for weights of words."""
    return np.full(len(logits), np.inf, np.float32)


def _decisions(decision: DecisionRule, standing: np.ndarray, label: int | None) -> list[Decision]:
    """What there is to explain about a text, by how its labels stand: float [num_labels]; the clearest decision first."""
    if decision.problem_type == REGRESSION:
        return [Decision(-1, -1)]
    order = np.argsort(-standing, kind="stable").tolist()
    if decision.problem_type == MULTI:
        predicted = [index for index in order if standing[index] > 0] or order[:1]
        return [Decision(index, -1) for index in (predicted if label is None else [label])]
    chosen = order[0] if label is None else label
    return [Decision(chosen, next((index for index in order if index != chosen), -1))]


def _answered(asking: list[Asking], answer: Callable[[list[Text]], np.ndarray]) -> list[Weights]:
    """Run several explanations side by side: what all of them ask for next is scored together."""
    found: dict[int, Weights] = {}
    asked = {number: next(one) for number, one in enumerate(asking)}
    while asked:
        standings = answer([text for texts in asked.values() for text in texts])
        following, start = {}, 0
        for number, texts in asked.items():
            try:
                following[number] = asking[number].send(standings[start : start + len(texts)])
            except StopIteration as end:
                found[number] = end.value
            start += len(texts)
        asked = following
    return [found[number] for number in range(len(asking))]


def _weights(reading: Reading, decisions: list[Decision], exact_words: int) -> Asking:
    """The weights of the words that are read, the text's own value first."""

    def values(standings: np.ndarray) -> np.ndarray:
        return np.stack([decision.value(standings) for decision in decisions], axis=1)

    guesses = np.zeros((len(reading.read), len(decisions)))
    exact = np.ones(len(guesses), bool)
    if len(guesses) > exact_words:
        guesses = yield from _guesses(reading, values)
        exact[:] = False
        exact[np.argsort(-_strength(guesses), kind="stable")[:CHECKED]] = True
    checked = np.flatnonzero(exact)
    found = values((yield [reading.text_without([]), *(reading.text_without([index]) for index in checked.tolist())]))
    weights = found[0] - found[1:]
    squares = (guesses[checked] ** 2).sum(axis=0)
    scale = np.clip((weights * guesses[checked]).sum(axis=0) / np.where(squares > 0, squares, 1), 0, 1)
    guesses *= scale
    guesses[checked] = weights
    return Weights(guesses, exact)


def _guesses(reading: Reading, values: Callable[[np.ndarray], np.ndarray]) -> Generator[list[Text], np.ndarray, np.ndarray]:
    """What each word does in a piece of the text: float64 [words, decisions]; 0 in the pieces that lean to no side."""
    pieces = reading.pieces(PIECE)
    alone = values((yield [reading.text_without([], piece) for piece in pieces]))
    telling = np.argsort(-_strength(alone - np.median(alone, axis=0)), kind="stable")[: int(np.ceil(TELLING * len(pieces)))]
    asked = [(number, index) for number in telling.tolist() for index in pieces[number]]
    left = values((yield [reading.text_without([index], pieces[number]) for number, index in asked]))
    guesses = np.zeros((len(reading.read), alone.shape[1]))
    for (number, index), value in zip(asked, left, strict=True):
        guesses[index] = alone[number] - value
    return guesses


def _strength(values: np.ndarray) -> np.ndarray:
    """The largest of a row's values, float [n, decisions], each in units of its decision: float [n]."""
    units = np.sqrt((values**2).mean(axis=0))
    return np.abs(values / np.where(units > 0, units, 1)).max(axis=1)


def _result(
    decision: DecisionRule, text: Text, standing: np.ndarray, reading: Reading, decisions: list[Decision], weights: Weights
) -> WordWeights:
    """The weights as they are given; of several decisions the first, and the others beside it."""
    plain = [Word(reading.parts[part][start:end], start, end, 0.0, part, read=False) for part, (start, end) in reading.words]
    found = []
    for number, one in enumerate(decisions):
        words = list(plain)
        for index, weight, exact in zip(reading.read, weights.values[:, number].tolist(), weights.exact.tolist(), strict=True):
            words[index] = replace(words[index], weight=weight, read=True, exact=exact)
        label, runner_up = (decision.labels[index] if index >= 0 else None for index in one)
        found.append(WordWeights(text, label, runner_up, float(one.value(standing[None])[0]), tuple(words)))
    return replace(found[0], others=tuple(found[1:]))
