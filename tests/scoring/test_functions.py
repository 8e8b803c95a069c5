"""A model as a function for expressions and SQL, and on streams."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pyspark.sql import functions as F

from sparknlp_tx.errors import InputError
from sparknlp_tx.ml.schema_checks import OUTPUT_PARAMS

pytestmark = pytest.mark.every_session


def test_a_function_for_expressions_and_sql(spark, model, test_df):
    expected = {row["id"]: row["predictedLabel"] for row in model.transform(test_df).collect()}
    rows = test_df.select("id", model.udf("text").alias("scores")).collect()
    assert {row["id"]: row["scores"]["predictedLabel"] for row in rows} == expected
    spark.udf.register("classify", model.udf)
    test_df.createOrReplaceTempView("tickets")
    found = spark.sql(
        "SELECT id, classify(text).predictedLabel AS label, classify(NULL).prediction AS none FROM tickets"
    ).collect()
    assert {row["id"]: row["label"] for row in found} == expected
    assert {row["none"] for row in found} == {None}


def test_a_function_takes_as_many_texts_as_the_model(spark, model, test_df):
    with pytest.raises(InputError, match=r"a text, as the model was fitted; found 2 columns"):
        model.udf("text", "label")
    spark.udf.register("classify", model.udf)
    test_df.createOrReplaceTempView("tickets")
    with pytest.raises(Exception, match=r"InputError: Expected a text, as the model was fitted; found 2 columns"):
        spark.sql("SELECT classify(text, label) FROM tickets").collect()
    silent = model.copy({model.getParam(name): "" for name in OUTPUT_PARAMS})
    with pytest.raises(InputError, match="a score to give; found no name for any column"):
        silent.udf("text")


def test_a_function_from_another_thread(model, test_df):
    with ThreadPoolExecutor(1) as pool:
        df = pool.submit(lambda: test_df.select(model.udf("text").prediction.alias("p"))).result()
    assert df.where("p is null").count() == 0


def test_a_function_of_pairs(spark, model, test_df):
    pairs = model.copy({model.textPairCol: "other"})
    df = test_df.withColumn("other", F.upper("text"))
    expected = {row["id"]: row["prediction"] for row in pairs.transform(df).collect()}
    found = df.select("id", pairs.udf("text", "other").prediction.alias("p")).collect()
    assert {row["id"]: row["p"] for row in found} == expected


def test_streams_are_scored(spark, model, test_df, tmp_path):
    test_df.write.format("delta").save(str(tmp_path / "in"))
    stream = spark.readStream.format("delta").load(str(tmp_path / "in"))
    scored = model.transform(stream).withColumn("same", model.udf("text").prediction == F.col("prediction"))
    query = scored.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "checkpoint"))
    query.trigger(availableNow=True).start(str(tmp_path / "out")).awaitTermination()
    rows = spark.read.format("delta").load(str(tmp_path / "out")).collect()
    assert {row["id"]: row["prediction"] for row in rows} == {
        r["id"]: r["prediction"] for r in model.transform(test_df).collect()
    }
    assert all(row["same"] for row in rows)
