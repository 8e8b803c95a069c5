"""Delta tables that jobs write: checked before any work, written in one commit, their layout kept, the commit found again."""

import json
import logging
import os
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError, JobError, input_error_in, nearest, reason_of
from sparknlp_tx.progress import say
from sparknlp_tx.spark import tables
from sparknlp_tx.spark.table_names import TableName, quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructField, StructType

log = logging.getLogger(__name__)

FORBIDDEN = set(" ,;{}()\n\t=")  # in names of columns, unless a table maps its columns
WIDER = (("byte", "short", "integer", "long"), ("float", "double"), ("char", "varchar", "string"))
FILLED = {"generatedColumns", "identityColumns"}  # features of tables with columns that fill themselves
CONFLICTS = (
    "DELTA_CONCURRENT",
    "DELTA_METADATA_CHANGED",
    "DELTA_PROTOCOL_CHANGED",
    "ConcurrentModification",
    "ConcurrentAppend",
)


class Output:
    """A table that a job will write: made before the work begins, so that what can be known is refused then.

    The order is `Output(...)`, `check_apart`, `check_columns`, `create`, the job's work, `write`, `written`.

    Args:
        table: a name or a folder, see `table_names`.
        mode: `overwrite` (all rows, the table and its layout stay), `append`, or `error` where there is one already.
        exact: the table has the job's columns and no others; else columns that the job does not know stay, empty.

    Raises:
        InputError: it is a view, a table of another format, a folder with other files; there is no such schema; it takes appended
            rows alone.
    """

    def __init__(self, spark: "SparkSession", table: str, mode: str = "overwrite", exact: bool = False):
        self.spark, self.mode, self.exact = spark, mode, exact
        self.name = TableName.parse(table)
        self.name.check_now("--output")
        self.facts = tables.look_up(spark, self.name)
        self._options: dict[str, str] = {}
        self._created = False
        self._note = uuid.uuid4().hex
        if self.facts.kind == "nothing":
            self._check_place()
        elif self.facts.kind != "delta":
            found = "a view" if self.facts.kind == "view" else f"a {self.facts.kind.removeprefix('a ')}"
            found = found if "table" in found or found == "a view" else f"{found} table"
            raise InputError(
                f"a Delta table to write at {table}, or nothing yet", found, "It stays as it is: name another table."
            )
        elif mode == "error":
            raise InputError(f"nothing at {table} yet", "a Delta table", "Name another table.")
        elif mode == "overwrite" and self.facts.properties.get("delta.appendOnly", "").lower() == "true":
            raise InputError(f"a table whose rows may be replaced, at {table}", "delta.appendOnly", "Take --mode append.")

    @property
    def text(self) -> str:
        """The table as it was named."""
        return self.name.text

    def check_apart(self, read: tables.OpenedTable, flag: str = "--output") -> None:
        """Check that writing does no harm to what is read: it is another table, whatever the spelling, and no view of this one.

        Raises:
            InputError: it is the same, one lies in the other's folder, or the view that is read reads this table.
        """
        expected = f"an output ({flag}) other than what is read"
        if self.facts.kind == "delta" and tables.is_same(self.spark, self.facts, read.facts):
            raise InputError(expected, f"{self.text!r}, which is {read.name.text!r}", "Name another table.")
        place = self.facts.location or tables.resolved(self.name.path or "")
        if not place:
            return
        if _inside(place, read.facts.location) or _inside(read.facts.location, place):
            raise InputError(
                expected, f"{self.text!r}, a folder that has to do with {read.name.text!r}", "Name a folder apart."
            )
        replaced = self.facts.kind == "delta" and self.mode == "overwrite"
        if replaced and read.facts.kind == "view" and any(_inside(tables.resolved(f), place) for f in read.df.inputFiles()):
            raise InputError(expected, f"{self.text!r}, which the view {read.name.text!r} reads", "Name another table.")

    def check_columns(self, schema: "StructType") -> None:
        """Check that the table takes rows of these columns; starts no job.

        Raises:
            InputError: a name is there twice or not allowed; the table lacks a column (append), or has others; a type differs.
        """
        names = [name.lower() for name in schema.names]
        twice = next((name for name in schema.names if names.count(name.lower()) > 1), None)
        if twice is not None:
            raise InputError(f"each column once in {self.text}", f"{twice!r} twice", "Leave one out: --keep-cols.")
        there = self._columns()
        mapped = self.facts.properties.get("delta.columnMapping.mode", "none") != "none"
        for name in [] if mapped else _names_within(schema):
            if FORBIDDEN & set(name) and name.lower() not in there:
                remedy = "Rename it, leave it out (--keep-cols), or create the table first, with TBLPROPERTIES "
                raise InputError(
                    "names of columns that Delta takes: none of ' ,;{}()=', no line breaks or tabs",
                    f"{name!r} for {self.text}",
                    remedy + "('delta.columnMapping.mode' = 'name').",
                )
        if self.facts.kind == "delta":
            self._check_against(schema, there)

    def check_constraints(self, df: "DataFrame") -> None:
        """Check the table's constraints on columns of the input; one small job a constraint.

        Raises:
            InputError: rows violate one.
        """
        for key, rule in self.facts.properties.items():
            if not key.startswith("delta.constraints."):
                continue
            try:
                violated = not df.filter(f"NOT ({rule})").limit(1).isEmpty()
            except Exception:  # it is about the scores, which are not known yet
                continue
            if violated:
                found = f"rows that do not, in what is to be written to {self.text}"
                raise InputError(f"rows that meet the constraint {rule}", found, "Filter them out, or drop the constraint.")

    def create(self, schema: "StructType") -> None:
        """Create a table by name, empty, where there is none: what Spark refuses is refused before the work, and rows are counted.

        Raises:
            InputError: the table cannot be created there; the reason is Spark's.
        """
        if self.facts.kind == "delta" or self.name.path is not None:
            return
        try:
            empty = self.spark.createDataFrame([], _plain(schema))
            empty.write.format("delta").mode("error").saveAsTable(self.name.sql)
        except Exception as error:
            if "ALREADY_EXISTS" not in str(error) or "LOCATION" in str(error):
                tables.check_delta(self.spark, error)
                remedy = "Mend that, or name another table."
                raise InputError(f"a place where {self.text!r} can be created", reason_of(error), remedy) from None
        else:
            self._created = True
        self.facts = tables.look_up(self.spark, self.name)

    def write(self, df: "DataFrame") -> None:
        """Write the rows in one commit.

        Raises:
            JobError: they could not be written; says why, and that the table is as it was.
        """
        try:
            self._write(df)
        except BaseException as error:
            if self._found() is not None:  # what failed came after the commit
                log.warning("%s is written; afterwards: %s", self.text, reason_of(error))
                return
            self.discard()
            if not isinstance(error, Exception):
                raise
            tables.check_delta(self.spark, error)
            raise self._failure(error) from error

    def discard(self) -> None:
        """Drop the table where it was created here, and is empty still."""
        if not self._created:
            return
        self._created = False
        try:
            if self.spark.sql(f"DESCRIBE HISTORY {self.name.sql} LIMIT 2").count() == 1:
                self.spark.sql(f"DROP TABLE {self.name.sql}")
        except Exception as error:  # the session may be gone
            log.warning("the empty table %s is left: %s", self.text, reason_of(error))

    def written(self) -> tuple[int | None, int | None]:
        """The version that `write` made, and how many rows it wrote; None for what the table's history does not tell."""
        try:
            found = self._found()
            if found is None:
                return None, None
            rows = (found["operationMetrics"] or {}).get("numOutputRows")
            if rows is None:
                rows = self._count(found["version"]) - (self._count(found["version"] - 1) if self.mode == "append" else 0)
            return found["version"], int(rows)
        except Exception as error:  # the rows are written: what their history says is no reason to fail
            log.warning("the history of %s cannot be read: %s", self.text, reason_of(error))
            return None, None

    def _check_place(self) -> None:
        """Raise InputError where nothing can be created at a name or in a folder."""
        if self.name.path is None:
            schema = self.name.parts[:-1]
            try:
                there = not schema or self.spark.catalog.databaseExists(".".join(map(quoted, schema)))
            except Exception:  # an unknown catalog, or too many parts
                there = False
            if not there:
                shown = ".".join(schema)
                remedy = f"Create it: CREATE SCHEMA {shown}. For a folder write ./{self.text}."
                raise InputError(f"a schema {shown!r} for {self.text!r}", "none of that name", remedy)
            return
        folder = tables.local_folder(self.spark, self.name.path)
        if folder is None:
            self._check_place_by_spark(self.name.path)
            return
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"an empty folder, or none, at {self.text}", "one with other files", "Name another folder.")
        above = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if not above.is_dir():
            raise InputError(f"a folder at {self.text}", f"{above}, which is a file", "Name another folder.")
        if not os.access(above, os.W_OK):
            raise InputError(f"a folder that can be written, for {self.text}", f"{above}, which cannot", "Name another folder.")

    def _check_place_by_spark(self, path: str) -> None:
        """The same of a folder that this process may not see as Spark does."""
        if files := tables.files_at(self.spark, path):
            found = "a file" if files[0] == tables.resolved(path) else "one with other files"
            raise InputError(f"an empty folder, or none, at {self.text}", found, "Name another folder.")
        above = path.rstrip("/").rpartition("/")[0]
        if above.rpartition("/")[2] and tables.resolved(above) in tables.files_at(self.spark, above):
            raise InputError(f"a folder at {self.text}", f"{above}, which is a file", "Name another folder.")

    def _columns(self) -> dict[str, "StructField"]:
        """The columns of the table, by their names in lower case; none where it is not there yet."""
        if self.facts.kind != "delta":
            return {}
        return {column.name.lower(): column for column in self.spark.sql(f"SELECT * FROM {self.name.sql}").schema}

    def _check_against(self, schema: "StructType", there: dict[str, "StructField"]) -> None:
        """Check columns against those of a table that is there; learns how the write has to be done."""
        new = [name for name in schema.names if name.lower() not in there]
        given = {column.name.lower(): column for column in schema}
        missing = [column for name, column in there.items() if name not in given]
        changed = [column for name, column in there.items() if name in given and not _holds(column, given[name])]
        if new and self.mode == "append":
            remedy = f"{nearest(new[0], [c.name for c in there.values()])} Leave it out (--keep-cols), or add it: ALTER TABLE."
            raise InputError(f"columns of {self.text}, to append to it", f"{', '.join(map(repr, new))} as well", remedy)
        self._check_missing(missing)
        self._options = {"mergeSchema": "true"} if new else {}
        if changed or (self.exact and missing):
            self._check_change(schema, there, changed or missing)
            self._options = {"overwriteSchema": "true"}
        elif missing:
            say(f"{', '.join(column.name for column in missing)} of {self.text}: no values come with these rows")

    def _check_missing(self, missing: list["StructField"]) -> None:
        """Raise InputError where the table has columns that need values, and get none."""
        fills = bool(FILLED & set(self.facts.features)) or 4 <= self.facts.writer < 7
        for column in missing:
            if self.exact or column.name in self.facts.partitions or "CURRENT_DEFAULT" in column.metadata or fills:
                needed = column.name in self.facts.partitions and not fills
            else:
                needed = self.mode == "append" or not column.nullable
            if needed:
                remedy = "Keep it from the input (--keep-cols), give it a DEFAULT, or name another table."
                raise InputError(f"values for column {column.name!r} of {self.text}", "none", remedy)

    def _check_change(self, schema: "StructType", there: dict[str, "StructField"], changed: Sequence["StructField"]) -> None:
        """Raise InputError where a column has to change, and the table has a layout that a change of columns would lose."""
        column = changed[0]
        given = next((c.dataType.simpleString() for c in schema if c.name.lower() == column.name.lower()), "no such column")
        expected, found = f"{column.dataType.simpleString()} for column {column.name!r} of {self.text}", given
        if self.mode == "append":
            raise InputError(expected, found, "Cast it, leave it out (--keep-cols), or name another table.")
        kept = [name for name, values in (("partitions", self.facts.partitions), ("clustering", self.facts.clusters)) if values]
        kept += ["NOT NULL"] if any(not c.nullable for c in there.values()) else []
        if kept:
            remedy = (
                f"Its {' and '.join(kept)} would be lost: change the column by ALTER TABLE, drop the table, or name another."
            )
            raise InputError(expected, found, remedy)

    def _write(self, df: "DataFrame") -> None:
        note = json.dumps({"app": "sparknlp_tx", "write": self._note})
        if self.facts.kind != "delta":
            writer = df.write.format("delta").mode("error").option("userMetadata", note)
            writer.save(self.name.path) if self.name.path is not None else writer.saveAsTable(self.name.sql)
            return
        from pyspark.sql import functions as F

        comments = {name: c.metadata["comment"] for name, c in self._columns().items() if "comment" in c.metadata}
        if self._options.get("overwriteSchema"):  # the columns' comments are part of what is replaced
            for column in df.schema:
                if column.name.lower() in comments and "comment" not in column.metadata:
                    df = df.withMetadata(column.name, {**column.metadata, "comment": comments[column.name.lower()]})
        to = df.writeTo(self.name.sql).option("userMetadata", note)
        for option, value in self._options.items():
            to = to.option(option, value)
        if self.facts.clusters and self.mode == "overwrite":  # else Delta (4.4) forgets the clustering
            to = to.option("replaceWhere", "true")
        to.append() if self.mode == "append" else to.overwrite(F.lit(True))

    def _found(self) -> Any:
        """The entry of the table's history that `write` made; None where there is none."""
        from pyspark.sql import functions as F

        try:
            history = self.spark.sql(f"DESCRIBE HISTORY {self.name.sql}")
            rows = history.filter(F.col("userMetadata").contains(self._note)).collect()
        except Exception:  # no such table, or no session any more
            return None
        return rows[0] if rows else None

    def _count(self, version: int) -> int:
        return self.spark.sql(f"SELECT count(*) AS n FROM {self.name.sql} VERSION AS OF {version}").collect()[0]["n"]

    def _failure(self, error: Exception) -> JobError:
        refusal = input_error_in(error)
        reason = str(refusal) if refusal is not None else reason_of(error)
        if any(word in str(error) for word in CONFLICTS):
            reason = "another job has changed the table, and its rows are kept. Run this one again after it"
        return JobError(f"{self.text} was not written, it is as it was before: {reason}")


