"""The folder that one fit works in: temporary, or kept in `checkpointDir`, so that a fit that was killed goes on from there.

CHECKPOINT_DIR/sparknlp_tx-fit/
  fit.json                       settings and data of the fit; another fit is refused
  train.arrow, validation.arrow  the staged rows; whole where `staged` lies beside them
  model/                         the tokenizer, and at the end the model
  trainer/checkpoint-N/          the Trainer's checkpoints; whole where `complete` lies in them
"""

import json
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from sparknlp_tx.errors import InputError
from sparknlp_tx.files import local_path

log = logging.getLogger(__name__)

FOLDER = "sparknlp_tx-fit"
COMPLETE = "complete"


@contextmanager
def fit_folder(checkpoint_dir: str, staging_dir: str, identity: dict[str, Any]) -> Iterator[Path]:
    """The folder to work in; removed at the end, but kept where `checkpoint_dir` is given and the fit fails.

    Args:
        checkpoint_dir: a folder on the driver's disk; empty for a temporary one.
        staging_dir: where the temporary one is made; empty for the system's place for such.
        identity: what makes the fit the same as one that was begun there: settings and data, by name.

    Raises:
        InputError: another fit was begun there; says what differs.
    """
    if not checkpoint_dir:
        place = local_path(staging_dir) if staging_dir else None
        if place:
            place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="sparknlp_tx-staging-", dir=place) as work:
            yield Path(work)
        return
    folder = local_path(checkpoint_dir) / FOLDER
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        _begin(folder, json.loads(json.dumps(identity, default=str)))
        yield folder
        shutil.rmtree(folder)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a file's lock, which ends with the process, however that ends; a disk that knows no locks goes without.

    The holder removes the file before it lets the lock go. So a lock counts only while its file is the one at that path: whoever
    opened the file before it was removed opens the next one.

    Raises:
        InputError: another fit holds it.
    """
    stream = _lock(file)
    while not _is_at(stream, file):
        stream.close()
        stream = _lock(file)
    with stream:
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        stream.flush()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def _lock(file: Path) -> TextIO:
    """A file, opened and locked."""
    import fcntl

    stream = open(file, "a+")  # noqa: SIM115  the lock ends where it is closed
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with stream:
            stream.seek(0)
            holder = stream.read().strip() or "another process"
        remedy = "Wait for that one to end, or give another checkpointDir."
        raise InputError(f"no other fit at work in {file.parent}", holder, remedy) from None
    except OSError as error:
        log.warning("No lock on %s (%s): let no two fits have one checkpointDir at a time.", file, error)
    return stream


def _is_at(stream: TextIO, file: Path) -> bool:
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), file.stat())
    except FileNotFoundError:
        return False


def _begin(folder: Path, identity: dict[str, Any]) -> None:
    """Write down what the fit is, or check that it is the one that was begun there."""
    file = folder / "fit.json"
    if file.is_file():
        _check_same(_begun(file), identity, folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(identity, indent=2) + "\n")
    os.replace(fresh, file)


def _begun(file: Path) -> dict[str, Any]:
    try:
        begun = json.loads(file.read_bytes())
    except ValueError:  # of what is no JSON, and of bytes that are no UTF-8
        begun = None
    if not isinstance(begun, dict):
        remedy = f"Remove the folder {file.parent}, to start again, or give another checkpointDir."
        raise InputError(f"JSON of a fit in {file}", "a damaged file", remedy)
    return begun


def _check_same(begun: dict[str, Any], identity: dict[str, Any], folder: Path) -> None:
    names = [name for name in {**begun, **identity} if begun.get(name) != identity.get(name)]
    if names:
        differences = "; ".join(f"{name} {_short(identity.get(name))}, there {_short(begun.get(name))}" for name in names[:5])
        remedy = "Fit with those, give another checkpointDir, or remove the folder."
        raise InputError(f"the settings and data of the fit that was begun in {folder}", differences, remedy)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def last_checkpoint(folder: Path, resumable: bool) -> str | None:
    """The last whole checkpoint of the Trainer in a folder; incomplete ones are removed; all are, if the fit is not resumable."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    whole = [path for path in found if resumable and (path / COMPLETE).is_file()]
    for path in set(found) - set(whole):
        shutil.rmtree(path, ignore_errors=True)  # another process may do the same
    return str(whole[-1]) if whole else None
