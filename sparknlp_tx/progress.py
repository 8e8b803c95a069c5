"""Progress that reads well in a terminal, in a notebook and in a log file; always on standard error."""

import sys
import time

from tqdm.auto import tqdm

LOG_SECONDS = 10.0, 60.0  # between two lines of a log: at least, at most


class Progress:
    """Counts work done: a bar where someone watches, else lines in a log: one after ten seconds, then ever fewer, at least one a minute.

    Args:
        title: what is being done.
        total: how many units there are, None where that is not known.
        unit: what is counted.
    """

    def __init__(self, title: str, total: float | None = None, unit: str = "rows"):
        self.title, self.total, self.unit = title, total, unit
        self.done = 0.0
        self._begin = self._last = time.monotonic()
        watched = sys.stderr.isatty() or "ipykernel" in sys.modules
        self._bar = tqdm(desc=title, total=total, unit=f" {unit}", file=sys.stderr) if watched else None

    def update(self, done: float, note: str = "") -> None:
        """Say how much is done by now, and a note beside it."""
        now = time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self.done)
        self.done = done
        if self._bar is None and now - self._last >= min(max(LOG_SECONDS[0], (self._last - self._begin) / 2), LOG_SECONDS[1]):
            self._last = now
            self._say(now, note)

    def close(self, note: str = "") -> None:
        """Say the end."""
        if self._bar is not None:
            self._bar.close()
        else:
            self._say(time.monotonic(), note)

    def _say(self, now: float, note: str) -> None:
        seconds = max(now - self._begin, 1e-9)
        rate = self.done / seconds
        parts = [f"{self.done:,.0f}" + (f"/{self.total:,.0f}" if self.total else "") + f" {self.unit}"]
        parts.append(f"{rate:,.0f} {self.unit}/s")
        if self.total and rate and self.done < self.total:
            parts.append(f"{(self.total - self.done) / rate:,.0f} s left")
        parts.append(f"{seconds:,.0f} s")
        print(f"{self.title}: " + ", ".join(parts) + (f" | {note}" if note else ""), file=sys.stderr, flush=True)


def say(line: str) -> None:
    """Progress and summaries go to standard error: standard output is the result's."""
    print(line, file=sys.stderr, flush=True)


def since(begin: float) -> float:
    """Seconds since a reading of `time.monotonic()`."""
    return round(time.monotonic() - begin, 1)
