"""Command lines of the jobs: flags for every Param, one JSON line of results, exit codes.

Exit codes: 0 done; 1 failed while it ran; 2 the input was refused before any work started.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError, TrainingError, nearest

if TYPE_CHECKING:
    from pyspark.ml.param import Param
    from pyspark.sql import SparkSession

Job = Callable[["SparkSession", argparse.Namespace], dict[str, Any]]


def run_job(job: Job, parser: argparse.ArgumentParser, argv: list[str] | None = None) -> int:
    """Parse a command line, run a job in the active session or in one of its own, print its results as one JSON line.

    Args:
        job: takes the session and the parsed flags; gives a JSON object.
        parser: from `make_parser`; flags that it does not know are given as `args.extra`, a dict, where it says so.
        argv: the flags; default those of this process.

    Returns:
        The exit code.
    """
    from sparknlp_tx.session import active_or_local_session

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    argv = sys.argv[1:] if argv is None else argv
    try:
        options = parse(parser, argv)
        spark, ours = _session(active_or_local_session)
        try:
            result = job(spark, options)
        finally:
            if ours:
                spark.stop()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result, ensure_ascii=False), flush=True)
    return 0


def make_parser(name: str, description: str, extra: bool = False) -> argparse.ArgumentParser:
    """A parser whose help is a script's docstring.

    Args:
        extra: keep flags that the parser does not know, as `args.extra`.
    """
    parser = argparse.ArgumentParser(
        prog=name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.set_defaults(extra={} if extra else None)
    return parser


def add_param_flags(parser: argparse.ArgumentParser, params: list["Param"]) -> None:
    """A flag in kebab-case for each Param; those given end up in `args.params` by the Params' names."""
    group = parser.add_argument_group("Params, by their Spark names in kebab-case")
    for param in params:
        group.add_argument(flag(param.name), dest=f"param:{param.name}", metavar="VALUE", help=param.doc.replace("%", "%%"))


def flag(name: str) -> str:
    """`numTrainEpochs` and `num_train_epochs` to `--num-train-epochs`."""
    return "--" + "".join("-" + c.lower() if c.isupper() else c for c in name).replace("_", "-")


def parse(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """Parse; a flag given twice and a flag that does not exist are errors.

    Raises:
        InputError: as said. Argparse ends the process with 2 where a required flag is missing.
    """
    argv = [_dashes(word) for word in argv]
    given = [word.partition("=")[0] for word in argv if word.startswith("--")]
    for name in given:
        if given.count(name) > 1:
            raise InputError("each flag once", f"{name} {given.count(name)} times", "Take one of them out.")
    options, rest = parser.parse_known_args(argv)
    own = {name.removeprefix("param:"): value for name, value in vars(options).items() if name.startswith("param:")}
    options.params = {name: value for name, value in own.items() if value is not None}
    if rest and options.extra is None:
        raise InputError("flags of this job", rest[0], nearest(rest[0], list(parser._option_string_actions)))
    options.extra = _pairs(rest)
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
                stage._set(**{name: text})  # a name that looks like a number
            except TypeError:
                raise InputError(f"a value for {flag(name)}", repr(text), str(error)) from None
    return stage


def _session(make: Callable[[], "SparkSession"]) -> tuple["SparkSession", bool]:
    """The session to use and whether it was made here."""
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    return (active, False) if active is not None else (make(), True)
