"""Settings from YAML files."""

from typing import Any

from sparknlp_tx.errors import InputError
from sparknlp_tx.files import local_path


def read_mapping(file: str, what: str) -> dict[Any, Any]:
    """The keys and values of a YAML file; none of an empty one.

    Raises:
        InputError: there is no such file, it is no YAML, or no mapping.
    """
    import yaml

    path = local_path(file)
    if not path.is_file():
        raise InputError(f"a YAML file of {what} at {file}", "no such file", "Give the path of one.")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"a YAML file of {what} at {file}", " ".join(str(error).split()), "Mend it.") from None
    if found is not None and not isinstance(found, dict):
        raise InputError(f"names and their values in {file}", f"a {type(found).__name__}", "Write one name a line: name: value")
    return found or {}
