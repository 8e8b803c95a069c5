"""The log of promotions: a Delta table that is a lock as well, so that of two promotions at once one wins.

Each entry has the model's next number in sequence, which is the transaction's version (`txnVersion`) of the model's own application
(`txnAppId`): Delta commits a version once, so an append is a compare-and-swap on the model's newest entry. A promotion begins with the
entry `begun`, and ends with `done`, `abandoned` or `failed`. While the newest entry is `begun` by a living process, no other begins.
"""

import os
import socket
import time
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError, JobError, reason_of
from sparknlp_tx.spark import tables
from sparknlp_tx.spark.table_names import TableName

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = (
    "model STRING, sequence BIGINT, promotion_id STRING, action STRING, state STRING, expected STRING, version STRING, by STRING, "
    "host STRING, process STRING, at TIMESTAMP, report STRING, reason STRING"
)
LEASE = 900.0  # seconds for which a promotion on another machine, whose process cannot be looked at, counts as at work
TRIES = 20
SAID_ONLY = ("refused", "lost")  # entries that hold no lock


@dataclass(frozen=True)
class Entry:
    """A line of the log.

    Attributes:
        model, sequence: the registered model, and the entry's number in its order, from 1.
        promotion_id: shared by the entries of one promotion.
        action: `promote` or `rollback`.
        state: `begun`, `done`; `abandoned` (nothing was changed), `failed`; `refused` (by a gate), `lost` (another one was first).
        expected: version of the champion that it begins from; None for none. version: that it makes the champion.
        by, host, process, at: who, where, when (UTC).
        report: of the gate. reason: a sentence, where there is something to say.
    """

    model: str
    sequence: int
    promotion_id: str
    action: str
    state: str
    expected: str | None
    version: str
    by: str
    host: str
    process: str
    at: datetime
    report: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        return f"the {self.action} of version {self.version} by {self.by} on {self.host} at {self.at:%Y-%m-%d %H:%M:%S} UTC ({self.promotion_id})"


