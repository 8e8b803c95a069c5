"""The command line: `sparknlp-tx COMMAND`, and the scripts in `jobs/`, which are the same.

Flags for every Param, one JSON line of results. Exit codes: 0 done; 1 failed while it ran; 2 the input was refused before any work
started, or `--explain` found that it would fail; 3 a gate refused the candidate.
"""

import argparse
import contextlib
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sparknlp_tx.cli.flags import parse
from sparknlp_tx.cli.signals import terminations
from sparknlp_tx.cli.task_values import set_task_values
from sparknlp_tx.errors import InputError, JobError, input_error_in, nearest, reason_of
from sparknlp_tx.progress import say

if TYPE_CHECKING:
    from types import ModuleType

    from pyspark.sql import SparkSession

# Each a module of `commands`: `parser()` and `run(spark, options)`.
COMMANDS = ("prepare", "train", "tune", "evaluate", "compare", "gate", "promote", "rollback", "score", "serve", "deploy")
HELP = """usage: sparknlp-tx COMMAND [FLAGS]

{commands}
  explain COMMAND  what it would do and take, without doing it: the same as COMMAND --explain

  sparknlp-tx COMMAND --help          every flag, with examples
  sparknlp-tx --completion bash|zsh   a script for the shell: eval "$(sparknlp-tx --completion bash)"
  sparknlp-tx --version"""


def main(argv: list[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: the command and its flags; default those of this process.

    Returns:
        The exit code.
    """
    argv = sys.argv[1:] if argv is None else argv
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # read when mlflow is imported: of its steps nobody needs to hear
    try:
        with terminations():
            return _run(argv)
    except InputError as error:
        say(f"error: {error}")
        return 2
    except Exception as error:
        if "--debug" in argv:
            raise
        message = error if isinstance(error, JobError) else input_error_in(error)  # of an executor, amid a page of Spark's
        more = " (--debug shows where)" if message is None else ""
        say(f"error: {message or f'{type(error).__name__}: {reason_of(error)}'}{more}")
        return 1


def _run(argv: list[str]) -> int:
    """As `main`, whatever is raised."""
    command, flags = (argv[0], argv[1:]) if argv else ("--help", [])
    if command in ("--help", "-h", "--version", "--completion"):
        print(_about(command, flags))
        return 0
    if command == "explain":
        if not flags or flags[0].startswith("-"):
            raise InputError("a command to explain", flags[0] if flags else "none", f"One of {', '.join(COMMANDS)}.")
        command, flags = flags[0], [*flags[1:], "--explain"]
    if command not in COMMANDS:
        raise InputError("a command", repr(command), nearest(command, [*COMMANDS, "explain"]))
    return run_job(_job(command), flags)


def script() -> None:
    """The console script, and a task of a Databricks job, which takes any `SystemExit` for a failure, and no other code for one."""
    code = main()
    if code:
        sys.exit(code)


def run_job(job: "ModuleType", argv: list[str]) -> int:
    """Parse a job's flags, run it in the active session or in one of its own, print its results as one JSON line.

    Returns:
        The exit code: 2 where the results name problems, 3 where gates refused.

    Raises:
        InputError: the input was refused. JobError: the work had begun and could not be ended.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    options = parse(job.parser(), argv)
    result = _result(job, options)
    _print_result(result)
    set_task_values(result)
    return 2 if result.get("problems") else 3 if result.get("refused") else 0


def _result(job: "ModuleType", options: argparse.Namespace) -> dict[str, Any]:
    """What a job gives, in the active session, in one of its own, or without any where it needs none."""
    if not getattr(job, "NEEDS_SPARK", True):
        return job.run(None, options)
    from sparknlp_tx.spark.session import active_or_local_session

    spark, ours = _session(lambda: active_or_local_session(quiet=not options.debug))
    try:
        return job.run(spark, options)
    finally:
        if ours:
            with contextlib.suppress(Exception):  # the work is done, or has failed for another reason
                spark.stop()


def _print_result(result: dict[str, Any]) -> None:
    """Print the result as one line that standard output can take; where nobody reads it any more, the work is done all the same."""
    line = json.dumps(result, ensure_ascii=False)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except (LookupError, UnicodeEncodeError):
        line = json.dumps(result)
    try:
        print(line, flush=True)
    except OSError as error:
        say(f"warning: the result could not be printed ({error}): {json.dumps(result)}")


def _job(command: str) -> "ModuleType":
    return importlib.import_module(f"sparknlp_tx.cli.commands.{command}")


def _about(what: str, words: list[str]) -> str:
    """The version, a completion script, or the help."""
    from sparknlp_tx.version import __version__

    if what == "--version":
        return __version__
    if what == "--completion":
        import shtab

        shell = words[0] if words else ""
        if shell not in shtab.SUPPORTED_SHELLS:
            raise InputError("a shell", repr(shell), nearest(shell, shtab.SUPPORTED_SHELLS))
        return shtab.complete(whole_parser(), shell)
    lines = {name: _summary(parser) for name, parser in parsers().items()}
    return HELP.format(commands="\n".join(f"  {name:<15}  {line}" for name, line in lines.items()))


def whole_parser() -> argparse.ArgumentParser:
    """All commands and their flags in one tree of parsers, for the shells' completion."""

    whole = argparse.ArgumentParser("sparknlp-tx", add_help=False)
    commands = whole.add_subparsers()
    explained = commands.add_parser("explain", help="what a command would do and take").add_subparsers()
    for name, parser in parsers().items():
        line = _summary(parser)
        for tree in (commands, explained):
            tree.add_parser(name, parents=[parser], add_help=False, help=line.replace("%", "%%"), description=line)
    return whole


def _summary(parser: argparse.ArgumentParser) -> str:
    return (parser.description or "").partition("\n")[0]


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The commands' own parsers, by name."""
    return {name: _job(name).parser() for name in COMMANDS}


def _session(make: Callable[[], "SparkSession"]) -> tuple["SparkSession", bool]:
    """The session to use, and whether it is to be stopped: one that was made here, but never a workspace's."""
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        return active, False
    return make(), not os.environ.get("DATABRICKS_RUNTIME_VERSION")
