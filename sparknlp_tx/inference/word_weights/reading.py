"""A text as the model reads it: its words, which of them are read, and the text without some of them."""

from collections.abc import Sequence
from typing import NamedTuple

from sparknlp_tx.inference.tokenization import Text, TextEncoder
from sparknlp_tx.inference.word_weights.splitting import Span, without, word_spans


class Reading(NamedTuple):
    """A text as the model reads it.

    Attributes:
        parts: the text, or both of a pair; kept: what of each the model reads. Variants have no more than that: where a word is left
            out, nothing that was cut off moves up.
        words: all words, each with the number of its part; read: which of them the model reads, by index.
    """

    parts: tuple[str, ...]
    kept: tuple[Span, ...]
    words: list[tuple[int, Span]]
    read: list[int]

    def pieces(self, size: int) -> list[range]:
        """The words that are read, by their places in `read`: so many neighbours together."""
        return [range(start, min(start + size, len(self.read))) for start in range(0, len(self.read), size)]

    def text_without(self, left_out: Sequence[int], piece: range | None = None) -> Text:
        """The text, or a piece of it, without words, named by their places in `read`; what a piece has none of is empty."""
        texts = []
        for part, text in enumerate(self.parts):
            spans = [span for number, span in (self.words[self.read[index]] for index in left_out) if number == part]
            texts.append(without(text, spans, self.kept[part] if piece is None else self._piece_of(part, piece)))
        return texts[0] if len(texts) == 1 else (texts[0], texts[1])

    def _piece_of(self, part: int, piece: range) -> Span:
        """From the first of a piece's words in a part to where the next piece begins, so that what stands between belongs to it."""
        own = [self.words[self.read[index]][1] for index in piece if self.words[self.read[index]][0] == part]
        if not own:
            return 0, 0
        following = self.words[self.read[piece.stop]] if piece.stop < len(self.read) else (-1, (0, 0))
        return own[0][0], following[1][0] if following[0] == part else self.kept[part][1]


def readings_of(encoder: TextEncoder, texts: Sequence[Text]) -> list[Reading]:
    """How a model's tokenizer reads some texts."""
    readings = []
    for text, tokens in zip(texts, encoder.token_spans(texts) if texts else [], strict=True):
        parts = text if isinstance(text, tuple) else (text,)
        kept = tuple(_kept(part, own, encoder.truncation_side) for part, own in zip(parts, tokens, strict=True))
        words = [
            (number, span)
            for number, (part, own) in enumerate(zip(parts, tokens, strict=True))
            for span in word_spans(part, sorted(start for start, _ in own))
        ]
        read = [index for index, (part, (start, end)) in enumerate(words) if start < kept[part][1] and end > kept[part][0]]
        readings.append(Reading(parts, kept, words, read))
    return readings


def _kept(text: str, tokens: Sequence[Span], side: str) -> Span:
    """What the tokens cover, and what stands before it, or after it where a text is cut on the left."""
    if not tokens:
        return 0, 0
    return (0, tokens[-1][1]) if side == "right" else (tokens[0][0], len(text))
