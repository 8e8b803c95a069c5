"""SIGTERM, which every scheduler sends, ends a command as Ctrl-C does: its run is closed and its temporary files are removed."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(SystemExit):
    """The process received SIGTERM. A SystemExit, so that no `except Exception` catches it."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def terminations() -> Iterator[None]:
    """Within it SIGTERM raises `Terminated`; that and Ctrl-C end in a sentence and the exit codes 143 and 130.

    Signals can be handled in a process's main thread only; elsewhere (a notebook's, a service's) nothing is changed. A handler
    other than Python's default is left alone.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except KeyboardInterrupt:
        _say("interrupted")
        raise SystemExit(128 + signal.SIGINT) from None
    except Terminated:
        _say("ended by SIGTERM")
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would cut off what is being put away
    raise Terminated


def _say(what: str) -> None:
    print(f"error: The job was {what} before its work was done. Run it again.", file=sys.stderr, flush=True)
