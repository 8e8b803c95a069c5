"""A real cluster of several processes, `--session local-cluster`: the model travels, the rows come back once."""

import pytest
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassificationModel, TransformerClassifier
from sparknlp_tx.errors import TrainingError

pytestmark = pytest.mark.local_cluster


def test_executors_do_not_need_the_drivers_files(model, test_df, tmp_path):
    model.save(str(tmp_path / "model"))
    loaded = TransformerClassificationModel.load(str(tmp_path / "model"))
    scored = loaded.transform(test_df.repartition(4))
    loaded.directory.rename(tmp_path / "moved")
    assert sorted(row["id"] for row in scored.collect()) == list(range(90))
    assert scored.filter(F.col("prediction").isNotNull()).count() == 90


def test_sessions_of_one_application_each_send_a_model(spark, model):
    one, other = (session.createDataFrame([("card",)], "text string") for session in (spark, spark.newSession()))
    assert model.transform(one).collect() == model.transform(other).collect()


@pytest.fixture
def two(settings):
    """An estimator that trains in two processes, each a Spark task."""
    return TransformerClassifier(**settings | {"numTrainWorkers": 2, "numTrainEpochs": 20.0})


@pytest.mark.slow
def test_two_processes_train_and_the_rows_reach_them_by_spark(two, test_df):
    metrics = two.fit(test_df).evaluate(test_df)
    assert metrics["accuracy"] > 0.9, metrics


@pytest.mark.slow
def test_two_processes_find_the_rows_in_a_shared_folder_and_tell_what_went_wrong(two, test_df, tmp_path):
    shared = two.copy({two.stagingDir: str(tmp_path), two.numTrainEpochs: 1.0, two.learningRate: 1e30})
    with pytest.raises((TrainingError, RuntimeError), match="Expected a finite loss"):
        shared.copy({two.trainingArgs: {"logging_steps": 1}}).fit(test_df)
