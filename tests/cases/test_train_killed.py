"""A training job as a team runs it, a process of its own with an MLflow server: told to end, and left by its server."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from sparknlp_tx import TransformerClassificationModel

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def mlflow_server(folder):
    """A real server on loopback; gives its address and its process group."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir()
    where = ["--backend-store-uri", f"sqlite:///{folder}/m.db", "--artifacts-destination", str(folder / "artifacts")]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *where]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # it would start processes of its own
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd=folder)
    try:
        for _ in range(240):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(30)


@contextlib.contextmanager
def training(train_df, tmp_path, checkpoint, uri, *flags):
    """`sparknlp-tx train` in a process of its own, given once its training has begun."""
    train_df.write.format("delta").save(str(tmp_path / "train"))
    (tmp_path / "scratch").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "scratch"), "MLFLOW_TRACKING_URI": uri}
    command = [str(Path(sys.executable).with_name("sparknlp-tx")), "train", "--train", str(tmp_path / "train")]
    command += ["--checkpoint", str(checkpoint), "--device", "cpu", "--num-train-epochs", "100000"]
    command += ["--model-dir", f"{tmp_path}/model", "--experiment", "tests", *flags]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
    told = []
    for line in job.stderr:
        told.append(line)
        if line.startswith("training: "):
            break
    try:
        assert job.poll() is None, "".join(told)
        yield job
    finally:
        job.kill()
        job.wait()


def test_it_is_told_to_end(train_df, tmp_path, checkpoint, tracking):
    """Every scheduler's way: its run is KILLED, no staged text stays behind, and it says so."""
    import mlflow

    with training(train_df, tmp_path, checkpoint, mlflow.get_tracking_uri()) as job:
        job.send_signal(signal.SIGTERM)
        _, told = job.communicate(timeout=120)
    assert job.returncode == 143, told
    assert "Traceback" not in told
    runs = mlflow.search_runs(experiment_names=["tests"], output_format="list")
    assert [run.info.status for run in runs] == ["KILLED"]
    assert not [name for name in os.listdir(tmp_path / "scratch") if name.startswith("sparknlp_tx")]
    assert not (tmp_path / "model").exists()


def test_its_server_goes_away(train_df, tmp_path, checkpoint):
    """The model is there, whole; what could not be logged is told; the job has done its work."""
    with (
        mlflow_server(tmp_path / "mlflow") as (uri, server),
        training(train_df, tmp_path, checkpoint, uri, "--max-train-seconds", "5") as job,
    ):
        os.killpg(server, signal.SIGKILL)
        out, told = job.communicate(timeout=400)
    assert job.returncode == 0, told
    assert "Traceback" not in told
    assert json.loads(out.splitlines()[-1])["not_logged"]
    assert TransformerClassificationModel.load(str(tmp_path / "model")).labels
