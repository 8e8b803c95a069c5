"""This package as a logged model carries it: a copy under a name of its own.

So models of several versions can be loaded in one process, beside the installed package. The name holds the version and a hash of the
code, so models of the same code share it.
"""

import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from sparknlp_tx.version import __version__

NAME = __package__.partition(".")[0]
ENTRY = """\"\"\"What MLflow runs where it loads the model: it takes the code that lies beside it.\"\"\"

import mlflow
from {name}.tracking.pyfunc import TransformerPyfunc

mlflow.models.set_model(TransformerPyfunc())
"""


def write_carried(folder: Path) -> tuple[Path, Path]:
    """Write the copy, and the file that MLflow runs on loading, into a folder.

    Returns:
        The file and the folder of the copy: `python_model` and a code path of `mlflow.pyfunc.log_model`.
    """
    sources = dict(_sources(files(NAME)))
    digest = hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()
    name = re.sub(r"\W", "_", f"{NAME}_{__version__}_{digest[:8]}")
    for path, text in sources.items():
        file = folder / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_renamed(text, name), encoding="utf-8")
    entry = folder / "model.py"
    entry.write_text(ENTRY.format(name=name))
    return entry, folder / name


@contextmanager
def importable(package: Path) -> Iterator[None]:
    """Within it the copy can be imported: MLflow runs the file when it logs the model as well. It leaves nothing behind."""
    sys.path.insert(0, str(package.parent))
    try:
        yield
    finally:
        sys.path.remove(str(package.parent))
        for module in [module for module in sys.modules if module.partition(".")[0] == package.name]:
            del sys.modules[module]


def _sources(folder: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The package's sources by their paths in it; out of an archive too."""
    for item in folder.iterdir():
        if item.is_dir():
            yield from _sources(item, f"{prefix}{item.name}/")
        elif item.name.endswith(".py"):
            yield prefix + item.name, item.read_text(encoding="utf-8")


def _renamed(text: str, name: str) -> str:
    """A source whose imports of this package are those of the copy; what else has its name stays: saved models, logs, folders."""
    return re.sub(rf"^(\s*(?:from|import) ){NAME}\b", rf"\g<1>{name}", text, flags=re.MULTILINE)
