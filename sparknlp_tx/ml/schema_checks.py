"""Checks of the columns that a stage's Params name, before any Spark job starts."""

from collections.abc import Sequence
from typing import Any

from pyspark.ml.param import Params
from pyspark.sql import DataFrame

from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.spark.named_columns import find_column, same_names

NUMBERS = ("double", "float", "decimal", "long", "integer", "short", "byte")  # types of a column of weights
TEXTS = ("string", "varchar", "char")  # types of a column of texts
OUTPUT_PARAMS = ("rawPredictionCol", "probabilityCol", "predictionCol", "predictedLabelCol")


def column_name(stage: Params, param: str) -> str | None:
    """The column that a Param names; None where the Param is unset or empty."""
    return (stage.getOrDefault(param) if stage.isDefined(param) else None) or None


def text_column_names(stage: Params) -> tuple[str, ...]:
    """Names of the text column and, for pairs, of the second one."""
    return tuple(name for name in (column_name(stage, param) for param in ("textCol", "textPairCol")) if name)


def check_texts(stage: Params, dataset: Any, streams: bool = False) -> None:
    """Raise InputError unless `dataset` is a Spark DataFrame with the text columns.

    Args:
        streams: whether it may be a stream.
    """
    if not hasattr(dataset, "sparkSession") or not hasattr(dataset, "schema"):
        kind = type(dataset)
        remedy = "spark.createDataFrame(df) makes one of a pandas DataFrame; predict(list) takes texts."
        raise InputError("a Spark DataFrame", f"a {kind.__module__}.{kind.__name__}", remedy)
    if not streams and dataset.isStreaming:
        raise InputError("a table", "a stream", "Read it with spark.read; transform takes streams.")
    check_column(stage, dataset, "textCol", TEXTS)
    check_column(stage, dataset, "textPairCol", TEXTS)


def check_column(stage: Params, dataset: DataFrame, param: str, types: Sequence[str] = ()) -> None:
    """Raise InputError unless the column that a Param names is there, and has one of `types` if any are given."""
    name = column_name(stage, param)
    if name is None:
        if param in ("textCol", "labelCol"):
            raise InputError(f"the name of a column ({param})", "none", f"There are: {', '.join(dataset.columns)}.")
        return
    field = find_column(dataset, name, param)
    if field is None:
        raise InputError(f"column {name!r} ({param})", f"columns {', '.join(dataset.columns)}", nearest(name, dataset.columns))
    if types and field.dataType.typeName() not in types:
        raise InputError(
            f"{'string' if types == TEXTS else ' or '.join(types)} in column {name!r} ({param})",
            field.dataType.simpleString(),
            f"Cast it, or set {param}.",
        )


def check_outputs(stage: Params, dataset: DataFrame) -> None:
    """Raise InputError if an output column exists already, or two outputs have one name. Upper and lower case count as equal."""
    given: dict[str, str] = {}
    for param in OUTPUT_PARAMS:
        name = column_name(stage, param)
        if name and (same := same_names(dataset, name)):
            found = f"column {same[0]!r} in the DataFrame"
            raise InputError(f"no column {name!r} yet", found, f"Drop or rename it, or set {param}.")
        if name and name.lower() in given:
            both = f"{name!r} for {given[name.lower()]} and {param}"
            raise InputError(
                "a name of its own for each column of scores", both, "Change one, or set it to '' to leave it out."
            )
        given[(name or "").lower()] = param
