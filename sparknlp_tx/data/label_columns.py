"""What a label column holds: one label a row, several, or a number; which labels there are, in one aggregation of a table.

Labels of one a row: strings, booleans, whole numbers. Of several: `array<string>` of names, or arrays of numbers or booleans that
say of each label whether the row has it (its name is then its position). Numbers: any numeric column, as `problemType` says.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BooleanType, CharType, DataType, NumericType, StringType, StructField, VarcharType

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, SINGLE, DecisionRule
from sparknlp_tx.spark.named_columns import column_of, find_column

WHOLE = 1e38  # doubles below it, and without a fraction, are spelt as whole numbers, as decimals are
LONG = 2.0**63
NAMES = (StringType, VarcharType, CharType)
ONE = (*NAMES, BooleanType, NumericType)


def problem_type_of(df: DataFrame, column: str, asked: str) -> str:
    """The kind of task that a label column and the Param `problemType` make.

    Raises:
        InputError: the column's type does not go with what is asked for.
    """
    kind = label_type(column, df)
    several = isinstance(kind, ArrayType) and isinstance(kind.elementType, ONE)
    if asked == "auto" and (several or isinstance(kind, ONE)):
        return MULTI if several else SINGLE
    fits = {MULTI: several, SINGLE: isinstance(kind, ONE), REGRESSION: isinstance(kind, NumericType)}
    if fits.get(asked):
        return asked
    expected = {
        MULTI: "array<string>, or an array of numbers or booleans,",
        REGRESSION: "a number",
        SINGLE: "a string, a boolean or a number",
        "auto": "a string, a boolean, a number, or an array of one of these",
    }[asked]
    remedy = "Cast it, or set labelCol." if asked == "auto" else "Cast it, or set problemType."
    raise InputError(f"{expected} in column {column!r} (labelCol)", kind.simpleString(), remedy)


def label_type(column: str, df: DataFrame) -> DataType:
    """The type of a label column."""
    return _field(column, df).dataType


def _field(column: str, df: DataFrame) -> StructField:
    field = find_column(df, column)
    assert field is not None  # else `_check_column` had refused it
    return field


def nominal_names(column: str, df: DataFrame) -> list[str]:
    """The names of a numeric label column's values 0, 1, ..., where Spark ML keeps them with it, as `StringIndexer` does."""
    field = _field(column, df)
    return (field.metadata or {}).get("ml_attr", {}).get("vals", []) if isinstance(field.dataType, NumericType) else []


def label_name(column: str, df: DataFrame) -> Column:
    """A label column as the names that models use: those that Spark ML knows; a double of a whole number loses its `.0`.

    Where Spark ML knows names, a number that is no position of one is no label: it keeps its spelling, in angle brackets.
    """
    value, names = column_of(df, column), nominal_names(column, df)
    name = _name(value, label_type(column, df))
    if not names:
        return name
    place = (value == F.floor(value)) & value.between(0, len(names) - 1)
    known = F.get(F.array(*map(F.lit, names)), F.when(place, value).cast("int"))
    return F.when(value.isNotNull(), F.coalesce(known, F.concat(F.lit("<"), name, F.lit(">"))))


def label_index(column: str, df: DataFrame, labels: Sequence[str]) -> Column:
    """A label column as positions in a model's labels; -1 for what is none of them, null where it is null.

    Numbers are positions already where the labels are names, as of a model that was fitted after a `StringIndexer`.
    """
    name = label_name(column, df)
    plain = isinstance(label_type(column, df), NumericType) and not nominal_names(column, df)
    numbers = any(_canonical(label).lstrip("-").isdigit() for label in labels)
    places = [str(n) for n in range(len(labels))] if plain and not numbers else [_canonical(name) for name in labels]
    if not plain or len(set(places)) < len(places):  # `01` and `1` are two labels of a model of texts
        places = list(labels)
    return F.when(name.isNotNull(), F.coalesce(F.element_at(_positions(places), name), F.lit(-1)))


def _positions(names: Sequence[str]) -> Column:
    """A map of names to their positions."""
    return F.create_map(*(F.lit(value) for position, name in enumerate(names) for value in (name, position)))


def _canonical(name: str) -> str:
    """The name of a number as `_name` spells it; models that were saved before have `0.00` and `2.0E7`."""
    try:
        value = Decimal(name)
    except InvalidOperation:
        return name
    whole = value.is_finite() and value == value.to_integral_value() and abs(value) < WHOLE
    return str(int(value)) if whole else name


def label_names(column: str, df: DataFrame) -> Column:
    """A column of several labels a row as an array of names, each once; null where it is null or holds a null."""
    label = column_of(df, column)
    if isinstance(_element(column, df), NAMES):
        names = F.array_distinct(label)
    else:
        positions = F.transform(label, lambda value, at: F.when(value.cast("double") != 0, at.cast("string")))
        names = F.filter(positions, lambda name: name.isNotNull())
    return F.when(~F.exists(label, lambda value: value.isNull()), names)


def _element(column: str, df: DataFrame) -> DataType:
    """What the arrays of a column of several labels a row hold."""
    kind = label_type(column, df)
    assert isinstance(kind, ArrayType)  # else `problem_type_of` had refused it
    return kind.elementType


def _name(value: Column, kind: DataType) -> Column:
    """A value as the name of a label: of numbers the shortest spelling, whatever their type (`7`, not `7.0`, `7.00` or `-0`).

    A `CHAR(n)` loses the spaces that Spark has padded it with.
    """
    if kind.typeName() in ("double", "float"):  # 1e7 and more would be spelt 1.0E7
        whole, size = value % 1 == 0, F.abs(value)  # `floor` gives a bigint, which ends at 9.2e18
        name = F.when(whole & (size < LONG), value.cast("long").cast("string"))
        return name.when(whole & (size < WHOLE), value.cast("decimal(38,0)").cast("string")).otherwise(value.cast("string"))
    if kind.typeName() == "decimal":
        whole = F.floor(value)  # a cast alone spells zeros of many places 0E-18
        fraction = F.regexp_replace(value.cast("string"), r"0+$", "")
        return F.when(value == whole, whole.cast("string")).otherwise(fraction)
    return F.rtrim(value) if kind.typeName() == "char" else value.cast("string")


def row_weight(df: DataFrame, column: str | None) -> Column:
    """How much each row counts, as a number: 1 where there is no such column, as for the summaries of Spark ML."""
    return column_of(df, column).cast("double") if column and find_column(df, column) else F.lit(1.0)


def true_labels(df: DataFrame, column: str, decision: DecisionRule) -> Column:
    """A label column as `metrics_of` wants it: an index (-1: not one of the model's), an array of them, or a number."""
    problem_type_of(df, column, decision.problem_type)
    if decision.problem_type == REGRESSION:
        return column_of(df, column).cast("double")
    if decision.problem_type == MULTI:
        index = _positions(decision.labels)
        return F.transform(label_names(column, df), lambda name: F.coalesce(F.element_at(index, name), F.lit(-1)))
    return label_index(column, df, decision.labels)
