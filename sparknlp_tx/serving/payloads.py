"""What clients send: the bodies of `/invocations` and `/predict` as columns of texts. Errors name no value of a request."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparknlp_tx.errors import InputError, nearest

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs", "data")
PARAMS = ("top_k", "return", "threshold")
RETURNS = ("all", "labels", "probabilities")
SENTENCE = "sentence"  # what people call the text of {"data": {"sentence": "..."}}
Column = list[str | None]


class UnsupportedMedia(InputError):
    """A content type or encoding that is not read."""


@dataclass(frozen=True)
class Asked:
    """What a request asks of each row.

    Attributes:
        top_k: so many labels with their probabilities, the most probable first; None: the columns of `transform`.
        returned: `all`, `labels` or `probabilities`.
        threshold: in place of the model's own.
    """

    top_k: int | None = None
    returned: str = "all"
    threshold: float | None = None


@dataclass(frozen=True)
class Payload:
    """A request's texts: a column for each text column of the model, all of one length, and what is asked of them."""

    columns: list[Column]
    asked: Asked = field(default_factory=Asked)

    @property
    def rows(self) -> int:
        return len(self.columns[0])


def read_invocation(body: bytes, content_type: str, names: Sequence[str]) -> Payload:
    """The texts of a request as MLflow's server takes it, and as `{"data": ...}`.

    Args:
        names: of the model's text columns.

    Raises:
        UnsupportedMedia: another content type. InputError: whatever else is wrong with it.
    """
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if any(parameter not in ("charset=utf-8", 'charset="utf-8"', "") for parameter in parameters):
        raise UnsupportedMedia("a body in UTF-8", "another charset or parameter of the content type", "Send UTF-8.")
    if kind == JSON:
        return _of_json(read_json(body), names)
    if kind not in (CSV, PARQUET):
        raise UnsupportedMedia(f"the content type {JSON}, {CSV} or {PARQUET}", "another one", "Set Content-Type.")
    return Payload(_text_columns(_csv(body, names) if kind == CSV else _parquet(body), names))


def read_predict(body: bytes, width: int) -> tuple[list[Column], bool, bool]:
    """The texts of a request as text-embeddings-inference takes it: a text, a pair, or a batch of lists of one or two.

    Returns:
        The columns; whether it was one text and no batch; whether logits are asked for (`raw_scores`).
    """
    found = _object(read_json(body))
    unknown = set(found) - {"inputs", "truncate", "raw_scores", "truncation_direction"}
    if unknown or "inputs" not in found:
        raise InputError('an object with "inputs"', "other keys", 'Send {"inputs": "a text"}.')
    for flag in ("truncate", "raw_scores"):
        if not isinstance(found.get(flag, False), bool | None):
            raise InputError(f"true or false for {flag}", _kind(found[flag]), "Change it.")
    inputs = found["inputs"]
    alone = isinstance(inputs, str) or (isinstance(inputs, list) and bool(inputs) and isinstance(inputs[0], str))
    batch = [[inputs] if isinstance(inputs, str) else inputs] if alone else inputs
    if not isinstance(batch, list) or not batch:
        raise InputError("a text, a pair of texts or a list of such lists as inputs", _kind(batch), "Send at least one.")
    for number, row in enumerate(batch):
        if not isinstance(row, list) or not all(isinstance(text, str) for text in row):
            raise InputError(
                "lists of one or two texts as inputs", f"{_kind(row)} at {number}", 'Send [["a text"], ["another"]].'
            )
        if len(row) != width:
            expected = "one text" if width == 1 else "a text and its pair"
            raise InputError(f"{expected} in each list of inputs, as the model has it", f"{len(row)} at {number}", "Change it.")
    return [list(column) for column in zip(*batch, strict=True)], alone, bool(found.get("raw_scores"))


