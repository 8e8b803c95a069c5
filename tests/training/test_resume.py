"""A fit that was killed goes on from its last checkpoint, to the same model; another fit is refused."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassifier
from sparknlp_tx.errors import InputError

SCRIPT = """
import json, os, signal, sys
from sparknlp_tx import TransformerClassifier, local_session
from sparknlp_tx.data import staging
from sparknlp_tx.training import callbacks, trainer

point, table, settings, texts, result = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4]), sys.argv[5]
callbacks.CHECKPOINT_SECONDS = 0.0  # a checkpoint after every step

def kill_at(owner, name, call):
    real, calls = getattr(owner, name), []

    def counting(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            print(f"killed at call {call} of {name}", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(owner, name, counting)

if point == "staging":
    kill_at(staging._File, "append", 2)
elif point == "checkpoint":
    kill_at(trainer.Trainer, "_save_rng_state", 3)  # the weights and the optimizer are written, the rest is not

spark = local_session("resume", master="local[1]")
model = TransformerClassifier(**settings).fit(spark.read.parquet(table))
probabilities = [p.tolist() for p in model.predict(texts)["probability"]]
with open(result, "w") as file:
    json.dump({"probabilities": probabilities, "metrics": model.summary["metrics"], "history": model.summary["history"]}, file)
spark.stop()
"""
TEXTS = ["my card is lost", "the euro rate today", "send money please"]


@pytest.fixture(scope="module")
def table(train_df, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("resume") / "table")
    train_df.withColumn("held", F.pmod(F.xxhash64("text"), F.lit(4)) == 0).repartition(2).write.parquet(path)
    return path


@pytest.fixture(scope="module")
def resumed(settings):
    return settings | {"numTrainEpochs": 3.0, "batchSize": 24, "validationIndicatorCol": "held"}


def comparable(history):
    """What does not depend on the clock."""
    return [{k: v for k, v in entry.items() if "runtime" not in k and "per_second" not in k} for entry in history]


@pytest.mark.slow
def test_a_fit_killed_twice_ends_as_one_that_was_not(spark, table, resumed, tmp_path):
    """While staging, and while a checkpoint is written, in the middle of an epoch: the same weights, bit for bit."""
    undisturbed = TransformerClassifier(**resumed).fit(spark.read.parquet(table))
    settings = json.dumps(resumed | {"checkpointDir": str(tmp_path / "checkpoints")})
    result = tmp_path / "result.json"
    folder = tmp_path / "checkpoints" / "sparknlp_tx-fit"
    for point in ("staging", "checkpoint"):
        command = [sys.executable, "-c", SCRIPT, point, table, settings, json.dumps(TEXTS), str(result)]
        killed = subprocess.run(
            command, capture_output=True, text=True, timeout=300, env=os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"}
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
        assert "killed at call" in killed.stdout
        found = {path.name for path in folder.iterdir()}
        assert ("staged" in found) == (point != "staging")
        whole = [path for path in folder.glob("trainer/checkpoint-*") if (path / "complete").exists()]
        assert bool(whole) == (point != "staging")
    assert len(list(folder.glob("trainer/checkpoint-*"))) > len(whole)  # one was being written
    command = [sys.executable, "-c", SCRIPT, "", table, settings, json.dumps(TEXTS), str(result)]
    subprocess.run(command, check=True, capture_output=True, timeout=300, env=os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"})
    ended = json.loads(result.read_text())
    assert ended["metrics"].keys() == undisturbed.summary["metrics"].keys()
    assert ended["metrics"]["loss"] == undisturbed.summary["metrics"]["loss"]
    assert np.array_equal(ended["probabilities"], np.stack(undisturbed.predict(TEXTS)["probability"]))
    losses = [
        [entry["loss"] for entry in history if "loss" in entry]
        for history in (ended["history"], undisturbed.summary["history"])
    ]
    assert losses[0] == losses[1]
    assert not folder.exists()  # what is done needs no checkpoint


@pytest.fixture
def begun(spark, table, resumed, tmp_path, monkeypatch):
    """A checkpointDir with a fit that failed in training, and the settings it was begun with."""

    def fail(*args):
        raise OSError("pre-empted")

    settings = resumed | {"checkpointDir": str(tmp_path / "checkpoints")}
    with monkeypatch.context() as patch:
        patch.setattr("sparknlp_tx.training.fine_tune.load_classifier", fail)
        with pytest.raises(OSError, match="pre-empted"):
            TransformerClassifier(**settings).fit(spark.read.parquet(table))
    return settings


def test_another_fit_is_refused_and_says_what_differs(spark, table, begun):
    df = spark.read.parquet(table)
    with pytest.raises(InputError, match=r"the fit that was begun in .*; found learning_rate 0\.5, there 0\.001\. Fit with"):
        TransformerClassifier(**begun | {"learningRate": 0.5}).fit(df)
    with pytest.raises(InputError, match=r"; found .*hash "):
        TransformerClassifier(**begun).fit(df.withColumn("text", F.concat("text", F.lit("!"))))
    with pytest.raises(InputError, match=r"; found labels .*, there "):
        TransformerClassifier(**begun).fit(df.withColumn("label", F.concat("label", F.lit("!"))))


def test_staged_rows_are_used_again_and_removed_at_the_end(spark, table, begun, monkeypatch):
    def forbidden(*args):
        raise AssertionError("staged again")

    monkeypatch.setattr("sparknlp_tx.data.staging._File.append", forbidden)
    TransformerClassifier(**begun).fit(spark.read.parquet(table))
    assert list(Path(begun["checkpointDir"]).iterdir()) == []
