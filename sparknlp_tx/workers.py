"""Several processes train together, on this machine or on the executors: Spark's TorchDistributor runs them, each calls `fine_tune`.

On a local session they are this machine's. On a cluster they are tasks, and find the staged rows in a folder that all nodes share
(`stagingDir`, `checkpointDir`), or in an archive that Spark brings them; the model comes back the same way.
"""

import contextlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_tx.artifact import copy_linked, file_hashes
from sparknlp_tx.distribution import ModelLocation, distribute, executors_have_gpus, is_local
from sparknlp_tx.errors import InputError
from sparknlp_tx.progress import say

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparknlp_tx.training import TrainingResult, TrainingSettings


class WorkerError(RuntimeError):
    """A process that trained with others has failed; the message has its own traceback."""


@dataclass
class Job:
    """What each process needs to know: the settings, and where the folder of the fit is."""

    settings: "TrainingSettings"
    location: ModelLocation
    shared: bool
    name: str

    def __getstate__(self) -> dict[str, Any]:
        """TorchDistributor pickles this once more inside each task: there it is known where the node has the archive."""
        from pyspark import TaskContext

        if TaskContext.get() is None or self.location.artifact is None:
            return self.__dict__
        return self.__dict__ | {"location": ModelLocation(str(self.location.verified()), None, self.location.files)}


def fine_tune_on_workers(
    spark: "SparkSession",
    settings: "TrainingSettings",
    work: Path,
    shared: bool,
    on_log: Callable[[dict[str, float], int], None] | None = None,
) -> "TrainingResult":
    """Train by `settings.workers` processes.

    Args:
        work: the folder of the fit: staged rows, and `model/`, where `save_tokenizer` has written and the model comes.
        shared: whether every process sees that folder.
        on_log: called, when the training is over, with all that the Trainer has logged.

    Raises:
        WorkerError: a process has failed, or was killed.
    """
    from pyspark.ml.torch.distributor import TorchDistributor

    from sparknlp_tx.training import TrainingResult

    local = is_local(spark)
    if not local and os.path.isdir(settings.checkpoint):
        copy_linked(settings.checkpoint, work / "checkpoint")
        settings = replace(settings, checkpoint="checkpoint")
    folder = ModelLocation(str(work), None, {}) if shared else distribute(spark, str(work), file_hashes(work))
    job = Job(settings, folder, shared, uuid.uuid4().hex[:8])
    if local:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // settings.workers)))
    say(f"training in {settings.workers} processes on {'this machine' if local else 'the executors'}")
    use_gpu = not local and executors_have_gpus(spark)  # on this machine they see its GPUs without being given any
    said = _Said()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            packed = TorchDistributor(settings.workers, local_mode=local, use_gpu=use_gpu).run(train_with_others, job)
    except Exception as error:
        raise WorkerError(_reason(said.text(), settings.workers)) from error
    if packed is not None:
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            tar.extractall(work / "model", filter="data")
    file = work / "model" / "result.json"
    result = TrainingResult(**json.loads(file.read_text()))
    file.unlink()
    for entry in result.history if on_log else []:
        on_log({name: value for name, value in entry.items() if name != "step"}, entry["step"])
    return result


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
    except InputError as error:
        failed.write_text(str(error))
        raise


def _train(job: Job) -> bytes | None:
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else it tells for each process what it would do otherwise
    import datasets
    import torch

    from sparknlp_tx.training import fine_tune

    given, work, settings = Path(job.location.path), Path(job.location.path), job.settings
    if not job.shared:
        work = Path(tempfile.gettempdir(), f"sparknlp_tx-{job.name}-{os.environ['GROUP_RANK']}")  # one for a node
        shutil.copytree(given / "model", work / "model", dirs_exist_ok=True)
        settings = replace(settings, training_args={"save_on_each_node": True} | settings.training_args)
    if settings.checkpoint == "checkpoint":
        settings = replace(settings, checkpoint=str(given / "checkpoint"))
    files = [given / "train.arrow", given / "validation.arrow"]
    train, validation = (datasets.Dataset.from_file(str(file)) if file.is_file() else None for file in files)
    result = fine_tune(train, validation, settings, work / "model", work)
    if os.environ["RANK"] == "0":
        (work / "model" / "result.json").write_text(json.dumps(asdict(result)))
    torch.distributed.barrier()
    packed = None
    if not job.shared:
        packed = _packed(work / "model") if os.environ["GROUP_RANK"] == "0" else None
        torch.distributed.barrier()
        shutil.rmtree(work, ignore_errors=True)
    torch.distributed.destroy_process_group()
    return packed


class _Said(io.TextIOBase):
    """What the processes print: shown on standard error, as all progress is, and its end kept."""

    def __init__(self) -> None:
        self._shown, self._parts = sys.stderr, deque(maxlen=1_000)

    def write(self, text: str) -> int:
        self._parts.append(text)
        return self._shown.write(text)

    def flush(self) -> None:
        self._shown.flush()

    def text(self) -> str:
        """The last 1,000 pieces, which are lines or parts of them."""
        return "".join(self._parts)


def _packed(folder: Path) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        tar.add(folder, arcname=".")
    return sink.getvalue()


def _reason(output: str, workers: int) -> str:
    """What the first process that failed has said; torch puts its number before each line of its traceback."""
    cause = output.rpartition("Root Cause")[2]  # torchrun lists those that it ended itself, too
    killed = re.search(r"Signal \d+ \(\w+\) received by PID \d+", cause)
    lines = re.findall(r"\[rank(\d+)\]: ?(.*)", output)
    if killed or not lines:
        return f"One of {workers} processes that train was lost: {killed[0] if killed else output[-2000:]}"
    rank = lines[0][0]
    return f"Process {rank} of {workers} that train has failed:\n" + "\n".join(line for at, line in lines if at == rank)


def check_workers(spark: "SparkSession", workers: int, folder: str) -> None:
    """Check that processes can train on a session's executors.

    Args:
        folder: that all nodes are to share; empty for none.

    Raises:
        InputError: the executors do not read the folder, or their tasks own parts of GPUs.
    """
    amount = spark.conf.get("spark.task.resource.gpu.amount", "0") or "0"
    if not float(amount).is_integer():
        raise InputError(
            "whole GPUs for each task, for numTrainWorkers", f"spark.task.resource.gpu.amount {amount}", "Set it to 1."
        )
    if not folder or is_local(spark):
        return
    os.makedirs(folder, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".sparknlp_tx-") as marker:
        path = marker.name

        def look(batches: Iterator) -> Iterator:
            import socket

            import pyarrow as pa

            for _ in batches:
                hosts = [] if os.path.exists(path) else [socket.gethostname()]
                yield pa.RecordBatch.from_arrays([pa.array(hosts, pa.string())], ["host"])

        blind = spark.range(0, 4 * workers, 1, 4 * workers).mapInArrow(look, "host string").distinct().limit(5).collect()
    if blind:
        remedy = "Give a path that all nodes mount, or none: Spark then brings the rows to the executors."
        raise InputError(
            f"a folder that every executor reads, for numTrainWorkers={workers}",
            f"{folder}, which is not there on {', '.join(row['host'] for row in blind)}",
            remedy,
        )
