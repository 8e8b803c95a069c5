"""Delimited text files (csv, tsv), read strictly: as they were written, or refused with the line's number. Knows no Spark.

A file is parsed in each way that people write such files: quotes doubled inside quotes (RFC 4180, Python, pandas, spreadsheets), quotes and
backslashes escaped by backslashes, inside quotes alone (Spark) or everywhere (Python with an `escapechar`), no quotes at all (many tsv files). A way is possible if every record has as many fields as the first
line. Where one is, or several give the same records, the file is read; where two give different records, its writer has to be asked.
"""

import bz2
import csv
import gzip
import hashlib
import io
import lzma
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sparknlp_tx.errors import InputError

OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
SEPARATORS = (",", ";", "\t", "|")
LONE_RETURN = re.compile(r"\r(?!\n)")
BOMS = ((b"\xff\xfe\0\0", "utf-32"), (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
INSIDE, EVERYWHERE = "\\", "\\*"  # where a backslash escapes: inside quotes alone; outside of them as well
FLAGS = "Say how it is written: --sep, --quote, --escape, --encoding."


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
        encoding: as Python names it; None: UTF-8, or UTF-16 with its mark at the beginning.
        sep: between fields; None: found out.
        quote: around fields; empty: none; None: found out.
        escape: before a quote inside quotes: the quote itself, or a backslash; None: found out.
    """

    encoding: str | None = None
    sep: str | None = None
    quote: str | None = None
    escape: str | None = None


class Records(NamedTuple):
    """A file's header, and its records: lists of as many fields; an empty field is None."""

    header: list[str]
    rows: list[list[str | None]]


class _Way(NamedTuple):
    """A file parsed in one way: the digest of its records, how many there are, or the line where it cannot be so."""

    sep: str
    quote: str
    escape: str
    records: int
    digest: bytes
    wrong: str
    line: int


def read_delimited(file: Path, given: Dialect) -> Records:
    """The records of a file.

    Raises:
        InputError: it cannot be decoded, its records have different numbers of fields, it can be read in several ways, it has no rows, or
            its header names a column twice; says the line.
    """
    text = _decoded(file, given.encoding)
    sep, skipped = given.sep, 0
    first, _, rest = text.partition("\n")
    first = first.rstrip("\r").strip('"')
    if first.lower().startswith("sep=") and len(first) == 5:  # a spreadsheet's own line
        sep, text, skipped = sep or first[4], rest, 1
    if not text.strip():
        raise InputError(f"rows in {file}", "an empty file", "Check the file.")
    way = _way(file, text, sep, given, skipped)
    found = _parse(text, way.sep, way.quote, way.escape)
    header = [name.strip() for name in next(found)[1]]
    lowered = [name.lower() for name in header]
    twice = next((name for name in header if name and lowered.count(name.lower()) > 1), None)
    if twice is not None:
        raise InputError(f"each column once in the first line of {file}", f"{twice!r} twice", "Rename one.")
    rows: list[list[str | None]] = [[field or None for field in fields] for _, fields in found]
    if not rows:
        raise InputError(f"rows in {file}", "its header alone", "Check the file.")
    return Records(header, rows)


def _decoded(file: Path, encoding: str | None) -> str:
    """The text of a file.

    Raises:
        InputError: it is not in that encoding; says the line, and which it may be.
    """
    if file.suffix.lower() == ".zst":
        raise InputError(f"a file that is not packed, or by gz, bz2 or xz, at {file}", "zst", "Unpack it.")
    with OPENERS.get(file.suffix.lower(), open)(file, "rb") as stream:  # type: ignore[operator]
        try:
            data = stream.read()
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise InputError(f"a file that {file.suffix} unpacks at {file}", str(error), "Copy it again.") from None
    chosen = encoding or next((name for mark, name in BOMS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(chosen)
    except LookupError:
        raise InputError(
            "the name of an encoding (--encoding)", repr(chosen), "Such as utf-8, windows-1252, latin-1."
        ) from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        remedy = "Name its encoding: --encoding windows-1252 (Western Windows), latin-1, utf-16, ..."
        raise InputError(f"text in {chosen} in {file}", f"the byte 0x{data[error.start]:02x} in line {line}", remedy) from None
    if "\0" in text[:1000] and encoding is None:
        raise InputError(f"text in {chosen} in {file}", "zero bytes", "Name its encoding: --encoding utf-16-le or utf-16-be.")
    return text.removeprefix("\ufeff")


def _way(file: Path, text: str, sep: str | None, given: Dialect, skipped: int) -> _Way:
    """The one way to read a text.

    Raises:
        InputError: there is none, or there are several.
    """
    first = text.partition("\n")[0]
    name = file.name.lower().removesuffix(file.suffix.lower() if file.suffix.lower() in OPENERS else "")
    present = sorted((s for s in SEPARATORS if s in first), key=first.count, reverse=True)
    if sep is not None and sep not in first and present:
        raise InputError(f"{sep!r} (--sep) in the first line of {file}", f"{' and '.join(map(repr, present))} alone", FLAGS)
    separators = [sep] if sep else ["\t"] if name.endswith((".tsv", ".tab")) and "\t" in first else present or [","]
    wrong: _Way | None = None
    for separator in separators:
        ways = [_tried(text, separator, quote, escape) for quote, escape in _quotings(given, text)]
        possible = [way for way in ways if not way.wrong]
        if possible:
            return _only(file, text, possible, given, skipped)
        furthest = max(ways, key=lambda way: way.line)
        wrong = furthest if wrong is None else wrong
    assert wrong is not None
    raise InputError(f"as many fields in each record of {file} as in its first line", wrong.wrong, FLAGS)


def _quotings(given: Dialect, text: str) -> list[tuple[str, str]]:
    """The ways to quote, and to escape quotes, that are to be tried."""
    if given.quote == "":
        return [("", "")]
    quote = given.quote or '"'
    backslashes = [(quote, INSIDE), (quote, EVERYWHERE)]
    if given.escape is not None:
        return backslashes if given.escape == "\\" else [(quote, given.escape)]
    if quote not in text:
        return [(quote, quote)]
    ways = [(quote, quote), *(backslashes if f"\\{quote}" in text else [])]
    return ways if given.quote is not None else [*ways, ("", "")]


def _tried(text: str, sep: str, quote: str, escape: str) -> _Way:
    """Parse a text in one way, to the digest of its records."""
    digest, records, width, line, returns = hashlib.sha256(), 0, None, 0, 0
    try:
        for line, fields in _parse(text, sep, quote, escape):
            width = len(fields) if width is None else width
            if len(fields) != width:
                return _Way(sep, quote, escape, records, b"", f"{len(fields)} in line {line}, {width} in the first", line)
            returns += sum(len(LONE_RETURN.findall(field)) for field in fields)
            digest.update(repr(fields).encode("utf-8", "surrogatepass"))
            records += 1
    except csv.Error as error:
        return _Way(sep, quote, escape, records, b"", f"{error} in or after line {line + 1}", line)
    if "\n" in text and returns != len(LONE_RETURN.findall(text)):  # it is a line's end to some, and text to others
        line = next((n for n, row in enumerate(text.split("\n"), 1) if LONE_RETURN.search(row.removesuffix("\r"))), line)
        return _Way(sep, quote, escape, records, b"", f"a carriage return alone, outside quotes, in line {line}", line)
    return _Way(sep, quote, escape, records, digest.digest(), "", line)


def _only(file: Path, text: str, possible: list[_Way], given: Dialect, skipped: int) -> _Way:
    """The way to read a text of those that are possible.

    Raises:
        InputError: they give different records.
    """
    best = possible[0]
    if best.escape == best.quote and given.escape is None and best.quote and "\\\\" in text:
        line = next(n for n, row in enumerate(text.split("\n"), 1) if "\\\\" in row) + skipped
        remedy = "They are two for --escape '\"', and one for --escape '\\'."
        raise InputError(f"backslashes in {file} whose meaning is plain", f"two in a row, in line {line}", remedy)
    if best.quote:
        _check_spaced(file, text, best, skipped)
    if not best.quote and given.quote is None:
        for line, fields in _parse(text, best.sep, "", ""):
            if any(len(name) > 1 and name.startswith('"') and name.endswith('"') for name in fields):
                raise InputError(
                    f"quotes in {file} that are all text, or all around fields", f"both, in line {line + skipped}", FLAGS
                )
    for other in possible[1:]:
        if other.digest == best.digest or (
            not other.quote and _quotes_are_a_writers(text, best) and other.records == best.records
        ):
            continue
        minimal = best.sep != "\t" and _is_quoted_where_needed(text, best) and _shows_quoting(text, best)
        if not other.quote and best.records != other.records and (minimal or _is_quoted_throughout(text, best)):
            continue
        line = _first_difference(text, best, other) + skipped
        raise InputError(
            f"one way to read {file}",
            f"two, which differ from line {line} on: are its {'quotes' if best.escape == best.quote else 'backslashes'} text?",
            FLAGS + " --quote '' for none.",
        )
    return best


def _check_spaced(file: Path, text: str, way: _Way, skipped: int) -> None:
    """Raise InputError where a quoted field stands behind spaces, whose quotes would be taken for text."""
    for line, fields in _parse(text, way.sep, way.quote, way.escape):
        if any(re.fullmatch(rf"\s+{re.escape(way.quote)}.*{re.escape(way.quote)}", field, re.DOTALL) for field in fields):
            found = f"a space before one in line {line + skipped}"
            raise InputError(f"quotes right behind the separators in {file}", found, "Write them without spaces.")


def _shows_quoting(text: str, way: _Way) -> bool:
    """Whether something but line breaks in fields shows that quotes are a writer's: doubled ones, or a separator between two on a line."""
    quote, sep = re.escape(way.quote), re.escape(way.sep)
    within = rf"(?m)(?:^|{sep}){quote}[^{quote}\n]*{sep}[^{quote}\n]*{quote}(?:\r?$|{sep})"
    return 2 * way.quote in text or re.search(within, text) is not None


def _quotes_are_a_writers(text: str, way: _Way) -> bool:
    """Whether quotes stand where a writer puts them: around fields that need them, around all, or (csv) around whole fields."""
    return way.sep != "\t" or _is_quoted_throughout(text, way) or _is_quoted_where_needed(text, way)


def _is_quoted_throughout(text: str, way: _Way) -> bool:
    """Whether each field of the text is quoted, but for numbers."""
    found = (field for _, fields in _parse(text, way.sep, way.quote, way.escape) for field in fields)
    names = next(_parse(text, way.sep, way.quote, way.escape))[1]
    return text.count(way.quote) >= 2 * sum(1 for _ in found) - 2 * len(names) and text.startswith(way.quote)


def _is_quoted_where_needed(text: str, way: _Way) -> bool:
    """Whether writing the records with as few quotes as possible gives the text again."""
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=way.sep, quotechar=way.quote, lineterminator="\n")
    writer.writerows(fields for _, fields in _parse(text, way.sep, way.quote, way.escape))
    return sink.getvalue().split("\n") == [*text.replace("\r\n", "\n").rstrip("\n").split("\n"), ""]


def _first_difference(text: str, one: _Way, other: _Way) -> int:
    pairs = zip(*(_parse(text, way.sep, way.quote, way.escape) for way in (one, other)), strict=False)
    return next((min(a[0], b[0]) for a, b in pairs if a[1] != b[1]), 1)


def _parse(text: str, sep: str, quote: str, escape: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a text, each with the number of its last line; blank lines are none.

    Raises:
        csv.Error: a quoted field does not end, or goes on behind its quote.
    """
    if escape in (INSIDE, EVERYWHERE):
        yield from _parse_backslashes(text, sep, quote, escape == EVERYWHERE)
        return
    csv.field_size_limit(sys.maxsize)
    quoting: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if not quote else {"quotechar": quote, "doublequote": escape == quote}
    if quote and escape != quote:
        quoting["escapechar"] = escape
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep, strict=True, **quoting)
    for fields in reader:
        if fields:
            yield reader.line_num, fields


def _parse_backslashes(text: str, sep: str, quote: str, everywhere: bool) -> Iterator[tuple[int, list[str]]]:
    """As `_parse`, of a text whose quotes and backslashes are escaped by backslashes.

    Raises:
        csv.Error: as `_parse`; or a backslash stands before a character that no writer escapes.
    """
    q, s = re.escape(quote), re.escape(sep)
    outside = rf"[^{s}{q}\\\r\n]*(?:\\.[^{s}{q}\\\r\n]*)*" if everywhere else rf"[^{s}{q}\r\n]*"
    field = re.compile(rf"(?:{q}([^{q}\\]*(?:\\.[^{q}\\]*)*){q}|({outside}))({s}|\r\n|\n|\r|\Z)", re.DOTALL)
    place, line, fields = 0, 1, list[str]()
    while place < len(text):
        match = field.match(text, place)
        if match is None:
            raise csv.Error("a quoted field that does not end, or goes on behind its quote,")
        quoted, plain, end = match.groups()
        place = match.end()
        if quoted is not None:
            fields.append(_unescaped(quoted, quote + "\\"))
        else:
            fields.append(_unescaped(plain, quote + "\\\r\n" + sep) if everywhere else plain)
        line += (quoted or plain or "").count("\n")
        if end == sep and place < len(text):
            continue
        if end == sep:
            fields.append("")
        if fields != [""] or quoted is not None:
            yield line, fields
        line, fields = line + end.count("\n"), []


def _unescaped(field: str, escapes: str) -> str:
    def character(pair: re.Match[str]) -> str:
        if pair[1] not in escapes:
            raise csv.Error(f"a backslash before {pair[1]!r}, which needs none,")
        return pair[1]

    return re.sub(r"\\(.)", character, field, flags=re.DOTALL)
