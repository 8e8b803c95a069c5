"""Text columns of a DataFrame: as valid UTF-8, and which rows have none."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.spark.compat import valid_utf8
from sparknlp_tx.spark.named_columns import column_of


def invalid_text(df: DataFrame, texts: Sequence[str]) -> Column:
    """Whether a row has no text to work with: null or empty, or so its second text."""
    return reduce(or_, (F.coalesce(column_of(df, name), F.lit("")) == "" for name in texts))


def text_column(df: DataFrame, name: str) -> Column:
    """A text column; bytes in it that are no UTF-8, as a cast from binary can leave them, become U+FFFD."""
    return valid_utf8(column_of(df, name))
