"""Files and folders on this machine: paths, temporary folders, hashes, linked copies, room on a disk."""

import atexit
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from sparknlp_tx.errors import InputError


def local_path(path: str | os.PathLike) -> Path:
    """The path that Python sees for a path as Spark writes it: `/a/b`, `a/b`, `~/b`, `file:/a/b`.

    As Hadoop's paths, `file:/a/b` has no escapes: a `%20`, a `#` or a `?` is a part of the name.

    Raises:
        InputError: another file system.
    """
    text = str(path)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", text)
    host, _, rest = text[5:].removeprefix("//").partition("/") if text.startswith("file://") else ("", "", "")
    if (scheme and scheme[1].lower() != "file") or host:
        raise InputError(
            "a path on a file system that this Python sees",
            text,
            "Save to a local or mounted folder and copy it from there.",
        )
    if text.startswith("file://"):
        return Path("/" + rest).absolute()
    return Path(text[5:] if scheme else text).expanduser().absolute()


def temporary_directory(purpose: str) -> Path:
    """A folder that lives as long as this process: DataFrames may be evaluated long after the model that made them."""
    directory = Path(tempfile.mkdtemp(prefix=f"sparknlp_tx-{purpose}-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def check_space(folder: Path, needed: float, what: str) -> None:
    """Raise InputError where a folder's disk has fewer free bytes than are needed."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        remedy = "Free some, or set stagingDir (checkpointDir, where that is set) to a folder on a larger disk."
        raise InputError(f"{needed / 1e9:,.1f} GB free in {folder}, for {what}", f"{free / 1e9:,.1f} GB", remedy)


def directory_bytes(directory: str | Path) -> int:
    """Size of the files of a directory."""
    return sum(file.stat().st_size for file in Path(directory).rglob("*") if file.is_file())


def linked_copy(directory: str | Path) -> Path:
    """A temporary folder with the same files, linked where that is possible: to add files to a model that stays as it is."""
    copy = temporary_directory("model")
    copy_linked(directory, copy)
    return copy


def copy_linked(directory: str | Path, target: Path) -> None:
    """Copy a folder's files into another one, linked where that is possible."""
    shutil.copytree(directory, target, copy_function=link_file, dirs_exist_ok=True)


def link_file(source: str, target: str) -> None:
    """Have a file at another place too, linked where that is possible."""
    try:
        os.link(os.path.realpath(source), target)  # the hub's cache is made of symbolic links
    except FileExistsError:  # the same, of a fit that was killed
        pass
    except OSError:  # another file system
        shutil.copy2(source, target)


def file_hashes(directory: str | Path) -> dict[str, str]:
    """The files of a directory, by their paths in it, with a hash of the content of each."""
    files = sorted(path for path in Path(directory).rglob("*") if path.is_file())
    return {file.relative_to(directory).as_posix(): file_hash(file) for file in files}


def file_hash(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
