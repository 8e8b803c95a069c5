"""Several processes train together, on this machine or on the executors: Spark's TorchDistributor runs them, each calls `fine_tune`.

On a local session they are this machine's. On a cluster they are tasks, and find the staged rows in a folder that all nodes share
(`stagingDir`, `checkpointDir`), or in an archive that Spark brings them; the model comes back the same way.
"""

import contextlib
import io
import json
import os
import re
import sys
import tarfile
import tempfile
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sparknlp_tx.errors import InputError
from sparknlp_tx.files import check_space, copy_linked, directory_bytes, file_hashes
from sparknlp_tx.inference.backends.devices import gpu_count
from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.progress import say
from sparknlp_tx.spark.compat import setting
from sparknlp_tx.spark.distribution import distribute, executors_have_gpus, is_local
from sparknlp_tx.training.training_process import MARK, Job, WorkerError, train_with_others

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparknlp_tx.training.settings import TrainingResult, TrainingSettings


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

    from sparknlp_tx.training.settings import TrainingResult

    local = is_local(spark)
    carried = not local and os.path.isdir(settings.checkpoint)
    if carried:
        copy_linked(settings.checkpoint, work / "checkpoint")
    location = ModelLocation(str(work), {})
    if not shared:
        check_space(Path(tempfile.gettempdir()), directory_bytes(work), "the archive that executors get of the staged rows")
        location = distribute(spark, str(work), file_hashes(work))
    job = Job(settings, location, shared, carried, uuid.uuid4().hex[:8])
    say(f"training in {settings.workers} processes on {'this machine' if local else 'the executors'}")
    use_gpu = not local and executors_have_gpus(spark)  # on this machine they see its GPUs without being given any
    said = _Said()
    try:
        with _heard(said), _threads(settings.workers if local else 0):
            packed = TorchDistributor(settings.workers, local_mode=local, use_gpu=use_gpu).run(train_with_others, job)
    except Exception as error:
        text = said.text().replace(f"{MARK}{job.name} ", MARK)  # lines of other fits keep their names, and are not told
        failure = WorkerError(_reason(text, str(error), settings.workers))
        failure.lost = re.search(rf"{MARK}\d+: ", text) is None  # it has not said why it failed
        raise failure from error
    if packed is not None:
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            tar.extractall(work / "model", filter="data")
    file = work / "model" / "result.json"
    result = TrainingResult(**json.loads(file.read_text()))
    file.unlink()
    for entry in result.history:
        if on_log is not None:
            on_log({name: value for name, value in entry.items() if name != "step"}, int(entry["step"]))
    return result


@contextlib.contextmanager
def _threads(workers: int) -> Iterator[None]:
    """The processes of this machine share its cores, unless OMP_NUM_THREADS says something else; 0 processes: none are here."""
    if not workers or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]


class _Said:
    """The end of what the processes print: the last 1,000 pieces, which are lines or parts of them."""

    def __init__(self) -> None:
        self.parts: deque[str] = deque(maxlen=1_000)

    def text(self) -> str:
        return "".join(self.parts)


class _Shown(io.TextIOBase):
    """Standard output and error while fits are heard: shown on standard error, as all progress is, and kept by each of them."""

    def __init__(self) -> None:
        self.before = sys.stdout, sys.stderr

    def write(self, text: str) -> int:
        for said in list(_hearing):
            said.parts.append(text)
        return self.before[1].write(text)

    def flush(self) -> None:
        self.before[1].flush()


_hearing: list[_Said] = []
_hearing_lock = threading.Lock()


@contextlib.contextmanager
def _heard(said: _Said) -> Iterator[None]:
    """Within it what this process prints is kept, too; fits in several threads share the streams, which the last one gives back."""
    with _hearing_lock:
        if not _hearing:
            sys.stdout = sys.stderr = _Shown()  # type: ignore[assignment]
        _hearing.append(said)
    try:
        yield
    finally:
        with _hearing_lock:
            _hearing.remove(said)
            if not _hearing and isinstance(sys.stderr, _Shown):
                sys.stdout, sys.stderr = sys.stderr.before


def _reason(output: str, error: str, workers: int) -> str:
    """What the first process that failed has said; else what torchrun says of the one that was killed; else what Spark says."""
    lines = re.findall(rf"{MARK}(\d+): (.*)", output)
    cause = output.rpartition("Root Cause")[2]  # torchrun lists those that it ended itself, too
    killed = re.search(r"Signal \d+ \(\w+\) received by PID \d+", cause)
    if killed:
        return f"One of {workers} processes that train was lost: {killed[0]}"
    if not lines:
        return f"{workers} processes could not train together: {error}\n{output[-2000:]}"
    rank = lines[0][0]
    return f"Process {rank} of {workers} that train has failed:\n" + "\n".join(line for at, line in lines if at == rank)


def check_workers(spark: "SparkSession", workers: int, folder: str, checkpoint: str, use_cpu: bool = False) -> None:
    """Check that processes can train on a session's executors.

    Args:
        folder: that all nodes are to share; empty for none.
        use_cpu: whether they leave GPUs alone.

    Raises:
        InputError: the executors do not read the folder, or their tasks own parts of GPUs; or the model is too large to come
            back without such a folder.
    """
    amount = setting(spark, "spark.task.resource.gpu.amount", "0")
    if not float(amount).is_integer():
        raise InputError(
            "whole GPUs for each task, for numTrainWorkers", f"spark.task.resource.gpu.amount {amount}", "Set it to 1."
        )
    if is_local(spark):
        gpus = 0 if use_cpu else gpu_count()
        if 0 < gpus < workers:
            remedy = "Set numTrainWorkers to that, or trainingArgs={'use_cpu': True}."
            raise InputError(f"a GPU for each of {workers} processes", f"{gpus} on this machine", remedy)
        return
    if not folder:
        _check_size(spark, checkpoint)
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


def _check_size(spark: "SparkSession", checkpoint: str) -> None:
    """Raise InputError where a model is too large to come back to the driver as a result of a Spark job."""
    import torch
    from transformers import AutoConfig, AutoModel

    with torch.device("meta"):
        size = 4 * AutoModel.from_config(AutoConfig.from_pretrained(checkpoint)).num_parameters()
    largest = setting(spark, "spark.driver.maxResultSize", "1g")
    parts = re.fullmatch(r"(\d+)\s*([kmgtp]?)b?", largest.strip().lower())
    assert parts is not None  # Spark starts with no other
    limit = int(parts[1]) * 1024 ** " kmgtp".index(parts[2] or " ")
    if limit and size > 0.9 * limit:
        raise InputError(
            f"a model within spark.driver.maxResultSize={largest}, as it comes back by Spark",
            f"{size / 1e9:.1f} GB",
            "Set stagingDir to a folder that all nodes share.",
        )
