"""Smoke rows: a few texts that an endpoint has to answer, one prediction a row. Their text is never said."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow

from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.ml.live_metrics import brief_requests
from sparknlp_tx.serving.deployment.endpoint import CallError, Endpoint
from sparknlp_tx.tracking.registry import Version

MOST_ROWS, MOST_BYTES = 1000, 16 * 1024 * 1024  # Databricks takes 16 MB in a request


@dataclass(frozen=True)
class SmokeRows:
    """Rows as the body of a request. `count`: how many; `source`: whence, for people."""

    payload: dict[str, Any]
    count: int
    source: str

    def failure(self, endpoint: Endpoint, entity: str | None) -> str | None:
        """Send them; None where each has its prediction, else what is wrong, without a word of theirs."""
        try:
            answer = endpoint.predict(self.payload, entity)
        except CallError as error:
            return str(error)
        found = answer.get("predictions")
        if not isinstance(found, list):
            return "an answer without a list of predictions"
        return None if len(found) == self.count else f"{len(found)} predictions for {self.count} rows"


def smoke_rows(version: Version, file: str | None) -> SmokeRows:
    """The rows of a file, else the input example that was logged with a version; the model is not loaded.

    Args:
        file: CSV with a header (`.csv`), or JSON lines: an object of columns a line, or a text.

    Raises:
        InputError: there are none, they lack the model's columns, or are too many for a request.
    """
    try:
        with brief_requests(timeout=30):
            model = mlflow.models.Model.load(version.uri)
            example = (
                None if file else mlflow.models.convert_input_example_to_serving_input(model.load_input_example(version.uri))
            )
    except Exception as error:
        found = f"none that can be read ({type(error).__name__})"
        raise InputError(f"the files of {version.uri} in MLflow", found, "Check MLFLOW_TRACKING_URI and the login.") from error
    if file is None:
        if example is None:
            raise InputError(f"rows to test {version.uri} with", "no input example", "Give some (--smoke FILE).")
        rows = _example(json.loads(example), version)
    else:
        rows = _rows_of_file(Path(file).expanduser(), _text_columns(model))
    if not 1 <= rows.count <= MOST_ROWS:
        raise InputError(f"1 to {MOST_ROWS} smoke rows", f"{rows.count} in {rows.source}", "Give some of them.")
    if len(json.dumps(rows.payload)) > MOST_BYTES:
        raise InputError("smoke rows of 16 MB at most", f"more in {rows.source}", "Give fewer or shorter ones.")
    return rows


def _example(payload: dict[str, Any], version: Version) -> SmokeRows:
    rows = payload["dataframe_split"]["data"] if "dataframe_split" in payload else next(iter(payload.values()))
    return SmokeRows(payload, len(rows) if isinstance(rows, list) else 1, f"the input example of {version.uri}")


def _text_columns(model: Any) -> list[str]:
    """The columns that a model's signature names; those of a list, which have numbers for names, left out."""
    inputs = model.signature.inputs if model.signature else None
    return [str(name) for name in (inputs.input_names() if inputs else []) if not str(name).isdigit()]


def _rows_of_file(file: Path, columns: list[str]) -> SmokeRows:
    if not file.is_file():
        raise InputError(f"smoke rows at {file}", "no such file", "Give a CSV file or JSON lines.")
    try:
        rows = _csv_rows(file) if file.suffix.lower() == ".csv" else _json_rows(file, columns)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"a CSV file or JSON lines at {file}", type(error).__name__, "Write it in UTF-8.") from None
    columns = columns or list(rows[0] if rows else [])
    for number, row in enumerate(rows, 1):
        missing = [name for name in columns if name not in row]
        if missing:
            given = [str(name) for name in row]
            raise InputError(f"a column {missing[0]!r} in row {number} of {file}", "none", nearest(missing[0], given))
    data = [[row[name] for name in columns] for row in rows]
    return SmokeRows({"dataframe_split": {"columns": columns, "data": data}}, len(rows), str(file))


def _csv_rows(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines, strict=True))
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise InputError(f"as many fields as the header has in row {number} of {file}", "others", "Quote fields.")
    return rows


def _json_rows(file: Path, columns: list[str]) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if isinstance(row, str) and len(columns) == 1:
            row = {columns[0]: row}
        if not isinstance(row, dict):
            wanted = f"{{{', '.join(f'{name!r}: ...' for name in columns)}}}"
            raise InputError(f"an object of columns in line {number} of {file}", "something else", f"Write {wanted}.")
        rows.append(row)
    return rows
