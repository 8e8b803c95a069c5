"""Studies: what the space takes, trials killed and gone on with, failed, pruned; the best one fitted again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import mlflow
import pytest
from helpers.sessions import connect_server
from pyspark.sql import functions as F

from sparknlp_tx import InputError, TransformerClassifier
from sparknlp_tx.cli import main as cli
from sparknlp_tx.cli.commands.tune import tune
from sparknlp_tx.errors import JobError, TrainingStopped
from sparknlp_tx.lifecycle.tuning.search_space import read_space
from sparknlp_tx.lifecycle.tuning.study import Study
from sparknlp_tx.ml.live_metrics import observed

ROOT = Path(__file__).parents[2]
SPACE = {"learningRate": {"log_uniform": [1e-4, 2e-3]}, "weight_decay": [0.0, 0.1]}
KILLED = """
import json, os, signal, sys
from pyspark.sql import SparkSession
from sparknlp_tx.cli.commands.tune import tune
from sparknlp_tx.lifecycle.tuning.study import Study
from sparknlp_tx.training import callbacks, trainer

point, arguments, address = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
callbacks.CHECKPOINT_SECONDS = 0.0 if point == "training" else 300.0  # a checkpoint after every step
trials = []

def began(study, own=Study.next):
    trial = own(study)
    trials.append(trial.number)
    if point == "between" and trial.number == 1:  # its run is there, and nothing was trained
        os.kill(os.getpid(), signal.SIGKILL)
    return trial

Study.next = began
steps = []

def loss(self, *args, own=trainer.ClassifierTrainer.compute_loss, **kwargs):
    steps.append(1)
    if point == "training" and trials and trials[-1] == 2 and len(steps) % 7 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return own(self, *args, **kwargs)

trainer.ClassifierTrainer.compute_loss = loss
tune(SparkSession.builder.remote(address).getOrCreate(), **arguments)
"""


@pytest.fixture(scope="module")
def tables(spark, train_df, tmp_path_factory):
    """Delta tables of 240 training rows and 60 validation rows."""
    folder = tmp_path_factory.mktemp("tune")
    held = F.pmod(F.xxhash64("text"), F.lit(5)) == 0
    train_df.filter(~held).coalesce(1).write.format("delta").save(str(folder / "train"))
    train_df.filter(held).coalesce(1).write.format("delta").save(str(folder / "validation"))
    return {name: str(folder / name) for name in ("train", "validation")}


@pytest.fixture(scope="module")
def arguments(tables, settings):
    """Of a study whose fits take a second or two."""
    return {**tables, "params": settings | {"numTrainEpochs": 1.0}, "search": SPACE, "experiment": "studies"}


def children(result):
    """The trials' runs, by number."""
    runs = mlflow.search_runs(
        [result["experiment_id"]], f"tags.`mlflow.parentRunId` = '{result['study']['study_run_id']}'", output_format="list"
    )
    return sorted(int(run.data.tags["trial_number"]) for run in runs if "trial_number" in run.data.tags)


@pytest.mark.slow
def test_a_study_killed_twice_ends_with_each_trial_once(spark, registry, arguments, tmp_path):
    """Clients of Spark Connect are killed; a classic session goes on with what they have left."""
    given = arguments | {"trials": 4, "model_dir": str(tmp_path / "model")}
    with connect_server(tmp_path, {}) as address:
        for point in ("between", "training"):
            command = [sys.executable, "-c", KILLED, point, json.dumps(given), address]
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            killed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
            assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
    result = tune(spark, **given, registered_model="tuned")
    assert children(result) == [0, 1, 2, 3]
    trials = result["study"]["trials"]
    assert [trial["number"] for trial in trials] == [0, 1, 2, 3]
    assert {trial["state"] for trial in trials} <= {"complete", "pruned"}
    assert trials[0]["values"]["learningRate"] == pytest.approx(1e-3)  # what would be trained without a study
    assert len({trial["values"]["learningRate"] for trial in trials}) == 4
    best = max((trial for trial in trials if trial["state"] == "complete"), key=lambda trial: trial["value"])
    assert result["study"]["best_value"] == best["value"]
    assert result["registered_version"] == 1
    refit = mlflow.get_run(result["run_id"])
    assert refit.data.tags["mlflow.parentRunId"] == result["study"]["study_run_id"]
    assert float(refit.data.params["learningRate"]) == best["values"]["learningRate"]
    assert not (tmp_path / "model.study").exists()
    assert len(mlflow.search_registered_models()) == 1  # only the last fit


