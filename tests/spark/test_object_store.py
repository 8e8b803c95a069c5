"""Saved where Spark alone sees the files: `viewfs`, a Hadoop file system over a mount table, stands for object stores."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassificationModel, TransformerClassifier
from sparknlp_tx.errors import InputError

pytestmark = pytest.mark.every_session


@pytest.fixture
def store(spark, tmp_path, tmp_path_factory):
    """A folder's path on such a file system, and the folder itself."""
    return f"viewfs://store/files/{tmp_path.relative_to(tmp_path_factory.getbasetemp())}", tmp_path


def test_a_model_goes_there_and_comes_back(model, test_df, store):
    path, folder = store
    model.save(f"{path}/model")
    assert sorted(file.name for file in (folder / "model").iterdir()) == ["files", "metadata"]
    loaded = TransformerClassificationModel.load(f"{path}/model")
    assert loaded.directory != model.directory
    assert loaded._files == model._files
    assert loaded.transform(test_df).collect() == model.transform(test_df).collect()
    with pytest.raises(InputError, match=r"nothing at viewfs://.*; found a saved stage there\. Save elsewhere, or with"):
        model.save(f"{path}/model")
    model.copy({model.threshold: 0.25}).write().overwrite().save(f"{path}/model")
    assert TransformerClassificationModel.load(f"{path}/model").getThreshold() == 0.25


def test_a_file_of_many_pieces(model, store, monkeypatch):
    monkeypatch.setattr("sparknlp_tx.spark.object_store.PIECE_BYTES", 50_000)
    model.save(store[0] + "/model")
    loaded = TransformerClassificationModel.load(store[0] + "/model")
    for name in model._files:
        assert (loaded.directory / name).read_bytes() == (model.directory / name).read_bytes(), name


def test_an_estimator_and_a_pipeline_go_there(model, settings, test_df, store):
    path, _ = store
    estimator = TransformerClassifier(**settings)
    estimator.save(f"{path}/estimator")
    assert TransformerClassifier.load(f"{path}/estimator").extractParamMap() == estimator.extractParamMap()
    pipeline = PipelineModel([SQLTransformer(statement="SELECT * FROM __THIS__"), model])
    pipeline.save(f"{path}/pipeline")
    assert PipelineModel.load(f"{path}/pipeline").transform(test_df).collect() == pipeline.transform(test_df).collect()


def threshold_there(path):
    """The threshold of the model that is saved there; its files are compared with their hashes."""
    return TransformerClassificationModel.load(f"{path}/model").getThreshold()


def test_the_files_of_a_model_that_is_replaced_go(spark, model, store):
    path, folder = store
    for threshold in (0.25, 0.75, 0.5):
        model.copy({model.threshold: threshold}).write().overwrite().save(f"{path}/model")
        assert threshold_there(path) == threshold
        kept = [name for name in ("files", "files-2") if (folder / "model" / name).is_dir()]
        assert [bool(spark.read.parquet(f"{path}/model/{name}").count()) for name in kept].count(True) == 1


@pytest.mark.parametrize("step", ["_write_pieces", "_write_text", "_write_text again", "_empty"])
def test_an_overwrite_that_breaks_off_leaves_a_whole_model(model, store, monkeypatch, step):
    """What a kill leaves at each step: Spark has removed what it overwrites, and has not written."""
    from sparknlp_tx.spark import object_store as remote

    path, folder = store
    model.save(f"{path}/model")
    name, _, again = step.partition(" ")
    real, calls = getattr(remote, name), []

    def breaks_off(spark, place, *rest):
        calls.append(place)
        if again and len(calls) == 1:
            return real(spark, place, *rest)
        shutil.rmtree(folder / Path(place).relative_to(path), ignore_errors=True)
        raise KeyboardInterrupt(place)

    changed = model.copy({model.threshold: 0.25})
    with monkeypatch.context() as patch:
        patch.setattr(remote, name, breaks_off)
        with pytest.raises(KeyboardInterrupt):
            changed.write().overwrite().save(f"{path}/model")
    new = again or name == "_empty"
    assert threshold_there(path) == (0.25 if new else 0.5)
    with pytest.raises(InputError, match="nothing at"):
        model.save(f"{path}/model")
    model.copy({model.threshold: 0.75}).write().overwrite().save(f"{path}/model")
    assert threshold_there(path) == 0.75
    assert (folder / "model" / "metadata").is_dir()


