"""Columns by their names, as Spark resolves them.

A name that a DataFrame has is taken literally, dots and backticks included. Otherwise upper and lower case are equal, unless
`spark.sql.caseSensitive` is true, and a name with dots is a field of a struct: `doc.text`.
"""

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField

from sparknlp_tx.errors import InputError
from sparknlp_tx.spark.compat import setting


def named(name: str) -> Column:
    """The column of exactly this name, dots and backticks included."""
    return F.col("`" + name.replace("`", "``") + "`")


def find_column(df: DataFrame, name: str | None, param: str = "") -> StructField | None:
    """The field that a name stands for, its type and what Spark keeps with it; None where there is none.

    Args:
        param: the Param that names it, for the error.

    Raises:
        InputError: more than one column has that name.
    """
    if not name:
        return None
    same = same_names(df, name)
    if len(same) > 1:
        remedy = "Rename or drop the others."
        if name in same and len(set(same)) == len(same):
            remedy = "Rename or drop the others, or set spark.sql.caseSensitive to true."
        raise InputError(
            f"one column {name!r}" + f" ({param})" * bool(param), f"{len(same)} of them: {', '.join(same)}", remedy
        )
    if same:
        return df.schema[same[0]]
    if ("." not in name and "`" not in name) or name.endswith("*"):
        return None
    try:
        return df.select(F.col(name)).schema[0]
    except AnalysisException:
        return None


def column_of(df: DataFrame, name: str) -> Column:
    """The column, or the field of a struct, that `find_column` finds."""
    return named(name) if same_names(df, name) else F.col(name)


def same_names(df: DataFrame, name: str) -> list[str]:
    """The columns of a DataFrame that Spark takes for one of this name."""
    same = [other for other in df.columns if other.lower() == name.lower()]
    if any(other != name for other in same) and setting(df.sparkSession, "spark.sql.caseSensitive", "false") == "true":
        return [other for other in same if other == name]
    return same
