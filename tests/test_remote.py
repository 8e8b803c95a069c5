"""Saved where Spark alone sees the files: `viewfs`, a Hadoop file system over a mount table, stands for object stores."""

import json

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
    monkeypatch.setattr("sparknlp_tx.remote.PIECE_BYTES", 50_000)
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
