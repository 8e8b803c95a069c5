"""The columns and rows of a DataFrame that a fit works on: texts, labels, weights, and which rows are for validation."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparknlp_tx import splits
from sparknlp_tx.decisions import MULTI, SINGLE
from sparknlp_tx.labels import LabelCounts, label_name, label_names, learn_labels
from sparknlp_tx.named_columns import column_of, find_column
from sparknlp_tx.spark_versions import valid_utf8

VALIDATION = "__validation"


class TrainingColumns(NamedTuple):
    """Names of the columns to train on, None where there is none; and the kind of task."""

    text: str
    label: str
    text_pair: str | None = None
    weight: str | None = None
    validation: str | None = None
    problem_type: str = SINGLE

    @property
    def texts(self) -> tuple[str, ...]:
        """Names of the text column and, for pairs, of the second one."""
        return (self.text, self.text_pair) if self.text_pair else (self.text,)

    def learn_labels(self, df: DataFrame) -> LabelCounts:
        """The labels of a table, in one aggregation.

        Raises:
            InputError: they cannot be learnt from; says why, and what to do.
        """
        held_out = F.coalesce(column_of(df, self.validation), F.lit(False)) if self.validation else F.lit(False)
        weight = column_of(df, self.weight).cast("double") if self.weight else F.lit(1.0)
        if self.validation:  # validation rows need no weight
            weight = F.when(held_out, 1.0).otherwise(weight)
        invalid = invalid_text(df, self.texts)
        characters = sum((F.length(column_of(df, name)) for name in self.texts), F.lit(0))
        return learn_labels(df, self.label, self.problem_type, invalid, held_out, weight, characters)

    def select(self, df: DataFrame) -> DataFrame:
        """The columns under the names that `training.fine_tune` reads, labels as their names, targets as doubles."""
        named = {SINGLE: label_name, MULTI: label_names}.get(self.problem_type)
        label = named(self.label, df) if named else column_of(df, self.label).cast("double")
        columns = {"text": text_column(df, self.text), "label": label}
        if self.text_pair:
            columns["text_pair"] = text_column(df, self.text_pair)
        if self.weight:
            columns["weight"] = F.coalesce(
                column_of(df, self.weight).cast("double"), F.lit(1.0)
            )  # validation rows may have none
        if self.validation:
            columns["validation"] = F.coalesce(column_of(df, self.validation), F.lit(False))
        return df.select(*(column.alias(name) for name, column in columns.items()))


def carve_validation(df: DataFrame, columns: TrainingColumns, fraction: float, seed: int) -> tuple[DataFrame, TrainingColumns]:
    """Mark a part of the rows for validation, of each label the same part where a row has one.

    Which rows hangs on their texts, their label and the seed alone; equal texts of a label stay on one side.
    """
    drawn = splits.draw(seed, [column_of(df, name) for name in columns.texts])
    place = splits.place(drawn, column_of(df, columns.label) if columns.problem_type == SINGLE else None)
    return df.withColumn(VALIDATION, place <= fraction), columns._replace(validation=VALIDATION)


def joined_validation(train: DataFrame, validation: DataFrame, columns: Sequence[str]) -> DataFrame:
    """The rows of two tables, the second one's marked for validation; validation rows may lack a weight.

    Args:
        columns: those to train on; both tables have them.
    """
    marked = []
    for df, held_out in ((train, False), (validation, True)):
        there = [column_of(df, name).alias(name) for name in columns if find_column(df, name)]
        marked.append(df.select(*there, F.lit(held_out).alias(VALIDATION)))
    return marked[0].unionByName(marked[1], allowMissingColumns=True)


def invalid_text(df: DataFrame, texts: Sequence[str]) -> Column:
    """Whether a row has no text to work with: null or empty, or so its second text."""
    return reduce(or_, (F.coalesce(column_of(df, name), F.lit("")) == "" for name in texts))


def text_column(df: DataFrame, name: str) -> Column:
    """A text column; bytes in it that are no UTF-8, as a cast from binary can leave them, become U+FFFD."""
    return valid_utf8(column_of(df, name))


def fingerprint(df: DataFrame, columns: TrainingColumns) -> dict[str, Any]:
    """The number of rows to train on and a hash of them all, whatever their order; one aggregation."""
    rows = columns.select(df)
    row = rows.agg(
        F.count(F.lit(1)).alias("rows"), F.sum(F.xxhash64(*rows.columns).cast("decimal(38,0)")).cast("string").alias("hash")
    ).collect()[0]
    return row.asDict()