def write_table(df: "DataFrame", table: str, mode: str = "overwrite", exact: bool = True) -> None:
    """Write a Delta table in one transaction: the old rows stay until the new ones are all there.

    Args:
        table: a name or a folder, see `table_names`.
        mode, exact: as for `Output`.

    Raises:
        InputError: the table cannot be written, see `Output`. JobError: writing has failed.
    """
    output = Output(df.sparkSession, table, mode, exact)
    output.check_columns(df.schema)
    output.write(df)


def _inside(place: str, folder: str) -> bool:
    """Whether a location lies in a folder, or is it."""
    return bool(place and folder) and (place == folder or place.startswith(folder.rstrip("/") + "/"))


def _names_within(kind: "DataType") -> list[str]:
    """The names of a schema's columns, and of the fields in them."""
    from pyspark.sql.types import ArrayType, MapType, StructType

    if isinstance(kind, StructType):
        return [name for column in kind for name in (column.name, *_names_within(column.dataType))]
    if isinstance(kind, ArrayType):
        return _names_within(kind.elementType)
    return [*_names_within(kind.keyType), *_names_within(kind.valueType)] if isinstance(kind, MapType) else []


def _holds(column: "StructField", given: "StructField") -> bool:
    """Whether a table's column takes values of another one's type as they are."""
    if column.dataType == given.dataType or _shape(column.dataType) == _shape(given.dataType):
        return True
    there, new = column.dataType.typeName(), given.dataType.typeName()
    return any(there in line and new in line and line.index(new) <= line.index(there) for line in WIDER)


def _shape(kind: "DataType") -> str:
    """A type without what says whether values may be null."""
    return kind.simpleString()


def _plain(schema: "StructType") -> "StructType":
    """A schema whose columns may all be null: Delta keeps what an empty table says."""
    from pyspark.sql.types import StructField, StructType

    return StructType([StructField(c.name, c.dataType, True, c.metadata) for c in schema])
