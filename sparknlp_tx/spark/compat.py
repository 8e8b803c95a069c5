"""What differs between the versions of Spark that this library runs on: 3.5 to 4.2, classic and Connect."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql._typing import UserDefinedFunctionLike


def is_connect(spark: "SparkSession | DataFrame") -> bool:
    """Whether a session, or a DataFrame's, is a client of Spark Connect."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def running_session() -> "SparkSession | None":
    """The active session, of this thread or another; None if there is none."""
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    connect = sys.modules.get("pyspark.sql.connect.session")
    sessions = (SparkSession._instantiatedSession, getattr(connect and connect.SparkSession, "_default_session", None))
    return next((session for session in sessions if session is not None), None)  # a session that was stopped is none of them


def can_observe(df: "DataFrame") -> bool:
    """Whether an `Observation` of a DataFrame has values: on Connect from 4.0 on."""
    return not is_connect(df) or importlib.util.find_spec("pyspark.sql.connect.observation") is not None


def has_arrow_udfs() -> bool:
    """Whether Spark hands Arrow arrays to a UDF (4.1 and later); before, it hands pandas' columns to it."""
    from pyspark.sql import functions as F

    return hasattr(F, "arrow_udf")


def iterator_udf(function: Callable[[Iterator], Iterator], returned: str, columns: int) -> "UserDefinedFunctionLike":
    """A scalar-iterator UDF: of Arrow arrays where there are such (`has_arrow_udfs`), else of pandas' columns.

    Args:
        function: of one argument, which has to be called `batches`.
        returned: the struct that it gives, as a DDL string.
        columns: how many columns it takes; 0 for one of structs, which is a DataFrame in pandas.
    """
    from pyspark.sql import functions as F

    make: Any
    taken: Any
    given: Any
    if has_arrow_udfs():
        import pyarrow as pa

        make, taken, given = F.arrow_udf, pa.Array, pa.Array
    else:
        import pandas as pd

        make, taken, given = F.pandas_udf, pd.Series if columns else pd.DataFrame, pd.DataFrame
    several: Any = tuple[taken, ...] if columns > 1 else taken
    function.__annotations__ = {"batches": Iterator[several], "return": Iterator[given]}  # which tell Spark what to hand over
    return make(function, returned)


def valid_utf8(text: "Column") -> "Column":
    """A string column; bytes in it that are no UTF-8, as a cast from binary can leave them, become U+FFFD."""
    from pyspark.sql import functions as F

    if hasattr(F, "make_valid_utf8"):  # 4.0 and later
        return F.make_valid_utf8(text)
    return F.decode(text.cast("binary"), "UTF-8")


def add_archive(spark: "SparkSession", archive: Path) -> None:
    """Have each executor unpack an archive once, to `SparkFiles.get(archive.name)`."""
    try:
        spark.addArtifacts(str(archive), archive=True)
    except RuntimeError as error:  # Spark 3.5 has artifacts on Connect alone
        if "only supported with Spark Connect" not in str(error):
            raise
        spark.sql(f"ADD ARCHIVE '{archive}'")


def setting(spark: "SparkSession", name: str, default: str = "") -> str:
    """A session's setting; the default if it is unset or hidden (serverless compute shows only a few)."""
    try:
        return spark.conf.get(name, default) or default
    except Exception as error:
        if "CONFIG_NOT_AVAILABLE" in str(error):
            return default
        raise
