"""What each of several processes that train together does; `spark.distributed_training` starts them."""

import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sparknlp_tx.errors import InputError, TrainingError
from sparknlp_tx.inference.model_location import ModelLocation

if TYPE_CHECKING:
    from sparknlp_tx.training.settings import TrainingSettings

MARK = "sparknlp_tx process "


class WorkerError(TrainingError):
    """A process that trained with others has failed; the message has its own traceback. `lost`: it was killed, or its executor was."""

    lost = False


@dataclass
class Job:
    """What each process needs to know: the settings, and where the folder of the fit is; `carried`: the checkpoint is in there."""

    settings: "TrainingSettings"
    location: ModelLocation
    shared: bool
    carried: bool
    name: str


def train_with_others(job: Job) -> bytes | None:
    """What each process does; returns the model as a tar archive to a driver that does not see the folder.

    Spark runs a stage again that has failed: what no repetition mends fails at once then.
    """
    place = Path(job.location.path) if job.shared else Path(tempfile.gettempdir())
    failed = place / f"sparknlp_tx-{job.name}-failed"
    if failed.is_file():
        raise WorkerError(failed.read_text())
    try:
        return _train(job)
    except Exception as error:
        mark = f"{MARK}{job.name} {os.environ['RANK']}: "  # its name, as other fits may be heard as well
        trace = traceback.format_exc().replace("\n", f"\n{mark}")
        print(f"{mark}{trace}", file=sys.stderr, flush=True)
        if isinstance(error, InputError | TrainingError):
            failed.write_text(str(error))
        raise


def _train(job: Job) -> bytes | None:
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else each process prints advice
    import datasets
    import torch

    from sparknlp_tx.training.fine_tune import fine_tune

    given, work, settings = Path(job.location.path), Path(job.location.path), job.settings
    if not job.shared:
        work = Path(tempfile.gettempdir(), f"sparknlp_tx-{job.name}-{os.environ['GROUP_RANK']}")  # one for a node
        shutil.copytree(given / "model", work / "model", copy_function=_copied_whole, dirs_exist_ok=True)
        settings = replace(settings, training_args={"save_on_each_node": True} | settings.training_args)
    if job.carried:
        settings = replace(settings, checkpoint=str(given / "checkpoint"))
    files = [given / "train.arrow", given / "validation.arrow"]
    train, validation = (datasets.Dataset.from_file(str(file)) if file.is_file() else None for file in files)
    packed = None
    try:
        result = fine_tune(train, validation, settings, work / "model", work)
        if os.environ["RANK"] == "0":
            (work / "model" / "result.json").write_text(json.dumps(asdict(result)))
        _meet()
        if not job.shared and os.environ["GROUP_RANK"] == "0":
            packed = _packed(work / "model")
        _meet()
    finally:
        if not job.shared:
            shutil.rmtree(work, ignore_errors=True)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return packed


def _meet() -> None:
    """Wait for the other processes; one that trains alone has no group."""
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def _copied_whole(source: str, target: str) -> None:
    """Copy a file so that the other processes of this node, which copy it as well, never read a part of it."""
    shutil.copy2(source, f"{target}.{os.environ['RANK']}")
    os.replace(f"{target}.{os.environ['RANK']}", target)


def _packed(folder: Path) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        tar.add(folder, arcname=".")
    return sink.getvalue()
