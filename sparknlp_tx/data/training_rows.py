"""The columns and rows of a DataFrame that a fit works on."""

from typing import Any, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.data.label_columns import label_name, label_names
from sparknlp_tx.data.label_counts import LabelCounts, learn_labels
from sparknlp_tx.data.text_columns import invalid_text, text_column
from sparknlp_tx.inference.decision_rules import MULTI, SINGLE
from sparknlp_tx.spark.named_columns import column_of


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
        """The columns under the names that `fine_tune` reads, labels as their names, targets as doubles."""
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


def fingerprint(df: DataFrame, columns: TrainingColumns) -> dict[str, Any]:
    """The number of rows to train on and a hash of them all, whatever their order; one aggregation."""
    rows = columns.select(df)
    row = rows.agg(
        F.count(F.lit(1)).alias("rows"), F.sum(F.xxhash64(*rows.columns).cast("decimal(38,0)")).cast("string").alias("hash")
    ).collect()[0]
    return row.asDict()
