"""pyspark's daemon, which prints no traceback where Spark ends a Python worker that had nothing to do for a minute.

Over Unix sockets that end is a broken pipe to the worker (Spark 4.1 and later); nothing was lost, and nobody can do anything about it.
"""

import sys
import traceback
from types import SimpleNamespace

from pyspark import daemon


def _print_exc() -> None:
    if not isinstance(sys.exc_info()[1], BrokenPipeError):
        traceback.print_exc()


if __name__ == "__main__":
    of_module = SimpleNamespace(print_exc=_print_exc, format_exc=traceback.format_exc)  # all that the daemon takes of it
    daemon.traceback = of_module  # type: ignore[assignment]  # it stands for a module
    daemon.manager()
