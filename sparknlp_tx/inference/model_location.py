"""Where a process finds a model directory, and whether its files are those that it had."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from sparknlp_tx.errors import InputError
from sparknlp_tx.files import file_hash


@dataclass(frozen=True)
class ModelLocation:
    """Where an executor finds a model directory.

    Args:
        path: the directory as the driver sees it.
        files: the directory's files with the hashes of their contents, see `files.file_hashes`.
    """

    path: str
    files: Mapping[str, str]

    @property
    def key(self) -> str:
        """A hash of the whole content; engines are kept by it, never by path."""
        return hashlib.sha256(repr(sorted(self.files.items())).encode()).hexdigest()

    def resolve(self) -> Path:
        """The directory, as seen from this process."""
        return Path(self.path)

    def verified(self, unused: Sequence[str] = ()) -> Path:
        """The directory, the content of its files compared with their hashes.

        Args:
            unused: patterns of the files that will not be read, and so not compared either.

        Raises:
            InputError: a file is damaged or missing, or another model was saved there since.
        """
        directory = self.resolve()
        for name, known in self.files.items():
            if any(fnmatch(name, pattern) for pattern in unused):
                continue
            file = directory / name
            found = "no such file" if not file.is_file() else "" if file_hash(file) == known else "another or a damaged one"
            if found:
                remedy = "Load the model again, or save it where nothing replaces it."
                raise InputError(f"the model's file {file} as it was", found, remedy)
        return directory

    def size(self, unused: Sequence[str] = ()) -> int:
        """Bytes of the files that are read, as far as they are there."""
        used = (self.resolve() / name for name in self.files if not any(fnmatch(name, pattern) for pattern in unused))
        return sum(file.stat().st_size for file in used if file.is_file())
