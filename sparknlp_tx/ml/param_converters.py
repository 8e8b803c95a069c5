"""Type converters of Params that check the value, too: a wrong one fails when it is set."""

import math
from collections.abc import Callable
from typing import Any

from pyspark.ml.param import TypeConverters

AUTO = "auto"


def checked(convert: Callable[[Any], Any], holds: Callable[[Any], bool], expected: str) -> Callable[[Any], Any]:
    """A type converter that also checks the value; pyspark puts the Param's name before a TypeError's message."""

    def converter(value: Any) -> Any:
        try:
            value = convert(value)
        except (TypeError, ValueError):
            raise TypeError(f"Expected {expected}; found {value!r} ({type(value).__name__}).") from None
        if not holds(value):
            raise TypeError(f"Expected {expected}; found {value!r}.")
        return value

    return converter


def one_of(*names: str) -> Callable[[Any], Any]:
    return checked(TypeConverters.toString, lambda value: value in names, "one of " + ", ".join(names))


def to_map(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise TypeError
    return value


positive_int = checked(TypeConverters.toInt, lambda value: value > 0, "an integer above 0")
positive_float = checked(TypeConverters.toFloat, lambda value: 0 < value < math.inf, "a number above 0")
fraction = checked(TypeConverters.toFloat, lambda value: 0 <= value <= 1, "a number from 0 to 1")
tokens = checked(
    lambda value: value if value == AUTO else TypeConverters.toInt(value),
    lambda value: value == AUTO or value > 0,
    "'auto' or an integer above 0",
)
