"""Which rows of a table are held out: one rule, so that each row is in exactly one part, whatever the partitions and the order."""

from collections.abc import Sequence

from pyspark.sql import Column, Window
from pyspark.sql import functions as F

PLACES = 1_000_000


def draw(seed: int, texts: Sequence[Column]) -> Column:
    """A number for each row that its texts and the seed decide: equal texts have the same."""
    return F.xxhash64(F.lit(seed), *(F.coalesce(text, F.lit("")) for text in texts))


def place(drawn: Column, label: Column | None = None) -> Column:
    """Where a row stands, above 0 and at most 1: among the rows of its label, or, without one, among all.

    Args:
        drawn: what `draw` gives.
        label: rows of each label are spread evenly.
    """
    if label is not None:
        return F.cume_dist().over(Window.partitionBy(label).orderBy(drawn))
    return (F.pmod(drawn, F.lit(PLACES)) + 1) / PLACES
