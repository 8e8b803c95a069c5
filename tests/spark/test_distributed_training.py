"""Several processes train together: on this machine; on a cluster see test_cluster.py."""

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from sparknlp_tx import TransformerClassifier
from sparknlp_tx.errors import InputError
from sparknlp_tx.spark import distributed_training as workers


@pytest.fixture
def estimator(settings):
    return TransformerClassifier(**settings, validationFraction=0.2, numTrainWorkers=2)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(estimator, train_df, test_df, tracking, tmp_path):
    import mlflow

    with mlflow.start_run() as run:
        model = estimator.fit(train_df, {estimator.stagingDir: str(tmp_path / "staging")})
    assert model.evaluate(test_df)["accuracy"] > 0.9
    assert model.summary["train_rows"] == 240
    assert model.summary["history"][-1]["step"] == 8 * 240 / 8  # batchSize is that of both together
    assert "accuracy" in model.summary.metrics
    logged = mlflow.MlflowClient().get_metric_history(run.info.run_id, "train.loss")
    assert len(logged) == len(model.summary.objectiveHistory)
    assert not (model.directory / "result.json").exists()
    assert list((tmp_path / "staging").iterdir()) == []  # the rows and checkpoints are removed


def kill_a_process(pattern: bytes, folder: Path, killed: list[int]) -> None:
    """Wait for a checkpoint, then kill the second of the processes that train."""
    while not list(folder.glob("sparknlp_tx-fit/trainer/checkpoint-*/complete")):
        time.sleep(0.05)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"\0RANK=1\0" in (process / "environ").read_bytes() and pattern in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
                killed.append(int(process.name))
        except OSError:
            continue


@pytest.mark.slow
def test_a_fit_whose_process_was_killed_says_so_and_goes_on(estimator, train_df, test_df, tmp_path):
    settings = {estimator.checkpointDir: str(tmp_path), estimator.numTrainEpochs: 12.0}
    killed: list[int] = []
    watcher = threading.Thread(target=kill_a_process, args=(b"train.py", tmp_path, killed), daemon=True)
    watcher.start()
    with pytest.raises(workers.WorkerError, match=r"One of 2 processes that train was lost: Signal 9 \(SIGKILL\)|has failed"):
        estimator.fit(train_df, settings)
    assert killed
    model = estimator.fit(train_df, settings)
    epochs = [entry["epoch"] for entry in model.summary["history"] if "eval_loss" in entry]
    assert epochs == sorted(set(epochs))
    assert len(epochs) == 12
    assert model.evaluate(test_df)["accuracy"] > 0.9
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_process_that_fails_tells_its_own_traceback(estimator, train_df):
    ruin = {estimator.learningRate: 1e30, estimator.headLearningRate: 1e30, estimator.trainingArgs: {"logging_steps": 1}}
    with pytest.raises(
        workers.WorkerError, match=r"(?s)Process \d of 2 .*Traceback.*TrainingError: Expected a finite loss; found"
    ):
        estimator.fit(train_df, ruin)


def test_what_cannot_be_shared_is_refused(spark, estimator, train_df, monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"share evenly; found batchSize 8 with numTrainWorkers 3\. Change"):
        estimator.fit(train_df, {estimator.numTrainWorkers: 3})
    spark.conf.set("spark.task.resource.gpu.amount", "0.25")
    try:
        with pytest.raises(InputError, match=r"whole GPUs for each task.*; found spark\.task\.resource\.gpu\.amount 0\.25"):
            estimator.fit(train_df)
    finally:
        spark.conf.unset("spark.task.resource.gpu.amount")


def test_a_folder_that_executors_do_not_read(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "is_local", lambda spark: False)
    workers.check_workers(spark, 2, str(tmp_path / "shared"), "")
    hidden = type("Marker", (), {"__enter__": lambda self: self, "__exit__": lambda *a: None, "name": "/nowhere/marker"})
    monkeypatch.setattr(workers.tempfile, "NamedTemporaryFile", lambda **kwargs: hidden())
    with pytest.raises(InputError, match=r"a folder that every executor reads.*, which is not there on .*Spark then brings"):
        workers.check_workers(spark, 2, str(tmp_path / "shared"), "")


def test_a_model_too_large_to_come_back_by_spark(spark, checkpoint, monkeypatch):
    monkeypatch.setattr(workers, "is_local", lambda spark: False)
    workers.check_workers(spark, 2, "", checkpoint)
    conf = type("Conf", (), {"get": lambda self, name, default: "50k" if "maxResultSize" in name else default})
    session = type("Session", (), {"conf": conf()})()
    with pytest.raises(InputError, match=r"maxResultSize=50k, as it comes back by Spark; found .* Set stagingDir to a folder"):
        workers.check_workers(session, 2, "", checkpoint)


def test_the_first_traceback_is_the_one_that_is_told():
    lines = ["1: Traceback", "1: ValueError: mine", "0: Traceback", "0: RuntimeError: closed by peer"]
    told = workers._reason("\n".join(workers.MARK + line for line in lines), "", 2)
    assert re.fullmatch(r"Process 1 of 2 that train has failed:\nTraceback\nValueError: mine", told)
