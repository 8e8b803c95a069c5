"""What explaining a text gives: its words with their weights; shown in a terminal, in a notebook, and as JSON."""

import html
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from sparknlp_tx.inference.tokenization import Text

SHOWN = 8  # words in a terminal
FOR, AGAINST = "37,99,235", "220,38,38"  # blue and red; laid thinly over whatever background there is, light or dark


@dataclass(frozen=True)
class Word:
    """A word, its place in the text, and what it speaks for.

    Attributes:
        text: as it is written; start, end: its first character and the one after the last.
        weight: by how much the decision falls where the word is left out; positive speaks for the label.
        part: 0 in the text, 1 in the second text of a pair.
        read: whether the model reads it; what is beyond `maxLength` tokens it does not, and the weight is 0.
        exact: whether the word was left out of the text alone; else its weight is an estimate.
    """

    text: str
    start: int
    end: int
    weight: float
    part: int = 0
    read: bool = True
    exact: bool = True


@dataclass(frozen=True, repr=False)
class WordWeights:
    """Which words decided about a text; with a readable `repr`, and in notebooks in colour.

    Attributes:
        text: the text, or the (text, pair) tuple; None where there was none.
        label: that the weights speak for; None for a number, and where there is no text.
        runner_up: the label that it is compared with; None where each label stands for itself.
        margin: by how much, in logits and thresholds included, `label` leads over `runner_up`, or is above its threshold; negative where
            it is not predicted. For regression the predicted number.
        words: in their order.
        others: the same for the other labels that are predicted, where there may be several.
    """

    text: Text | None
    label: str | None
    runner_up: str | None
    margin: float
    words: tuple[Word, ...]
    others: tuple["WordWeights", ...] = ()

    def leading(self, number: int = SHOWN) -> list[Word]:
        """The words of the largest weights, whatever their sign; the largest first."""
        return sorted(self.words, key=lambda word: -abs(word.weight))[:number]

    def as_dict(self) -> dict[str, Any]:
        """All of it as a JSON object; `margin` is None where there is no text."""
        return asdict(self) | {"margin": self.margin if self.text is not None else None}

    def _title(self) -> str:
        if self.text is None:
            return "no text"
        if self.label is None:
            return f"predicted {self.margin:.3g}"
        side = "over" if self.margin >= 0 else "under"
        return f"{self.label}: {abs(self.margin):.2f} {side} {self.runner_up or 'its threshold'}"

    def __repr__(self) -> str:
        lines = [self._title()]
        lines += [f"  {word.weight:+8.3f}  {word.text}{'' if word.exact else '  (estimated)'}" for word in self.leading()]
        left = len(self.words) - SHOWN
        lines += [f"            and {left:,} words of less weight"] if left > 0 else []
        return "\n".join([*lines, *map(repr, self.others)])

    def _repr_html_(self) -> str:
        most = max((abs(word.weight) for word in self.words), default=0.0) or 1.0
        parts = (self.text if isinstance(self.text, tuple) else (self.text,)) if self.text is not None else ()
        words = {part: list(found) for part, found in groupby(self.words, lambda word: word.part)}
        marked = "".join(f"<p>{_marked(text, words.get(part, []), most)}</p>" for part, text in enumerate(parts))
        others = "".join(other._repr_html_() for other in self.others)
        return f"<div><b>{html.escape(self._title())}</b>{marked}</div>{others}"


def _marked(text: str, words: list[Word], most: float) -> str:
    """A text as HTML: blue what speaks for the label, red what speaks against it."""
    pieces, end = [], 0
    for word in words:
        pieces.append(html.escape(text[end : word.start]))
        strength = 0.6 * abs(word.weight) / most
        colour = f"background:rgba({FOR if word.weight > 0 else AGAINST},{strength:.2f})" if word.read else "opacity:0.5"
        title = f"{word.weight:+.3f}" + ("" if word.exact else ", estimated") if word.read else "not read"
        pieces.append(f'<span style="{colour}" title="{title}">{html.escape(word.text)}</span>')
        end = word.end
    return "".join(pieces) + html.escape(text[end:])
