"""Names of tables as commands take them, perhaps with a version or a time.

One spelling serves everywhere: `[catalog.][schema.]table` or a folder (it has a `/`), and behind it `@v3` (that version) or
`@20260131` to `@20260131235959999` (as of that time, in the session's time zone). SQL's own `VERSION AS OF 3`,
`TIMESTAMP AS OF '2026-01-31'` and delta.`/folder` are understood, too. Parts of a name may stand in backticks.
"""

import os
import re
from dataclasses import dataclass
from datetime import datetime

from sparknlp_tx.errors import InputError

_PART = re.compile(r"`((?:[^`]|``)+)`|([^.`]+)")
_SUFFIX = re.compile(r"(?P<table>.+?)@(?:v(?P<version>\d+)|(?P<time>\d{8,17}))$", re.DOTALL)
_CLAUSE = re.compile(
    r"(?P<table>.+?)\s+(?:FOR\s+)?(?:SYSTEM_)?(?P<kind>VERSION|TIMESTAMP)\s+AS\s+OF\s+'?(?P<value>[^']+?)'?$", re.IGNORECASE
)


@dataclass(frozen=True)
class TableName:
    """A table as a flag names it.

    Attributes:
        text: as it was given.
        sql: quoted, as SQL takes it.
        path: its folder, absolute or with a scheme; None where it is given by name.
        parts: of its name; none for a folder.
        version, time: as of when it is to be read; None for now.
    """

    text: str
    sql: str
    path: str | None
    parts: tuple[str, ...]
    version: int | None = None
    time: str | None = None

    @classmethod
    def parse(cls, text: str) -> "TableName":
        """Take apart what names a table.

        Raises:
            InputError: it is empty, or no name of a table.
        """
        table, version, when = _as_of(text.strip())
        folder = re.fullmatch(r"delta\.`((?:[^`]|``)+)`", table, re.IGNORECASE)
        if folder or is_path(table):
            path = full_path(folder[1].replace("``", "`") if folder else table)
            return cls(text, f"delta.{quoted(path)}", path, (), version, when)
        parts = name_parts(table)
        return cls(text, ".".join(map(quoted, parts)), None, parts, version, when)

    def check_now(self, flag: str) -> None:
        """Raise InputError where an older version is named, and the table is to be written."""
        if self.version is not None or self.time is not None:
            raise InputError(f"a table to write ({flag})", f"an older version, {self.text!r}", "Name the table alone.")


def is_path(table: str) -> bool:
    """Whether a table is given as a folder (it has a `/` outside of backticks), not as `[catalog.][schema.]table`."""
    return "/" in re.sub(r"`(?:[^`]|``)*`", "", table) or table.startswith("~")


def has_scheme(path: str) -> bool:
    """Whether a path names its file system: `s3://b/x`, `dbfs:/x`."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path) is not None


def full_path(table: str) -> str:
    """A table's folder as SQL wants it: absolute, or with its scheme."""
    local = table.removeprefix("file:")
    return table if has_scheme(local) or local.startswith("//") else os.path.abspath(os.path.expanduser(local))


def quoted(name: str) -> str:
    """A part of a name as SQL quotes it."""
    return "`" + name.replace("`", "``") + "`"


def name_parts(table: str) -> tuple[str, ...]:
    """The parts of `[catalog.][schema.]table`, without their backticks.

    Raises:
        InputError: it is no such name.
    """
    parts, end = [], -1
    for found in _PART.finditer(table):
        if found.start() != end + 1 or (end >= 0 and table[end] != "."):
            break
        parts.append(found[1].replace("``", "`") if found[1] else found[2].strip())
        end = found.end()
    if end != len(table) or not all(parts):
        remedy = "Put parts with dots or backticks into backticks; a folder has a / in it."
        raise InputError("the name of a table, [catalog.][schema.]table, or a folder", repr(table), remedy)
    return tuple(parts)


def sql_name(table: str) -> str:
    """A table as SQL names it, quoted."""
    return TableName.parse(table).sql


def _as_of(text: str) -> tuple[str, int | None, str | None]:
    """A table's name, and the version or the time that is asked for."""
    clause, suffix = _CLAUSE.fullmatch(text), _SUFFIX.fullmatch(text)
    if clause:
        value = clause["value"].strip()
        if clause["kind"].upper() == "TIMESTAMP":
            return clause["table"], None, value
        if value.isdigit():
            return clause["table"], int(value), None
        raise InputError("the number of a version", repr(value), "Write TABLE@v3, or TABLE VERSION AS OF 3.")
    if suffix is None or (is_path(text) and os.path.exists(full_path(text))):  # a folder may be named so
        return text, None, None
    if suffix["version"]:
        return suffix["table"], int(suffix["version"]), None
    try:
        time = datetime.strptime(suffix["time"].ljust(17, "0"), "%Y%m%d%H%M%S%f")
    except ValueError:
        found = suffix["time"]
        raise InputError("a time as yyyyMMddHHmmssSSS, or the beginning of one", found, "Write TABLE@20260131.") from None
    return suffix["table"], None, str(time)
