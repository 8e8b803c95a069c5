"""What a stage checks of the columns of a DataFrame, before any job starts; a mixin to its Params."""

from collections.abc import Sequence
from typing import Any

from pyspark.ml.param import Params
from pyspark.sql import DataFrame

from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.spark.named_columns import find_column, same_names

NUMBERS = ("double", "float", "decimal", "long", "integer", "short", "byte")  # types of a column of weights
TEXTS = ("string", "varchar", "char")  # types of a column of texts
OUTPUT_PARAMS = ("rawPredictionCol", "probabilityCol", "predictionCol", "predictedLabelCol")


class SchemaChecks(Params):
    """Checks of the columns that Params name."""

    def _column(self, name: str) -> str | None:
        """The column that a Param names; None where the Param is unset or empty."""
        return (self.getOrDefault(name) if self.isDefined(name) else None) or None

    def _check_outputs(self, dataset: DataFrame) -> None:
        """Raise InputError where an output column is there already, or is named twice, be it in other capitals."""
        given: dict[str, str] = {}
        for param in OUTPUT_PARAMS:
            name = self._column(param)
            if name and (same := same_names(dataset, name)):
                found = f"column {same[0]!r} in the DataFrame"
                raise InputError(f"no column {name!r} yet", found, f"Drop or rename it, or set {param}.")
            if name and name.lower() in given:
                both = f"{name!r} for {given[name.lower()]} and {param}"
                raise InputError(
                    "a name of its own for each column of scores", both, "Change one, or set it to '' to leave it out."
                )
            given[(name or "").lower()] = param

    def _check_column(self, dataset: DataFrame, param: str, types: Sequence[str] = ()) -> None:
        """Raise InputError unless the column that a Param names is there, and of one of the types where some are given."""
        name = self._column(param)
        if name is None:
            if param in ("textCol", "labelCol"):
                raise InputError(f"the name of a column ({param})", "none", f"There are: {', '.join(dataset.columns)}.")
            return
        field = find_column(dataset, name, param)
        if field is None:
            raise InputError(
                f"column {name!r} ({param})", f"columns {', '.join(dataset.columns)}", nearest(name, dataset.columns)
            )
        if types and field.dataType.typeName() not in types:
            raise InputError(
                f"{'string' if types == TEXTS else ' or '.join(types)} in column {name!r} ({param})",
                field.dataType.simpleString(),
                f"Cast it, or set {param}.",
            )

    def _dataset(self, dataset: Any, streams: bool = True) -> DataFrame:
        """What was given to score or to fit on.

        Raises:
            InputError: it is no DataFrame of Spark's, or a stream that is not wanted.
        """
        if not hasattr(dataset, "sparkSession") or not hasattr(dataset, "schema"):
            kind = type(dataset)
            remedy = "spark.createDataFrame(df) makes one of pandas'; predict(list) takes texts."
            raise InputError("a DataFrame of Spark's", f"a {kind.__module__}.{kind.__name__}", remedy)
        if not streams and dataset.isStreaming:
            raise InputError("a table", "a stream", "Read it with spark.read; transform takes streams.")
        return dataset

    def _check_texts(self, dataset: DataFrame) -> None:
        self._check_column(dataset, "textCol", TEXTS)
        self._check_column(dataset, "textPairCol", TEXTS)
