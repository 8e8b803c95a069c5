"""Whether models can be compared on a table: one task, the same labels, labels that all of them know. Checked before any is scored."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.data.label_columns import true_labels
from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.evaluation.measure import is_unknown
from sparknlp_tx.inference.decision_rules import REGRESSION
from sparknlp_tx.spark.named_columns import column_of, find_column

if TYPE_CHECKING:
    from sparknlp_tx.ml.model import TransformerClassificationModel

SLICES = 200  # values of a column that makes slices


def check_comparable(models: Mapping[str, "TransformerClassificationModel"]) -> None:
    """Raise InputError where models are of other tasks, or of other labels, than the first."""
    (first, one), *others = models.items()
    for name, other in others:
        if other.decision.problem_type != one.decision.problem_type:
            found = f"{one.decision.problem_type} of {first}, {other.decision.problem_type} of {name}"
            raise InputError("models of one kind of task", found, "Compare models that were trained for the same.")
        if set(other.labels) != set(one.labels):
            differ = [
                f"{_listed(set(a.labels) - set(b.labels))} of {owner} alone"
                for a, b, owner in ((one, other, first), (other, one, name))
                if set(a.labels) - set(b.labels)
            ]
            raise InputError("models of the same labels", "; ".join(differ), "Train them on the same labels.")


def check_slices(df: DataFrame, columns: Sequence[str]) -> None:
    """Check the columns that make slices, in one small job.

    Raises:
        InputError: a column is not there, or has too many values.
    """
    for name in columns:
        if find_column(df, name) is None:
            raise InputError(f"a column {name!r} to make slices", "no such column", nearest(name, df.columns))
    if not columns:
        return
    counts = df.agg(*(F.approx_count_distinct(column_of(df, name)).alias(str(n)) for n, name in enumerate(columns))).collect()[
        0
    ]
    for name, values in zip(columns, counts, strict=True):
        if values > SLICES:
            found = f"about {values:,} in {name!r}"
            raise InputError(
                f"a column of at most {SLICES} values to make slices", found, "Give one of groups: a language, a source."
            )


def check_truth(models: Mapping[str, "TransformerClassificationModel"], df: DataFrame) -> int:
    """Check the labels of a table against the models' columns and labels, in one small job; returns the rows with a label.

    Raises:
        InputError: a model lacks a column, no row has a label, or rows have labels that the models do not know.
    """
    for model in models.values():
        model.check_labelled(df)
    model = next(iter(models.values()))
    truth = true_labels(df, model.getLabelCol(), model.decision)
    regression = model.decision.problem_type == REGRESSION
    unknown = F.lit(False) if regression else is_unknown(truth, model.decision)
    found = df.agg(F.count(truth).alias("labelled"), F.count_if(unknown).alias("unknown")).collect()[0]
    column = model.getLabelCol()
    if not found["labelled"]:
        raise InputError(f"labels in column {column!r}", "none in any row", "Name a labelled table, or set --label-col.")
    if found["unknown"]:
        examples = df.filter(unknown).select(column_of(df, column).cast("string")).distinct().limit(3).collect()
        names = ", ".join(repr(row[0]) for row in examples)
        remedy = "Take rows of the models' labels, or train a model that knows them."
        raise InputError(
            f"labels that the models know in {column!r}: {_listed(model.labels)}",
            f"{names} in {found['unknown']:,} rows",
            remedy,
        )
    return found["labelled"]


def _listed(names: Iterable[str], shown: int = 5) -> str:
    names = sorted(names)
    return ", ".join(map(repr, names[:shown])) + ", ..." * (len(names) > shown)
