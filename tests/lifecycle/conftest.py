"""A labelled table to compare models on."""

import pytest
from helpers.texts import texts_of_topics
from pyspark.sql import functions as F

MARKED = "stolen|euro"


@pytest.fixture(scope="module")
def labelled(spark, tmp_path_factory):
    """A Delta table of 450 rows: text, label, and `marked`, whether a text has one of two words."""
    folder = str(tmp_path_factory.mktemp("tables") / "test")
    rows = spark.createDataFrame(texts_of_topics(150, seed=5), "text string, label string")
    marked = F.when(F.col("text").rlike(MARKED), "yes").otherwise("no")
    rows.withColumn("marked", marked).coalesce(2).write.format("delta").save(folder)
    return folder
