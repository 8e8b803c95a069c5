"""What was answered, as Parquet files in a folder: a row for each row scored; without texts unless they are asked for.

timestamp     timestamp (UTC)   when it was answered
request_id    string            of the request: its X-Request-Id, or one that was made
position      int               of the row in the request
model_id      string            the model's version, as the answer's X-Model-Version
prediction    string            the label, several joined by ", ", or the number of a regression
confidence    double            probability of the predicted label (of several labels, the largest); null for regression
characters    int               of the text, of a pair together
label         string            null: for the true label, once it is known
text          string            with `telemetry_texts` alone; of a pair the first
"""

import logging
import queue
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparknlp_tx.errors import InputError

log = logging.getLogger(__name__)
SCHEMA = pa.schema(
    [
        ("timestamp", pa.timestamp("us", "UTC")),
        ("request_id", pa.string()),
        ("position", pa.int32()),
        ("model_id", pa.string()),
        ("prediction", pa.string()),
        ("confidence", pa.float64()),
        ("characters", pa.int32()),
        ("label", pa.string()),
    ]
)
SECONDS, ROWS, MOST = 30.0, 50_000, 500_000  # a file's age and rows; rows that may wait


class Telemetry:
    """Writes files from a thread of its own: a slow or full disk costs rows of it, which are counted, and no answer.

    Args:
        folder: made where it is missing.
        texts: whether texts are kept, too.
        seconds: after which rows are written.

    Raises:
        InputError: nothing can be written there.
    """

    def __init__(self, folder: str, texts: bool = False, seconds: float = SECONDS):
        self._folder, self._texts, self._seconds = Path(folder).expanduser().absolute(), texts, seconds
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            probe = self._folder / f".{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            remedy = "Give a folder on this machine, or one that is mounted."
            raise InputError(f"a folder for --telemetry that can be written at {folder}", str(error), remedy) from None
        self.dropped = 0
        self._waiting = 0
        self._queue: queue.SimpleQueue[list[dict[str, Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def add(self, request_id: str, version: str, columns: list[list], labels: Sequence[Any], confidence: Any) -> None:
        """Keep the rows of a request; those for which there is no room are counted in `dropped`.

        Args:
            columns: of texts. labels: label, labels or number a row; None for an invalid text. confidence: float64 [n], or None.
        """
        if self._waiting + len(labels) > MOST:
            self.dropped += len(labels)
            return
        now = datetime.now(timezone.utc)
        rows = []
        for position, label in enumerate(labels):
            sure = None if confidence is None else float(confidence[position])
            row = {
                "timestamp": now,
                "request_id": request_id,
                "position": position,
                "model_id": version,
                "prediction": _shown(label),
                "confidence": None if sure is None or sure != sure else sure,
                "characters": sum(len(column[position] or "") for column in columns),
                "label": None,
            }
            rows.append(row | {"text": columns[0][position]} if self._texts else row)
        self._waiting += len(rows)
        self._queue.put(rows)

    def close(self) -> None:
        """Write what is left."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        rows: list[dict[str, Any]] = []
        due, open_ = time.monotonic() + self._seconds, True
        while open_:
            try:
                found = self._queue.get(timeout=max(0.0, due - time.monotonic()))
                open_ = found is not None
                rows += found or []
            except queue.Empty:
                pass
            if rows and (not open_ or len(rows) >= ROWS or time.monotonic() >= due):
                self._write(rows)
                self._waiting -= len(rows)
                rows = []
            if time.monotonic() >= due:
                due = time.monotonic() + self._seconds

    def _write(self, rows: list[dict[str, Any]]) -> None:
        """One file, there whole or not at all."""
        schema = SCHEMA.append(pa.field("text", pa.string())) if self._texts else SCHEMA
        name = f"{rows[0]['timestamp']:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}.parquet"
        hidden = self._folder / f".{name}"
        try:
            pq.write_table(pa.Table.from_pylist(rows, schema), hidden)
            hidden.rename(self._folder / name)
        except (OSError, pa.ArrowException) as error:
            self.dropped += len(rows)
            hidden.unlink(missing_ok=True)
            log.warning("%d rows of telemetry could not be written: %s", len(rows), type(error).__name__)


def _shown(label: Any) -> str | None:
    return ", ".join(label) if isinstance(label, list) else None if label is None else str(label)
