"""Flags of a command: parsers, Params as flags, values."""

import argparse
import difflib
import json
from typing import TYPE_CHECKING, Any

from sparknlp_tx.cli.config_file import flag, flags_of_file
from sparknlp_tx.errors import InputError, nearest

if TYPE_CHECKING:
    from pyspark.ml.param import Param


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


def set_params(stage: Any, params: dict[str, Any]) -> Any:
    """Set Params from their flags, or from values of Python; returns the stage.

    Raises:
        InputError: there is no such Param, or it does not take the value.
    """
    for name, text in params.items():
        if not stage.hasParam(name):
            raise InputError("names of Params", repr(name), nearest(name, [param.name for param in stage.params]))
        if not isinstance(text, str):
            text = json.dumps(text)
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
