"""The errors of this library: always what was expected, what was found, what to do."""

import difflib
import re
from collections.abc import Iterable


class InputError(ValueError):
    """Input that cannot be worked with, found before any work has started.

    The message has three parts: what was expected, what was found, what to do.
    """

    def __init__(self, expected: str, found: str, remedy: str):
        super().__init__(f"Expected {expected}; found {found}. {remedy}")
        self.expected, self.found, self.remedy = expected, found, remedy

    def __reduce__(self) -> tuple:
        return InputError, (self.expected, self.found, self.remedy)  # so that it crosses processes


def input_error_in(error: BaseException) -> InputError | None:
    """The InputError that an executor raised, in the error that Spark makes of it; None where there is none."""
    found = re.search(r"InputError: Expected (.+?); found (.+?)\. (.+)", str(error))
    return InputError(*(part.strip() for part in found.groups())) if found else None


class JobError(RuntimeError):
    """A job that had begun its work and could not end it. The message says what stands, what does not, and what to do."""


class TrainingError(JobError):
    """A training that had begun and cannot go on. With `checkpointDir` its last whole checkpoint is kept."""


class TrainingStopped(Exception):
    """Raised by whoever takes a training's metrics, to end the training: a tuner that prunes it."""


def nearest(name: str, names: Iterable[str]) -> str:
    """A remedy that offers the nearest of `names`, or lists them where none is near."""
    names = list(names)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not close:  # "Text" or "TEXT" for "text"
        close = [other for other in names if other.lower() == name.lower()]
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"There are: {', '.join(names) if names else 'none'}."


def reason_of(error: BaseException) -> str:
    """What an error says, in one line: of Spark's and Java's pages the cause, without its stack."""
    text = str(error).strip() or type(error).__name__
    causes = re.findall(r"^Caused by: (?:[\w.$]+(?:Exception|Error)?: )?(.+)$", text, re.MULTILINE)
    lines = [
        line for line in text.splitlines() if line.strip() and not re.match(r"\s*at |An error occurred while calling", line)
    ]
    line = causes[-1] if causes else lines[0] if lines else type(error).__name__
    line = re.sub(r"^:? ?(?:[\w$]+\.)+[\w$]+(?:Exception|Error): ", "", line.strip())  # a Java class's name
    return line if len(line) <= 400 else line[:397] + "..."
