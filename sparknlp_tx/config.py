"""`--config FILE.yml`: a command's flags from a YAML file."""

import argparse
import json
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sparknlp_tx.errors import InputError, nearest


def flags_of_file(parser: argparse.ArgumentParser, argv: list[str]) -> list[str]:
    """The flags in the file that `--config` names, as words of a command line; without those that the command line has itself.

    A key is a flag's name, written as there, in snake_case or as the Param; `true` sets a flag that takes no value, `false` and
    null leave it out.

    Args:
        parser: the command's; where it keeps flags that it does not know (`extra`), any key is taken.
        argv: the command line.

    Raises:
        InputError: there is no such file, it is no mapping, or a key is no flag; offers the nearest.
    """
    names: dict[str, str | None] = {"--config": None}
    for word, following in zip_longest(argv, argv[1:]):
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            names[name] = value if equals else following
    if names["--config"] is None:
        return []
    words: list[str] = []
    for key, value in _read(names["--config"]).items():
        name = flag(str(key))
        action = parser._option_string_actions.get(name)
        if name == "--config" or (action is None and parser.get_default("extra") is None):
            known = [option for option in parser._option_string_actions if option.startswith("--")]
            raise InputError(f"flags of this command in {names['--config']}", repr(key), nearest(name, known))
        if name not in names:
            words += _words(name, value, action)
    return words


def _read(file: str) -> dict[str, Any]:
    import yaml

    remedy = "Write one flag a line, e.g. num_train_epochs: 3"
    if not Path(file).is_file():
        raise InputError(f"a YAML file at {file}", "no such file", "Give the path of one.")
    try:
        found = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"a YAML file at {file}", " ".join(str(error).split()), remedy) from None
    if not isinstance(found, dict):
        raise InputError(f"flags and their values in {file}", type(found).__name__, remedy)
    return found


def _words(name: str, value: Any, action: argparse.Action | None) -> list[str]:
    """A flag and its value as words of a command line."""
    if value is None:
        return []
    if action is not None and action.nargs == 0:
        if not isinstance(value, bool):
            raise InputError(f"true or false for {name}", repr(value), "It takes no other value.")
        return [name] if value else []
    if action is not None and action.nargs == "+":
        return [name, *map(str, value if isinstance(value, list) else [value])]
    return [f"{name}={value if isinstance(value, str) else json.dumps(value)}"]


def flag(name: str) -> str:
    """`numTrainEpochs` and `num_train_epochs` to `--num-train-epochs`."""
    name = name.removeprefix("--")
    return "--" + "".join("-" + c.lower() if c.isupper() else c for c in name).replace("_", "-")
