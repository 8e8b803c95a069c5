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
    """The keys of a YAML file with their values, which are texts as they are written; None for an empty one or `null`."""
    import yaml

    remedy = "Write one flag a line, e.g. num_train_epochs: 3"
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"a YAML file at {file}", "no such file", "Give the path of one.")
    try:
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
        if not isinstance(root, yaml.MappingNode):
            found = {"sequence": "list", "scalar": "a text"}.get(root.id, root.id) if root is not None else "nothing"
            raise InputError(f"flags and their values in {file}", found, remedy)
        values: dict[str, Any] = {}
        for key, value in root.value:
            if key.value in values:
                raise InputError(f"each flag once in {file}", f"{key.value!r} twice", "Take one of them out.")
            values[key.value] = _value(value)
        return values
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"a YAML file at {file}", " ".join(str(error).split()), remedy) from None


def _value(node: Any) -> Any:
    """What a node of YAML says: a text as it is written (a date, `12:30` or `no` stay that), a list or a map of such; or None."""
    if node.id == "scalar":
        return None if node.style is None and node.value in ("", "~", "null", "Null", "NULL") else node.value
    if node.id == "sequence":
        return [_value(inner) for inner in node.value]
    return {key.value: _value(inner) for key, inner in node.value}


def _words(name: str, value: Any, action: argparse.Action | None) -> list[str]:
    """A flag and its value as words of a command line."""
    if value is None:
        return []
    if action is not None and action.nargs == 0:
        set_to = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(str(value).lower())
        if set_to is None:
            raise InputError(f"true or false for {name}", repr(value), "It takes no other value.")
        return [name] if set_to else []
    if action is not None and action.nargs == "+":
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(inner, str) for inner in values):
            raise InputError(f"a list of texts for {name}", repr(values), "Write them one a line.")
        return [name, *values]
    if isinstance(value, str):
        return [f"{name}={value}"]
    if isinstance(value, dict) and action is not None and action.dest not in ("param:trainingArgs",):
        raise InputError(f"one value for {name}", f"a map of {', '.join(value)}", "Write flags one a line, without nesting.")
    return [f"{name}={json.dumps(_typed(value))}"]


def _typed(value: Any) -> Any:
    """Texts in a list or a map as the JSON values that they spell."""
    if isinstance(value, dict):
        return {key: _typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return {"True": True, "False": False}.get(value, value)


def flag(name: str) -> str:
    """`numTrainEpochs` and `num_train_epochs` to `--num-train-epochs`."""
    name = name.removeprefix("--")
    return "--" + "".join("-" + c.lower() if c.isupper() else c for c in name).replace("_", "-")
