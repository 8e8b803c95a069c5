"""Short texts side by side in the rows of a batch, each seen by itself alone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sparknlp_tx.inference.tokenization import TextEncoder, Tokens

SLOTS_STEP = 4  # how many texts a row could hold is a multiple of this: few shapes
FAR_BELOW = np.float32(-1e9)  # added to an attention's score leaves nothing of it, in bfloat16 as well
PACKED_TOKENS, WIDTH_STEP = 1_024, 32  # so do texts that make one batch together, in rows of a multiple of so many tokens


def row_width(longest: int) -> int:
    """How many tokens wide rows are in which texts of up to so many lie side by side, unless all of the texts are short."""
    return -(-longest // WIDTH_STEP) * WIDTH_STEP


class Layout(NamedTuple):
    """Which texts lie side by side in each row, and how many tokens long all rows are."""

    texts: list[list[int]]
    width: int

    @classmethod
    def of(cls, lengths: Sequence[int] | np.ndarray, width: int) -> "Layout":
        """Best fit decreasing, as in Krell et al., "Efficient Sequence Packing without Cross-contamination" (arXiv:2107.02027).

        Args:
            lengths: of the texts in tokens, longest first.
            width: tokens in a row, no fewer than the longest text has.
        """
        texts: list[list[int]] = []
        free: list[list[int]] = [[] for _ in range(width + 1)]  # rows by the tokens that are left in them
        for number, length in enumerate(np.asarray(lengths).tolist()):
            left = next((left for left in range(length, width) if free[left]), width)
            if left == width:
                texts.append([])
            line = free[left].pop() if left < width else len(texts) - 1
            texts[line].append(number)
            free[left - length].append(line)
        return cls(texts, width)


class PackedBatch(NamedTuple):
    """Texts side by side: the inputs, the texts by their numbers in the layout, and which of the logits is each one's, int64 [texts]."""

    inputs: dict[str, np.ndarray]
    texts: np.ndarray
    places: np.ndarray


def arranged(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Padded inputs, one text a row, as a graph takes them that `graph_rewrites.arrange` made; packed ones as they are."""
    if "first_tokens" in inputs:
        return inputs
    rows, tokens = inputs["input_ids"].shape
    return inputs | {
        "position_ids": np.tile(np.arange(tokens), (rows, 1)),
        "attention_mask": np.where(inputs["attention_mask"][:, None, None, :] == 1, np.float32(0), FAR_BELOW),
        "first_tokens": np.zeros((rows, 1), np.int64),
    }


def pack(encoder: TextEncoder, tokens: Tokens, rows: Sequence[int] | np.ndarray, layout: Layout, lines: range) -> PackedBatch:
    """Some texts side by side in the rows of a batch, each seen by itself alone, for a graph that `graph_rewrites.arrange` made.

    Args:
        rows: the texts that were laid out.
        layout: where they are.
        lines: which of the layout's rows the batch holds.
    """
    held = [number for line in lines for number in layout.texts[line]]
    slots = -(-max(len(layout.texts[line]) for line in lines) // SLOTS_STEP) * SLOTS_STEP
    shape = (len(lines), layout.width)
    names = [name for name in encoder.input_names if name in ("input_ids", "token_type_ids")]
    inputs = {name: np.full(shape, encoder.pad_ids[name], np.int64) for name in names}
    inputs["position_ids"], text = np.zeros((2, *shape), np.int64)
    inputs["first_tokens"] = first_tokens = np.zeros((len(lines), slots), np.int64)
    places = []
    for place, line in enumerate(lines):
        begin = 0
        for slot, number in enumerate(layout.texts[line]):
            row = rows[number]
            end = begin + len(tokens.input_ids[row])
            for name in names:
                inputs[name][place, begin:end] = getattr(tokens, name)[row]
            inputs["position_ids"][place, begin:end] = np.arange(end - begin)
            text[place, begin:end] = number + 1
            first_tokens[place, slot] = begin
            places.append(place * slots + slot)
            begin = end
    together = text[:, None, :, None] == text[:, None, None, :]  # what pads a row sees itself: it must see something
    inputs["attention_mask"] = np.where(together, np.float32(0), FAR_BELOW)
    return PackedBatch(inputs, np.asarray(held), np.asarray(places))
