"""Delta tables by name or by path: reading, writing, which version."""

import os
import re
from typing import TYPE_CHECKING

from sparknlp_tx.errors import InputError, nearest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def is_path(table: str) -> bool:
    """Whether a table is given as a folder (it has a `/` in it), not as `[catalog.][schema.]table`."""
    return "/" in table


def has_scheme(path: str) -> bool:
    """Whether a path names its file system: `s3://b/x`, `dbfs:/x`."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path) is not None


def full_path(table: str) -> str:
    """A table's folder as SQL wants it: absolute, or with its scheme."""
    local = table.removeprefix("file:")
    return table if has_scheme(local) or local.startswith("//") else os.path.abspath(local)


def sql_name(table: str) -> str:
    """A table as SQL names it, quoted."""
    if is_path(table):
        return f"delta.`{full_path(table)}`"
    return ".".join(f"`{part}`" for part in table.replace("`", "").split("."))


def read_table(spark: "SparkSession", table: str) -> "DataFrame":
    """The DataFrame of a Delta table.

    Args:
        table: `[catalog.][schema.]table`, or a folder, which has a `/` in it.

    Raises:
        InputError: there is no such table, or the folder is no Delta table.
    """
    from pyspark.errors import AnalysisException, PySparkException

    try:
        df = spark.read.format("delta").load(full_path(table)) if is_path(table) else spark.table(table)
        df.schema  # noqa: B018  Connect looks at a table only now
        return df
    except AnalysisException as error:
        check_delta(spark, error)
        if is_path(table):
            remedy = "Check the path; jobs/prepare.py writes such tables."
            raise InputError(f"a Delta table at {table}", _reason(error), remedy) from None
        raise InputError(f"a table {table!r}", "none of that name", _tables_nearby(spark, table)) from None
    except PySparkException as error:
        check_delta(spark, error)
        raise


def write_table(df: "DataFrame", table: str, mode: str = "overwrite") -> None:
    """Write a Delta table in one transaction: the old rows stay until the new ones are all there.

    Args:
        table: a name or a folder, as for `read_table`.
        mode: `overwrite` (the schema too), `append`, or `error` where there is one already.
    """
    from pyspark.errors import PySparkException

    writer = df.write.format("delta").mode(mode)
    if mode == "overwrite":
        writer = writer.option("overwriteSchema", "true")
    try:
        writer.save(full_path(table)) if is_path(table) else writer.saveAsTable(table)
    except PySparkException as error:
        check_delta(df.sparkSession, error)
        raise


def latest_version(spark: "SparkSession", table: str) -> int:
    """The version of a Delta table as of now.

    Raises:
        InputError: it is no Delta table, but a view or a table of another format.
    """
    from pyspark.errors import AnalysisException

    try:
        return last_write(spark, table)[0]
    except AnalysisException as error:
        raise InputError(f"a Delta table {table!r}", _reason(error), "Write it as one: format('delta').") from None


def last_write(spark: "SparkSession", table: str) -> tuple[int, int]:
    """The version of a Delta table's last write and how many rows it wrote."""
    entry = spark.sql(f"DESCRIBE HISTORY {sql_name(table)} LIMIT 1").collect()[0]
    return entry["version"], int(entry["operationMetrics"].get("numOutputRows", 0))


def check_delta(spark: "SparkSession", error: Exception) -> None:
    """Raise InputError where an error says that the session has no Delta Lake."""
    if re.search(
        r"DATA_SOURCE_NOT_FOUND|Failed to find (the )?data source: ?\W?delta|DELTA_CONFIGURE_SPARK_SESSION", str(error)
    ):
        raise InputError(
            "a Spark session with Delta Lake",
            "one without it",
            "Use sparknlp_tx.local_session(), or give spark-submit: --packages io.delta:delta-spark_2.13:VERSION "
            "--conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension "
            "--conf spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog",
        ) from error


def _reason(error: Exception) -> str:
    text = str(error)
    absent = ("PATH_DOES_NOT_EXIST", "PATH_NOT_FOUND", "doesn't exist")
    return "no such folder" if any(word in text for word in absent) else text.strip().splitlines()[0]


def _tables_nearby(spark: "SparkSession", table: str) -> str:
    """A remedy that names the nearest table of the same schema."""
    from pyspark.errors import PySparkException

    schema, _, name = table.replace("`", "").rpartition(".")
    try:
        names = [row["tableName"] for row in spark.sql(f"SHOW TABLES {f'IN {sql_name(schema)}' if schema else ''}").collect()]
    except PySparkException:
        return f"There is no schema {schema!r} either."
    return nearest(name, names)
