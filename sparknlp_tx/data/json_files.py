"""Whether a JSON file is an array or one object a line; strictly, so that nothing is misread."""

import json
from pathlib import Path
from typing import Any

from sparknlp_tx.data.delimited import OPENERS
from sparknlp_tx.errors import InputError


def checked_json(file: Path) -> bool:
    """Whether a JSON file is one array (or object) over many lines, not one object a line; strictly.

    Raises:
        InputError: it is neither; says which lines are broken.
    """
    with OPENERS.get(file.suffix.lower(), open)(file, "rb") as stream:  # type: ignore[operator]
        broken: list[int] = []
        keys: set[str] = set()
        lines = 0
        for number, line in enumerate(stream, 1):
            if not line.strip(b"\xef\xbb\xbf \t\r\n"):
                continue
            lines += 1
            if lines == 1 and line.lstrip(b"\xef\xbb\xbf \t").startswith(b"["):
                break
            if not _is_object(line, keys):
                broken.append(number)
        else:
            if not lines:
                raise InputError(f"rows in {file}", "an empty file", "Check the file.")
            if not broken:
                _check_keys(file, keys)
                return False
        stream.seek(0)
        keys.clear()
        try:
            found = json.loads(stream.read().decode("utf-8-sig"), **_strict(keys))
            if not isinstance(found, dict | list) or not all(isinstance(row, dict) for row in found if isinstance(found, list)):
                raise ValueError("values that are no objects")
        except ValueError as error:
            problem = f"{len(broken)} of {lines} lines that are none, the first is line {broken[0]}" if broken else str(error)
            expected = f"json in UTF-8, one object a line or one array of them, each key once, in {file}"
            raise InputError(expected, problem, "Mend or remove them.") from None
    _check_keys(file, keys)
    return True


def _strict(keys: set[str]) -> dict[str, Any]:
    """How json is read: a key twice in an object, and NaN, are errors; `keys` collects the names of all keys."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        keys.update(name for name, _ in found)
        if len({name.lower() for name, _ in found}) < len(found):
            raise ValueError("a key twice in one object")
        return dict(found)

    def constant(name: str) -> Any:
        raise ValueError(f"{name}, which is no json")

    return {"object_pairs_hook": pairs, "parse_constant": constant}


def _is_object(line: bytes, keys: set[str]) -> bool:
    try:
        return isinstance(json.loads(line.decode("utf-8-sig"), **_strict(keys)), dict)
    except ValueError:
        return False


def _check_keys(file: Path, keys: set[str]) -> None:
    """Raise InputError where keys differ in their capitals alone: Spark takes them for one column."""
    lowered: dict[str, str] = {}
    for key in sorted(keys):
        if lowered.setdefault(key.lower(), key) != key:
            raise InputError(f"one spelling of each key in {file}", f"{lowered[key.lower()]!r} and {key!r}", "Rename one.")
