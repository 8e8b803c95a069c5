"""A registry with models of one task, good and bad, fitted once; and a labelled table to compare them on."""

import pytest
from helpers.texts import texts_of_topics
from pyspark.sql import functions as F

MARKED = "stolen|euro"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A fresh MLflow store in SQLite for the tests of a file."""
    import mlflow

    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        uri = f"sqlite:///{folder}/mlflow.db"
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.chdir(folder)
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment("tests")
        yield uri
        mlflow.set_tracking_uri(None)


@pytest.fixture(scope="module")
def labelled(spark, tmp_path_factory):
    """A Delta table of 450 rows: text, label, and `marked`, whether a text has one of two words."""
    folder = str(tmp_path_factory.mktemp("tables") / "test")
    rows = spark.createDataFrame(texts_of_topics(150, seed=5), "text string, label string")
    marked = F.when(F.col("text").rlike(MARKED), "yes").otherwise("no")
    rows.withColumn("marked", marked).coalesce(2).write.format("delta").save(folder)
    return folder