KILLED = """
import os, signal, sys
from sparknlp_tx import TransformerClassificationModel, local_session
from sparknlp_tx.spark import object_store as remote

mount, local, path = sys.argv[1:]
spark = local_session("killed", master="local[1]", conf={"spark.hadoop.fs.viewfs.mounttable.store.link./files": mount})
model = TransformerClassificationModel.load(local)
remote.PIECE_BYTES, real, count = 20_000, remote._pieces, 0

def pieces(folder):
    for number, piece in enumerate(real(folder)):
        if number == 6:  # four are written by now
            print("killed", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        yield piece

remote._pieces = pieces
model.write().overwrite().save(path)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_overwrites_leaves_the_old_model(model, store, tmp_path_factory):
    path, folder = store
    model.save(f"{path}/model")
    model.copy({model.threshold: 0.25}).save(str(folder / "new"))
    command = [sys.executable, "-c", KILLED, tmp_path_factory.getbasetemp().as_uri(), str(folder / "new"), f"{path}/model"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    killed = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment | {"SPARK_LOCAL_IP": "127.0.0.1"}
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert killed.stdout.strip() == "killed"
    assert (folder / "model" / "files-2").is_dir()
    assert threshold_there(path) == 0.5


def test_what_is_wrong_there_is_told(spark, model, store):
    path, folder = store
    with pytest.raises(InputError, match=r"a saved stage at viewfs://.*; found nothing"):
        TransformerClassificationModel.load(f"{path}/nowhere")
    model.save(f"{path}/model")
    with pytest.raises(
        InputError, match=r"a saved TransformerClassifier in viewfs://.*; found a TransformerClassificationModel"
    ):
        TransformerClassifier.load(f"{path}/model")
    pieces = spark.read.parquet(f"{path}/model/files")
    damaged = F.when(pieces.name == "config.json", F.lit(bytearray(b"{}"))).otherwise(pieces.content)
    pieces.withColumn("content", damaged).coalesce(1).write.parquet(f"{path}/damaged")
    (folder / "model" / "files").rename(folder / "whole")
    (folder / "damaged").rename(folder / "model" / "files")
    with pytest.raises(InputError, match=r"the model's files at viewfs://.* as they were; found others: config\.json"):
        TransformerClassificationModel.load(f"{path}/model")
    later = json.loads(spark.read.text(f"{path}/model/metadata").first()[0])
    later["sparknlpTx"] |= {"formatVersion": 99, "version": "9.0"}
    spark.createDataFrame([(json.dumps(later),)], "value string").write.mode("overwrite").text(f"{path}/model/metadata")
    with pytest.raises(InputError, match=r"found format 99, written by sparknlp_tx 9\.0"):
        TransformerClassificationModel.load(f"{path}/model")


def test_other_files_there_are_kept(spark, model, store):
    path, _ = store
    spark.range(3).write.parquet(f"{path}/table")
    for writer in (model.write(), model.write().overwrite()):
        with pytest.raises(InputError, match=r"nothing at viewfs://.*; found files that are no saved stage"):
            writer.save(f"{path}/table")
    assert spark.read.parquet(f"{path}/table").count() == 3


def test_a_file_system_whose_jars_are_not_there(model):
    with pytest.raises(InputError, match=r"a path on a file system that Spark knows; found s3a://.* hadoop-aws"):
        model.save("s3a://bucket/model")
