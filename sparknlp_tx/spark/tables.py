"""Tables to read: what they are, which version is read, as commands name them, see `table_names`."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from sparknlp_tx.errors import InputError, nearest, reason_of
from sparknlp_tx.spark.table_names import TableName, has_scheme, quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NO_DELTA = r"DATA_SOURCE_NOT_FOUND|Failed to find (the )?data source: ?\W?delta|DELTA_CONFIGURE_SPARK_SESSION"


class Facts(NamedTuple):
    """What a table is.

    Attributes:
        kind: `delta`, `view`, another format, or `nothing`.
        location: where its files are; id: Delta's own, of the table; empty where there is none.
        partitions, clusters: its columns of these kinds.
        properties: as `TBLPROPERTIES`; Delta's constraints are among them.
        features: what Delta's writers have to know of, `generatedColumns` and the like; `writer`: the protocol's version.
    """

    kind: str
    location: str = ""
    id: str = ""
    partitions: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    properties: dict[str, str] = {}  # noqa: RUF012  a tuple's default, never changed
    features: tuple[str, ...] = ()
    writer: int = 0


@dataclass(frozen=True)
class OpenedTable:
    """A table to read: its rows, and what was read, for a log: version is None where it is no Delta table."""

    name: TableName
    df: "DataFrame"
    facts: Facts
    version: int | None = field(default=None)

    @property
    def at_version(self) -> str:
        """The table at the version that was read, as `open_table` takes it."""
        asked = self.name.version is not None or self.name.time is not None
        return self.name.text if self.version is None or asked else f"{self.name.text}@v{self.version}"


def open_table(spark: "SparkSession", table: str) -> OpenedTable:
    """A table or view to read, as of the version or time that its name asks for; `version` is the one that was read.

    Raises:
        InputError: there is no such table, it has no such version, or the folder is no Delta table.
    """
    name = TableName.parse(table)
    facts = look_up(spark, name)
    if facts.kind != "delta":
        if name.version is not None or name.time is not None:
            raise InputError(f"a Delta table, for an older version ({table!r})", _article(facts.kind), "Leave the version out.")
        return OpenedTable(name, _read(spark, name), facts)
    if name.version is None and name.time is None:
        version = _last_version(spark, name)
        return OpenedTable(name, _read(spark, name), facts, version)
    version = _version_asked(spark, name)
    df = spark.sql(f"SELECT * FROM {name.sql} VERSION AS OF {version}")
    try:
        df.schema  # noqa: B018  Connect looks at a table only now
    except Exception as error:
        remedy = "Take a later version; VACUUM and the log's retention remove old ones."
        raise InputError(f"version {version} of {table!r}", reason_of(error), remedy) from None
    return OpenedTable(name, df, facts, version)


def open_pinned(spark: "SparkSession", table: str) -> OpenedTable:
    """As `open_table`, at one version whatever is written to the table meanwhile: several actions see the same rows."""
    opened = open_table(spark, table)
    return opened if opened.version is None else open_table(spark, opened.at_version)


def read_table(spark: "SparkSession", table: str) -> "DataFrame":
    """The DataFrame of a table or view, as `open_table` reads it.

    Args:
        table: `[catalog.][schema.]table`, or the folder of a Delta table; see the head of this module.

    Raises:
        InputError: there is no such table, or the folder is no Delta table.
    """
    return open_table(spark, table).df


def latest_version(spark: "SparkSession", table: str) -> int | None:
    """The version of a Delta table that `read_table` reads now; None of a view or of a table of another format."""
    return open_table(spark, table).version


def look_up(spark: "SparkSession", name: TableName) -> Facts:
    """What a name or a folder is; starts no job.

    Raises:
        InputError: the session has no Delta Lake.
    """
    if name.path is None:
        try:
            if not spark.catalog.tableExists(name.sql):
                return Facts("nothing")
            kind = spark.catalog.getTable(name.sql).tableType
        except Exception as error:  # an unknown catalog, a name of too many parts; parquet.`/folder` is no entry of a catalog
            check_delta(spark, error)
            return Facts("nothing")
        if "VIEW" in kind.upper() or kind.upper() == "TEMPORARY":
            return Facts("view")
    try:
        row = spark.sql(f"DESCRIBE DETAIL {name.sql}").collect()[0].asDict()
    except Exception as error:
        check_delta(spark, error)
        return Facts("nothing" if name.path is not None else "view" if "NOT_VIEW" in str(error) else "table of another format")
    several = {key: tuple(row.get(key) or ()) for key in ("partitionColumns", "clusteringColumns", "tableFeatures")}
    return Facts(
        kind=row["format"] or "table of another format",
        location=resolved(row["location"] or ""),
        id=row["id"] or "",
        partitions=several["partitionColumns"],
        clusters=several["clusteringColumns"],
        properties=row.get("properties") or {},
        features=several["tableFeatures"],
        writer=row.get("minWriterVersion") or 0,
    )


def resolved(location: str) -> str:
    """A location in one spelling: without `file:`, links and escapes, one scheme for S3, no slash at the end."""
    location = re.sub(r"^s3[an]?:/+", "s3://", re.sub(r"^(file:/*)?/", "/", location))
    return os.path.realpath(unquote(location)) if location.startswith("/") else unquote(location).rstrip("/")


def is_same(spark: "SparkSession", one: Facts, other: Facts) -> bool:
    """Whether two are one table, however they are spelt; a copy of a table's files is another one once it was written to."""
    if one.location and one.location == other.location:
        return True
    if not one.id or one.id != other.id:
        return False
    tables = (f"delta.{quoted(facts.location)}" for facts in (one, other))
    newest = [spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").select("version", "timestamp").collect() for table in tables]
    return newest[0] == newest[1]


def _read(spark: "SparkSession", name: TableName) -> "DataFrame":
    from pyspark.errors import AnalysisException, PySparkException

    try:
        df = spark.read.format("delta").load(name.path) if name.path is not None else spark.table(name.sql)
        df.schema  # noqa: B018  Connect looks at a table only now
        return df
    except AnalysisException as error:
        check_delta(spark, error)
        if name.path is not None:
            remedy = "Check the path; `sparknlp-tx prepare` writes such tables."
            raise InputError(f"a Delta table at {name.text}", _reason(error), remedy) from None
        if "TABLE_OR_VIEW_NOT_FOUND" not in str(error) and spark.catalog.tableExists(name.sql):  # a view of what is gone
            raise InputError(f"a table {name.text!r} that can be read", reason_of(error), "Mend it, or name another.") from None
        raise InputError(f"a table {name.text!r}", "none of that name", _tables_nearby(spark, name)) from None
    except PySparkException as error:
        check_delta(spark, error)
        raise


def _last_version(spark: "SparkSession", name: TableName) -> int:
    return spark.sql(f"DESCRIBE HISTORY {name.sql} LIMIT 1").collect()[0]["version"]


def _version_asked(spark: "SparkSession", name: TableName) -> int:
    """The version that a name asks for: its own number, or the newest at a time."""
    from pyspark.sql import functions as F

    if name.version is not None:
        last = _last_version(spark, name)
        if name.version > last:
            raise InputError(f"version {name.version} of {name.text!r}", f"versions up to {last}", "Name one of them.")
        return name.version
    time = F.lit(name.time).cast("timestamp")
    try:
        history = spark.sql(f"DESCRIBE HISTORY {name.sql}")
        row: Any = history.agg(
            F.max(F.when(F.col("timestamp") <= time, F.col("version"))).alias("version"),
            F.min("timestamp").cast("string").alias("first"),
            F.first(time > F.current_timestamp()).alias("later"),
            F.first(time.isNull()).alias("unreadable"),
        ).collect()[0]
    except Exception as error:  # ANSI mode raises where the text is no time
        raise InputError(f"a time, for {name.text!r}", reason_of(error), "Write TABLE@20260131.") from None
    if row["unreadable"] or row["later"] or row["version"] is None:
        problem = (
            "no time" if row["unreadable"] else "a time to come" if row["later"] else f"a table that begins {row['first']}"
        )
        raise InputError(f"a time at which {name.text!r} was there", problem, "Write TABLE@20260131, or name a version.")
    return row["version"]


def check_delta(spark: "SparkSession", error: Exception) -> None:
    """Raise InputError where an error says that the session has no Delta Lake."""
    if re.search(NO_DELTA, str(error)):
        raise InputError(
            "a Spark session with Delta Lake",
            "one without it",
            "Use sparknlp_tx.local_session(), or give spark-submit: --packages io.delta:delta-spark_2.13:VERSION "
            "--conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension "
            "--conf spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog",
        ) from error


def _article(kind: str) -> str:
    return "a table of format " + kind if kind not in ("view", "nothing", "table of another format") else kind


def _reason(error: Exception) -> str:
    text = str(error)
    absent = ("PATH_DOES_NOT_EXIST", "PATH_NOT_FOUND", "doesn't exist")
    return "no such folder" if any(word in text for word in absent) else reason_of(error)


def _tables_nearby(spark: "SparkSession", name: TableName) -> str:
    """A remedy that names the nearest table of the same schema."""
    from pyspark.errors import PySparkException

    schema = ".".join(map(quoted, name.parts[:-1]))
    try:
        names = [row["tableName"] for row in spark.sql(f"SHOW TABLES {f'IN {schema}' if schema else ''}").collect()]
    except PySparkException:
        return f"There is no schema {'.'.join(name.parts[:-1])!r} either."
    return nearest(name.parts[-1], names)


def local_folder(spark: "SparkSession", path: str) -> Path | None:
    """The folder of a path that this process and Spark see as the same one; None where that is not known."""
    from sparknlp_tx.spark.distribution import is_local

    if not is_local(spark) or (has_scheme(path) and not path.startswith("file:")):
        return None
    return Path(resolved(path))


def files_at(spark: "SparkSession", path: str) -> list[str]:
    """Where a file or two lie that Spark finds at a path, or in its folders; none where nothing is there.

    Raises:
        InputError: a file system that Spark does not know.
    """
    try:
        files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
        return [resolved(file) for file in files.inputFiles()[:2]]  # rows there are none of empty files
    except Exception as error:  # its class depends on the kind of session
        if re.search("No FileSystem for scheme|ClassNotFoundException: Class org.apache.hadoop.fs", str(error)):
            remedy = "Add its jars to the session (for s3a: hadoop-aws), or give a path that is mounted."
            raise InputError("a path on a file system that Spark knows", path, remedy) from None
        return []
