"""Texts to words as a reader sees them, by their places in the text; and texts without some of them.

A word is a run of letters, digits and the marks on them; apostrophes and hyphens inside it belong to it (`don't`, `e-mail`), and so do
dots and commas between digits (`1,000.5`). A run of emoji is a word; punctuation is none. Scripts that put no spaces between words
(Chinese, Japanese, Thai, Lao, Khmer, Burmese) are cut where the model's tokenizer cuts them: into what the model itself reads as units.
"""

import re
import sys
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

Span = tuple[int, int]  # first character and the one after the last

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uaa60-\uaa7f"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_EMOJI = "\u2190-\u21ff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_JOINERS = "\u200c\u200d"  # invisible characters inside words of Persian and Hindi, and inside emoji


@lru_cache(1)
def _patterns() -> tuple[re.Pattern, re.Pattern]:
    """Words and emoji; and runs of scripts without spaces. `\\w` lacks the marks that are vowels in many scripts."""
    marks = "".join(chr(code) for code in range(sys.maxunicode // 8) if unicodedata.category(chr(code))[0] == "M")
    letters = rf"[\w{marks}{_JOINERS}]"
    word = rf"\w{letters}*(?:(?:['’\-‐‑]|(?<=\d)[.,](?=\d))\w{letters}*)*"
    emoji = rf"[{_EMOJI}][{_EMOJI}{marks}{_JOINERS}]*"
    return re.compile(f"{word}|{emoji}"), re.compile(rf"[{_UNSPACED}][{_UNSPACED}{marks}]*")


def word_spans(text: str, token_starts: Sequence[int] = ()) -> list[Span]:
    """The words of a text, in their order.

    Args:
        token_starts: where the tokenizer's tokens begin, in order; for scripts without spaces.
    """
    words, unspaced = _patterns()
    spans: list[Span] = []
    for found in words.finditer(text):
        begin = found.start()
        for run in unspaced.finditer(text, *found.span()):
            if begin < run.start():
                spans.append((begin, run.start()))
            inside = token_starts[bisect_left(token_starts, run.start() + 1) : bisect_left(token_starts, run.end())]
            cuts = (cut for cut in inside if unicodedata.category(text[cut])[0] != "M")
            edges = sorted({run.start(), *cuts, run.end()})
            spans.extend(pairwise(edges))
            begin = run.end()
        if begin < found.end():
            spans.append((begin, found.end()))
    return spans


def without(text: str, spans: Sequence[Span], within: Span) -> str:
    """A piece of a text without some of its words; of the space around each, one side goes with it."""
    parts, end = [], within[0]
    for start, stop in spans:
        parts.append(text[end : max(start, end)])
        at_space = start <= within[0] or text[start - 1].isspace()
        end = min(stop, within[1])
        while at_space and end < within[1] and text[end].isspace():
            end += 1
    return "".join([*parts, text[end : within[1]]])