def test_a_failing_trial_keeps_its_traceback_and_three_stop_the_study(spark, registry, arguments, tmp_path, monkeypatch):
    own = TransformerClassifier._fine_tune

    def fails(self, *args):
        if self.getLearningRate() != 1e-3:
            raise RuntimeError("the card fell off the bus")
        return own(self, *args)

    monkeypatch.setattr(TransformerClassifier, "_fine_tune", fails)
    staged = []
    from sparknlp_tx.data import staging

    receive = staging._receive
    monkeypatch.setattr(staging, "_receive", lambda *args: (staged.append(1), receive(*args)))
    given = arguments | {
        "model_dir": str(tmp_path / "model"),
        "search": {"learningRate": [1e-3, 2e-3]},
        "trials": 9,
        "sampler": "random",
    }
    with pytest.raises(JobError, match="3 trials in a row have failed; the last: RuntimeError: the card fell off the bus"):
        tune(spark, **given | {"search": {"learningRate": [2e-3, 3e-3]}})
    result = tune(spark, **given | {"trials": 3})
    states = {trial["state"]: trial for trial in result["study"]["trials"]}
    assert states["complete"]["values"] == {"learningRate": 1e-3}
    assert "the card fell off the bus" in states["failed"]["error"]
    assert "in fails" in mlflow.artifacts.load_text(f"runs:/{states['failed']['run_id']}/traceback.txt")
    assert len(staged) == 2  # once for all trials, and for the last fit


def test_a_worse_trial_is_pruned_and_ends_its_fit(registry, settings, train_df, tables):
    space = read_space(SPACE, TransformerClassifier())
    study = Study("0", "pruning", "pruning", space, {}, maximize=True)
    for value in (0.8, 0.9, 0.85, 0.8):
        trial = study.next()
        assert not study.tell_step(trial, 1.0, value)
        study.end(trial, "complete", value)
    again = Study("0", "pruning", "pruning", space, {}, maximize=True)  # from the runs alone
    assert again.tell_step(again.next(), 1.0, 0.2)
    assert again.best().value == 0.9

    def stop(metrics, step):
        raise TrainingStopped

    with observed(stop), pytest.raises(TrainingStopped):
        TransformerClassifier(**settings).fit(train_df)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "something to search"),
        ({"learningRate": [1e-4]}, "something to search"),
        ({"lerningRate": [1, 2]}, "Did you mean 'learningRate'"),
        ({"learning-rate": {"log_uniform": [1e-2, 1e-4]}}, "the low end of learning-rate first"),
        ({"learningRate": {"loguniform": [1e-4, 1e-2]}}, "Did you mean 'log_uniform'"),
        ({"learningRate": {"log_uniform": [0, 1e-2]}}, "above 0 for log_uniform"),
        ({"batchSize": {"int": [8, 16.5]}}, "two whole numbers"),
        ({"labelCol": ["a", "b"]}, "Give it once, as a flag"),
        ({"learningRate": [1e-4, 1e-3], "learning_rate": [1, 2]}, "learningRate once"),
        ({"batchSize": [16, "many"]}, "values of batchSize"),
    ],
)
def test_spaces_that_cannot_be_searched_are_refused(space, message):
    with pytest.raises(InputError, match=message):
        read_space(space, TransformerClassifier())


def test_the_command_explains_and_refuses(spark, registry, tables, settings, tmp_path, capsys):
    space = tmp_path / "space.yml"
    space.write_text("learningRate: {log_uniform: [1e-5, 1e-3]}\nwarmup_steps: {int: [0, 50]}\n")
    flags = ["tune", "--train", tables["train"], "--validation", tables["validation"], "--model-dir", str(tmp_path / "model")]
    flags += ["--search", str(space), "--checkpoint", settings["checkpoint"], "--max-length", "32"]
    assert cli.main([*flags, "--trials", "7", "--explain"]) == 0
    explained = json.loads(capsys.readouterr().out.splitlines()[-1])["explain"]
    assert explained["space"]["learningRate"] == {"log_uniform": [1e-5, 1e-3]}
    assert explained["trials"] == 7
    for more, message in (
        (["--trials", "0"], "--trials of 1 or more"),
        (["--trials", "2", "--parallelism", "2"], "a cluster, for --parallelism above 1"),
    ):
        assert cli.main([*flags, *more]) == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("model*"))


@pytest.mark.local_cluster
def test_trials_on_executors_of_which_one_is_lost(spark, registry, arguments, tmp_path):
    """Each trial is one task; an executor is killed while one trains: its trial begins again under its own run."""
    import psutil

    killed = []

    def lose_an_executor():
        while not killed:
            for process in psutil.process_iter(["cmdline"]):
                if "torch.distributed.run" not in " ".join(process.info["cmdline"] or []):
                    continue
                executors = [each for each in process.parents() if "CoarseGrainedExecutorBackend" in " ".join(each.cmdline())]
                for executor in executors[:1]:
                    executor.kill()
                    killed.append(executor.pid)
                    return
            time.sleep(0.2)

    watcher = threading.Thread(target=lose_an_executor, daemon=True)
    watcher.start()
    given = arguments | {"trials": 3, "parallelism": 2, "model_dir": str(tmp_path / "model")}
    result = tune(spark, **given)
    assert killed
    assert children(result) == [0, 1, 2]
    assert {trial["state"] for trial in result["study"]["trials"]} == {"complete"}
