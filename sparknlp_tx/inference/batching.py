"""Which texts go into which batch, by their numbers of tokens alone."""

import numpy as np

from sparknlp_tx.inference.packing import PACKED_TOKENS, Layout, row_width

TOKENS_PER_BATCH = {"cpu": 1_024, "cuda": 16_384}
BATCH_COST = {"cpu": 64, "cuda": 4_096}  # what a batch costs besides its tokens, in tokens; less padding is worth another batch
ROWS_STEP = 4  # batches are made smaller in such steps: few shapes, as each new one costs OpenVINO some milliseconds
SMALL_BATCH, TOKENS_STEP = 32, 4  # batches of fewer rows are padded in such steps for the same reason
SHORT, SHORT_WIDTH = 32, 64  # texts of so few tokens lie side by side in rows of so many, where the backend `packs`


class Batching:
    """Cuts texts into batches of so many tokens at most, padding included.

    Args:
        tokens_per_batch: the budget; a single text that is longer makes a batch, too.
        device: `cpu` or `cuda`, perhaps with a number: what a batch costs.

    Attributes:
        tokens_per_batch: the budget, which its owner may lower.
    """

    def __init__(self, tokens_per_batch: int, device: str):
        self.tokens_per_batch = tokens_per_batch
        self._batch_cost = BATCH_COST[device.partition(":")[0]]

    def next_rows(self, lengths: np.ndarray) -> int:
        """How many of the remaining texts go into the next batch that is padded.

        As many as the budget takes; fewer where the rest would be padded by more tokens than another batch costs.

        Args:
            lengths: of the remaining texts in tokens, longest first: int64 [n].
        """
        longest = max(1, int(lengths[0]))
        size = min(len(lengths), max(1, self.tokens_per_batch // longest))
        sizes = np.arange(ROWS_STEP, size, ROWS_STEP)
        spared = (longest - lengths[sizes]) * (size - sizes)
        return int(sizes[spared.argmax()]) if len(sizes) and spared.max() > self._batch_cost else size

    def step(self, rows: int, longest: int) -> int:
        """Padding multiple in tokens: 4 for small batches, for fewer distinct shapes, else 1."""
        padded = -(-longest // TOKENS_STEP) * TOKENS_STEP
        return TOKENS_STEP if rows < SMALL_BATCH and rows * padded <= self.tokens_per_batch else 1

    def layout(self, lengths: np.ndarray) -> Layout | None:
        """How the shortest texts lie side by side: the short ones, or all the last that make one batch; None where padding costs less.

        Args:
            lengths: of the texts in tokens, longest first: int64 [n].
        """
        in_one_batch = np.cumsum(lengths[::-1])[::-1] <= min(self.tokens_per_batch, PACKED_TOKENS)
        first_short, first_of_batch = int((lengths > SHORT).sum()), int((~in_one_batch).sum())
        first = min(first_short, first_of_batch)
        if len(lengths) - first < 2:
            return None
        width = SHORT_WIDTH if first_short < first_of_batch else row_width(int(lengths[first]))
        if width > self.tokens_per_batch:
            return None
        layout = Layout.of(lengths[first:], width)
        rows = len(layout.texts)
        batches = -(-rows // (self.tokens_per_batch // width))
        packed_cost = rows * width + batches * self._batch_cost
        return layout if self._padded_cost(lengths[:first]) + packed_cost <= self._padded_cost(lengths) else None

    def _padded_cost(self, lengths: np.ndarray) -> int:
        """What such texts cost in batches that are padded, in tokens."""
        cost, start = 0, 0
        while start < len(lengths):
            size = self.next_rows(lengths[start:])
            cost += size * int(lengths[start]) + self._batch_cost
            start += size
        return cost