def read_json(body: bytes) -> Any:
    """JSON as RFC 8259 has it: no NaN, no infinities, no number or nesting that fills the memory.

    Raises:
        InputError: it is none.
    """
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except InputError:
        raise
    except RecursionError:
        raise InputError("JSON of a few levels", "one nested too deeply", "Send a flat list of texts.") from None
    except UnicodeDecodeError:
        raise InputError("a body in UTF-8", "other bytes", "Encode it as UTF-8.") from None
    except json.JSONDecodeError as error:
        found = "an empty body" if not body else f"none: {error.msg} at character {error.pos}"
        raise InputError("JSON", found, "Send an object, and Content-Type: application/json.") from None
    except ValueError:  # a whole number of thousands of digits
        raise InputError("JSON with numbers of a usual length", "a longer one", "Send texts as strings.") from None


def _no_constant(name: str) -> Any:
    raise InputError("JSON", f"{name}, which is none", "Send null.")


def _object(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise InputError(
            "a JSON object", _kind(found), 'Send {"dataframe_records": [{"text": "..."}]}, or another of its forms.'
        )
    return found


def _of_json(body: Any, names: Sequence[str]) -> Payload:
    found = _object(body)
    forms = [form for form in FORMS if form in found]
    others = [key for key in found if key not in (*FORMS, "params", "signature_name")]
    if len(forms) != 1 or others:
        what = f"{len(forms)} of them" if not others else "a key that is none of them"
        remedy = nearest(others[0][:40], (*FORMS, "params")) if others else "Send exactly one."
        raise InputError(f"one of {', '.join(FORMS)}, and params where you like", what, remedy)
    read: dict[str, Callable[[Any, Sequence[str]], Mapping[Any, list]]] = {
        "dataframe_split": _split,
        "dataframe_records": _records,
        "instances": _instances,
        "inputs": _inputs,
        "data": _data,
    }
    table = read[forms[0]](found[forms[0]], names)
    return Payload(_text_columns(table, names), _asked(found.get("params")))


def _split(value: Any, names: Sequence[str]) -> Mapping[Any, list]:
    if not isinstance(value, dict) or "data" not in value or set(value) - {"data", "columns", "index"}:
        raise InputError("an object with columns and data as dataframe_split", _kind(value), "Send both, or another form.")
    rows = value["data"]
    if not isinstance(rows, list):
        raise InputError("a list of rows as data", _kind(rows), "Send [[...], [...]].")
    rows = [row if isinstance(row, list) else [row] for row in rows]
    width = len(rows[0]) if rows else len(names)
    columns = value.get("columns")
    columns = list(range(width)) if columns is None else columns
    if not isinstance(columns, list) or any(len(row) != len(columns) for row in rows):
        raise InputError("as many columns as each row of data has values", "other numbers", "Send a name for each.")
    return _by_column(columns, rows)


def _records(value: Any, names: Sequence[str]) -> Mapping[Any, list]:
    if not isinstance(value, list):
        raise InputError("a list of records", _kind(value), 'Send [{"text": "..."}].')
    if value and all(isinstance(row, dict) for row in value):
        return {key: [row.get(key) for row in value] for key in dict.fromkeys(key for row in value for key in row)}
    return _rows(value, names)


def _instances(value: Any, names: Sequence[str]) -> Mapping[Any, list]:
    if isinstance(value, dict):
        return _inputs(value, names)
    return _records(value, names)


def _inputs(value: Any, names: Sequence[str]) -> Mapping[Any, list]:
    if isinstance(value, str):
        return {0: [value]}
    if isinstance(value, dict):
        lists = {key: column if isinstance(column, list) else [column] for key, column in value.items()}
        if len(set(map(len, lists.values()))) > 1:
            raise InputError("columns of one length", "several lengths", "Send as many values for each.")
        return lists
    return _records(value, names)


def _data(value: Any, names: Sequence[str]) -> Mapping[Any, list]:
    """`{"sentence": "..."}`, `[{"text": "..."}]`, or texts; what people send who have read other servers' pages."""
    table = _inputs(value, names)
    if len(names) == 1 and names[0] not in table:
        for other in (SENTENCE, "text", "inputs"):
            if other in table:
                return {**table, names[0]: table[other]}
    return table


def _rows(value: list, names: Sequence[str]) -> Mapping[Any, list]:
    """Rows without names: texts, or lists of as many as there are text columns."""
    rows = [row if isinstance(row, list) else [row] for row in value]
    width = len(rows[0]) if rows else 0
    if any(len(row) != width for row in rows):
        raise InputError("rows of one length", "several lengths", "Send as many values for each.")
    return _by_column(range(width), rows)


def _by_column(columns: Sequence[Any], rows: list[list]) -> Mapping[Any, list]:
    if any(isinstance(name, list | dict) for name in columns):
        raise InputError("names as columns", "lists or objects", "Send strings.")
    return {name: [row[place] for row in rows] for place, name in enumerate(columns)}


def _csv(body: bytes, names: Sequence[str]) -> Mapping[Any, list]:
    import pandas as pd

    try:
        frame = pd.read_csv(io.StringIO(body.decode("utf-8")), dtype=dict.fromkeys(names, object))
    except Exception:  # pandas' own kinds, which may quote a line
        raise InputError(
            "CSV in UTF-8 with a line of names", "something else", "Write it by pandas' to_csv(index=False)."
        ) from None
    return _of_frame(frame)


def _parquet(body: bytes) -> Mapping[Any, list]:
    import pandas as pd

    try:
        return _of_frame(pd.read_parquet(io.BytesIO(body)))
    except Exception:
        raise InputError("a Parquet file", "something else", "Write it by pandas' to_parquet.") from None


def _of_frame(frame: Any) -> Mapping[Any, list]:
    return {name: [None if value != value else value for value in frame[name].tolist()] for name in frame.columns}


def _text_columns(table: Mapping[Any, list], names: Sequence[str]) -> list[Column]:
    """The text columns by name, or the leading ones by number; as the pyfunc takes them."""
    numbers = list(range(len(names)))
    given = [name for name in (*names, *numbers) if name in table]
    if given not in (list(names), numbers):
        parts = " and ".join(map(repr, names))
        others = [name[:40] for name in table if isinstance(name, str)]
        near = next((nearest(name, others) for name in names if name not in table and others), "")
        remedy = near if near.startswith("Did you mean") else "Send it by that name, or a list of texts."
        raise InputError(f"{parts} as column{'s'[: len(names) - 1]}", "other columns" if table else "no rows", remedy)
    columns = [table[name] for name in given]
    if not columns[0]:
        raise InputError("at least one row", "none", "Send a text.")
    for name, column in zip(names, columns, strict=True):
        for row, value in enumerate(column):
            if value is not None and not isinstance(value, str):
                raise InputError(f"a text or null in column {name!r}", f"{_kind(value)} in row {row}", "Send strings.")
    return columns


def _asked(params: Any) -> Asked:
    if params is None:
        return Asked()
    if not isinstance(params, dict):
        raise InputError("an object as params", _kind(params), f"Its keys: {', '.join(PARAMS)}.")
    for key in params:
        if key not in PARAMS:
            raise InputError(f"params of {', '.join(PARAMS)}", "another one", nearest(key[:40], PARAMS))
    top_k, returned, threshold = (params.get(key) for key in PARAMS)
    if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= 10_000):
        raise InputError("a whole number from 1 as top_k", _kind(top_k), "Send 3, or leave it out.")
    if returned not in (None, *RETURNS):
        raise InputError(f"one of {', '.join(RETURNS)} as return", "something else", "Change it.")
    if threshold is not None and (
        isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1
    ):
        raise InputError("a number from 0 to 1 as threshold", _kind(threshold), "Change it.")
    return Asked(top_k, returned or "all", threshold)


def _kind(value: Any) -> str:
    """What a value is, without the value."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return "null" if value is None else kinds.get(type(value), type(value).__name__)
