"""The command line: `sparknlp-tx COMMAND`, and the scripts in `jobs/`, which are the same.

Flags for every Param, one JSON line of results. Exit codes: 0 done; 1 failed while it ran; 2 the input was refused before any work
started, or `--explain` found that it would fail.
"""

import argparse
import contextlib
import difflib
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sparknlp_tx.config import flag, flags_of_file
from sparknlp_tx.errors import InputError, JobError, input_error_in, nearest, reason_of
from sparknlp_tx.progress import say
from sparknlp_tx.signals import terminations
from sparknlp_tx.task_values import set_task_values

if TYPE_CHECKING:
    from types import ModuleType

    from pyspark.ml.param import Param
    from pyspark.sql import SparkSession

COMMANDS = ("prepare", "train", "evaluate", "score")  # each a module of `jobs`: `parser()` and `run(spark, options)`

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
        told = error if isinstance(error, JobError) else input_error_in(error)  # of an executor, amid a page of Spark's
        more = " (--debug shows where)" if told is None else ""
        say(f"error: {told or f'{type(error).__name__}: {reason_of(error)}'}{more}")
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
        The exit code: 2 where the results name problems.

    Raises:
        InputError: the input was refused. JobError: the work had begun and could not be ended.
    """
    from sparknlp_tx.session import active_or_local_session

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    options = parse(job.parser(), argv)
    spark, ours = _session(lambda: active_or_local_session(quiet=not options.debug))
    try:
        result = job.run(spark, options)
    finally:
        if ours:
            with contextlib.suppress(Exception):  # the work is done, or has failed for another reason
                spark.stop()
    _print_result(result)
    set_task_values(result)
    return 2 if result.get("problems") else 0


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
    return importlib.import_module(f"sparknlp_tx.jobs.{command}")


def _about(what: str, words: list[str]) -> str:
    """The version, a completion script, or the help."""
    from sparknlp_tx.version import __version__

    if what == "--version":
        return __version__
    if what == "--completion":
        return _completion(words[0] if words else "")
    first_lines = ((name, (_job(name).__doc__ or "").splitlines()[0]) for name in COMMANDS)
    return HELP.format(commands="\n".join(f"  {name:<15}  {line}" for name, line in first_lines))


def _completion(shell: str) -> str:
    """A script that completes commands and flags, made by `shtab`."""
    import shtab

    if shell not in shtab.SUPPORTED_SHELLS:
        raise InputError("a shell", repr(shell), nearest(shell, shtab.SUPPORTED_SHELLS))
    whole = argparse.ArgumentParser("sparknlp-tx")
    commands = whole.add_subparsers()
    explained = commands.add_parser("explain", help="what a command would do and take").add_subparsers()
    for name, parsers in ((name, parsers) for name in COMMANDS for parsers in (commands, explained)):
        job = _job(name)
        line = (job.__doc__ or "").splitlines()[0]
        parsers.add_parser(name, parents=[job.parser()], add_help=False, help=line, description=line)
    return shtab.complete(whole, shell)


def make_parser(name: str, description: str, extra: bool = False) -> argparse.ArgumentParser:
    """A command's parser, with the flags that every command has; its help is the job's docstring.

    Args:
        extra: keep flags that the parser does not know, as `args.extra`.
    """
    parser = argparse.ArgumentParser(
        prog=f"sparknlp-tx {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(extra={} if extra else None)
    parser.add_argument("--config", metavar="FILE.yml", help="flags from a YAML file, by name; the command line's win")
    parser.add_argument("--debug", action="store_true", help="errors with their tracebacks, and Spark's own log")
    parser.add_argument("--explain", action="store_true", help="say what would be done and what it would take; write nothing")
    return parser


def add_param_flags(parser: argparse.ArgumentParser, params: list["Param"]) -> None:
    """A flag in kebab-case for each Param; those given end up in `args.params` by the Params' names."""
    group = parser.add_argument_group("Params, by their Spark names in kebab-case")
    for param in params:
        group.add_argument(flag(param.name), dest=f"param:{param.name}", metavar="VALUE", help=param.doc.replace("%", "%%"))


def parse(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """Parse; a flag given twice and a flag that does not exist are errors.

    Raises:
        InputError: as said. Argparse ends the process with 2 where a required flag is missing.
    """
    argv = [_dashes(word) for word in argv]
    argv = flags_of_file(parser, argv) + argv
    given = [word.partition("=")[0] for word in argv if word.startswith("--")]
    for name in given:
        if given.count(name) > 1:
            raise InputError("each flag once", f"{name} {given.count(name)} times", "Take one of them out.")
    known = list(parser._option_string_actions)
    for name in given if parser.get_default("extra") is None else ():
        if name not in known:  # before argparse says which flag is missing instead
            raise InputError("flags of this job", name, nearest(name, known))
    options, rest = parser.parse_known_args(argv)
    own = {name.removeprefix("param:"): value for name, value in vars(options).items() if name.startswith("param:")}
    options.params = {name: value for name, value in own.items() if value is not None}
    if rest and options.extra is None:
        raise InputError("flags of this job", rest[0], "Put a flag before it, or quotes around values with spaces.")
    options.extra = _pairs(rest)
    for name in options.extra:
        if near := difflib.get_close_matches(flag(name), known, n=1, cutoff=0.8):
            raise InputError("flags of this job or TrainingArguments", flag(name), f"Did you mean {near[0]!r}?")
    return options


def _dashes(word: str) -> str:
    """`--warmup_steps=5` to `--warmup-steps=5`."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _pairs(words: list[str]) -> dict[str, Any]:
    """Flags that the parser does not know, by name in snake_case; a flag without a value is true."""
    pairs: dict[str, Any] = {}
    name = None
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = name.replace("-", "_")
            pairs[name] = json_value(value) if equals else True
        elif name is None or pairs[name] is not True:
            raise InputError("flags and their values", repr(word), "Put a flag before it, or quotes around values with spaces.")
        else:
            pairs[name] = json_value(word)
    return pairs


def json_value(text: str) -> Any:
    """A flag's value: JSON where it is JSON (`3`, `0.5`, `true`, `{"a": 1}`), else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"True": True, "False": False}.get(text, text)


def set_params(stage: Any, params: dict[str, str]) -> Any:
    """Set Params from their flags; returns the stage.

    Raises:
        InputError: a value that the Param does not take.
    """
    for name, text in params.items():
        try:
            stage._set(**{name: json_value(text)})
        except TypeError as error:
            try:
                stage._set(
                    **{name: json_value(f"[{text}]") if name == "thresholds" else text}
                )  # a name that looks like a number
            except TypeError:
                raise InputError(f"a value for {flag(name)}", repr(text), str(error)) from None
    return stage


def _session(make: Callable[[], "SparkSession"]) -> tuple["SparkSession", bool]:
    """The session to use, and whether it is to be stopped: one that was made here, but never a workspace's."""
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        return active, False
    return make(), not os.environ.get("DATABRICKS_RUNTIME_VERSION")