class PromotionLog:
    """The entries of one registered model in a Delta table, which is made with the first entry.

    Args:
        table: a name or a folder.

    Raises:
        InputError: there is something else at that place.
    """

    def __init__(self, spark: "SparkSession", table: str, model: str):
        self.spark, self.model = spark, model
        self.name = TableName.parse(table)
        self.name.check_now("--log-table")
        facts = tables.look_up(spark, self.name)
        if facts.kind not in ("delta", "nothing"):
            raise InputError(
                f"a Delta table for the log of promotions at {table}, or nothing yet", facts.kind, "Name another (--log-table)."
            )
        if facts.kind == "delta":
            there = set(spark.sql(f"SELECT * FROM {self.name.sql}").columns)
            missing = [part.split()[0] for part in SCHEMA.split(", ") if part.split()[0] not in there]
            if missing:
                raise InputError(
                    f"a log of promotions at {table}", f"a table without {', '.join(missing)}", "Name another (--log-table)."
                )

    def entries(self) -> list[Entry]:
        """The model's entries, oldest first; none where there is no table yet."""
        if tables.look_up(self.spark, self.name).kind == "nothing":
            return []
        rows = self.spark.sql(f"SELECT * FROM {self.name.sql}").filter(f"model = {_literal(self.model)}").collect()
        names = Entry.__dataclass_fields__
        found = [Entry(**{name: row[name] for name in names} | {"at": row["at"].astimezone(timezone.utc)}) for row in rows]
        return sorted(found, key=lambda entry: entry.sequence)

    def begin(self, action: str, expected: str | None, version: str, report: str | None = None) -> Entry:
        """Begin a promotion: from here on no other one of this model begins.

        Raises:
            JobError: another one was first; says whose.
        """
        entry = self._entry(0, uuid.uuid4().hex[:12], action, "begun", expected, version, report)
        for _ in range(TRIES):
            newest = self.newest()
            if newest is not None and newest.state == "begun":
                self._lost(entry, newest)
            entry = replace(entry, sequence=newest.sequence + 1 if newest else 1)
            first = self._append(entry)
            if first.promotion_id == entry.promotion_id:
                return entry
            if first.state not in SAID_ONLY:
                self._lost(entry, first)
        raise JobError(f"Nothing was changed: others write to the log {self.name.text} all the time. Start again.")

    def end(self, begun: Entry, state: str, reason: str | None = None) -> None:
        """Add a promotion's last entry."""
        self._append_next(replace(begun, state=state, reason=reason))

    def add(self, action: str, state: str, expected: str | None, version: str, report: str | None, reason: str | None) -> None:
        """Add an entry that holds no lock: of what was refused."""
        self._append_next(
            replace(self._entry(0, uuid.uuid4().hex[:12], action, state, expected, version, report), reason=reason)
        )

    def newest(self) -> Entry | None:
        """The newest entry that says something of the lock: of what has begun, or ended."""
        every = self.entries()
        locks = [entry for entry in every if entry.state not in SAID_ONLY]
        return replace((locks or every)[-1], sequence=every[-1].sequence) if every else None

    def unfinished(self) -> Entry | None:
        """The promotion that was begun and not ended, where its process is gone; None where there is none.

        Raises:
            InputError: it is at work.
        """
        newest = self.newest()
        if newest is None or newest.state != "begun":
            return None
        if _at_work(newest):
            raise InputError(
                f"no other promotion of {self.model} at work", str(newest), "Wait for it to end, then look at the log."
            )
        return newest

    def _lost(self, entry: Entry, winner: Entry) -> None:
        """Say that another promotion was first, in the log as well."""
        self._append_next(replace(entry, state="lost", reason=f"{winner} was first"))
        raise JobError(f"Nothing was changed: {winner} was first. Look at {self.name.text}, then start again.")

    def _entry(
        self, sequence: int, promotion_id: str, action: str, state: str, expected: str | None, version: str, report: str | None
    ) -> Entry:
        by = self.spark.sql("SELECT current_user()").collect()[0][0]
        at = datetime.now(timezone.utc).replace(microsecond=0)
        return Entry(
            self.model,
            sequence,
            promotion_id,
            action,
            state,
            expected,
            version,
            by,
            socket.gethostname(),
            _process(),
            at,
            report,
        )

    def _append_next(self, entry: Entry) -> None:
        """Append an entry behind the newest, whatever others append meanwhile."""
        for _ in range(TRIES):
            every = self.entries()
            numbered = replace(entry, sequence=every[-1].sequence + 1 if every else 1)
            found = self._append(numbered)
            if (found.promotion_id, found.state) == (entry.promotion_id, entry.state):
                return
        raise JobError(
            f"The log {self.name.text} does not take the entry {entry.state!r} of {entry}: others write all the time."
        )

    def _append(self, entry: Entry) -> Entry:
        """Append an entry if its number is free; the entry that has the number then."""
        self._create()
        values = asdict(entry)
        row = self.spark.createDataFrame([tuple(values[part.split()[0]] for part in SCHEMA.split(", "))], SCHEMA)
        writer = row.coalesce(1).write.format("delta").mode("append")
        writer = writer.option("txnAppId", f"sparknlp_tx promotions of {self.model}").option("txnVersion", entry.sequence)
        failure: Exception | None = None
        try:
            writer.save(self.name.path) if self.name.path is not None else writer.saveAsTable(self.name.sql)
        except Exception as error:  # of two at once Delta refuses one
            failure = error
        for _ in range(3):  # a catalog may show a commit a moment later
            found = next((each for each in self.entries() if each.sequence == entry.sequence), None)
            if found is not None:
                return found
            time.sleep(1)
        raise JobError(
            f"The log {self.name.text} cannot be written: {reason_of(failure) if failure else 'its entry is not there'}."
        )

    def _create(self) -> None:
        if tables.look_up(self.spark, self.name).kind == "nothing":
            try:
                self.spark.sql(f"CREATE TABLE IF NOT EXISTS {self.name.sql} ({SCHEMA}) USING DELTA")
            except Exception as error:  # another one may have been faster
                if tables.look_up(self.spark, self.name).kind != "delta":
                    raise JobError(
                        f"The log of promotions cannot be created at {self.name.text}: {reason_of(error)}"
                    ) from error


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _process() -> str:
    """This process, so that another one can tell whether it lives: its number, and when it began."""
    import psutil

    return f"{os.getpid()} {psutil.Process().create_time():.2f}"


def _at_work(entry: Entry) -> bool:
    """Whether the process of an entry lives, as far as this machine can tell."""
    import psutil

    if entry.host != socket.gethostname():
        return (datetime.now(timezone.utc) - entry.at).total_seconds() < LEASE
    number, began = entry.process.split()
    try:
        return abs(psutil.Process(int(number)).create_time() - float(began)) < 1
    except psutil.Error:
        return False


def default_place(model: str, table: str) -> str:
    """Where a model's log goes: beside the model in Unity Catalog, else beside a table."""
    parts: Any = model.split(".")
    if len(parts) == 3:
        return f"{model}_promotions"
    name = TableName.parse(table)
    own = f"{model}_promotions"
    if name.path is not None:
        return f"{name.path.rstrip('/').rpartition('/')[0]}/{own}"
    return ".".join([*name.parts[:-1], own.replace("-", "_")])
