"""A corpus that needs no download: the docstrings of installed libraries, labelled by library. For the demo."""

import ast
import importlib.util
import inspect
import random
import re
from collections.abc import Iterator
from pathlib import Path

from sparknlp_tx.errors import InputError
from sparknlp_tx.progress import Progress

LIBRARIES = ("torch", "transformers", "scipy", "sympy", "pandas", "numpy", "sklearn", "mlflow", "pyspark", "matplotlib")
MIN_CHARACTERS, MAX_CHARACTERS = 40, 400


def docstring_rows(per_library: int = 1_500) -> list[tuple[str, str]]:
    """(text, library) rows: docstrings of modules, classes and functions, read from the source without importing it.

    Args:
        per_library: at most so many texts of each library.

    Returns:
        Unique texts of 40 to 400 characters (longer ones are cut at a word). A text that several libraries share goes to none.

    Raises:
        InputError: fewer than two of the libraries are installed.
    """
    owners: dict[str, str | None] = {}
    progress = Progress("docstrings", unit="texts")
    for library in LIBRARIES:
        count = 0
        for text in _docstrings(library):
            if text in owners:
                owners[text] = owners[text] if owners[text] == library else None
                continue
            owners[text] = library
            count += 1
            progress.update(len(owners), library)
            if count >= per_library:
                break
    progress.close()
    rows = [(text, library) for text, library in owners.items() if library is not None]
    found = sorted({library for _, library in rows})
    if len(found) < 2:
        raise InputError(
            f"at least two of {', '.join(LIBRARIES)} installed", f"{found}", "Install them, or use another source."
        )
    return rows


def _docstrings(library: str) -> Iterator[str]:
    spec = importlib.util.find_spec(library)
    if spec is None or not spec.submodule_search_locations:
        return
    files = sorted(Path(spec.submodule_search_locations[0]).rglob("*.py"))
    random.Random(library).shuffle(files)  # a part of a library is to be like the whole
    for file in files:
        if "test" in file.as_posix().rpartition("site-packages")[2]:
            continue
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError):
            continue  # generated or templated files; there are plenty of others
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                text = _clean(ast.get_docstring(node, clean=False) or "")
                if len(text) >= MIN_CHARACTERS:
                    yield text


def _clean(docstring: str) -> str:
    text = re.sub(r"\s+", " ", inspect.cleandoc(docstring)).strip()
    return text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS].rpartition(" ")[0]
