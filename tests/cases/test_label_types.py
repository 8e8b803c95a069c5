"""Labels of every type that Spark has for them: each way to count the right rows gives the same number."""

import pytest
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import StringIndexer
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassifier

KINDS = {
    "char(9)": lambda place: F.concat(F.lit("t"), place.cast("string")),
    "bigint": lambda place: place * 20_000_000,
    "double": lambda place: place * 1e7,
    "decimal(10,2)": lambda place: place,
}


@pytest.mark.parametrize(
    ("kind", "indexed"), [*((kind, False) for kind in ("char(9)", "bigint", "double", "decimal(10,2)")), ("double", True)]
)
def test_every_way_of_counting_the_right_rows_agrees(spark, kind, indexed, train_df, test_df, settings):
    """Labels of each type: `evaluate`, the names joined in SQL, the positions by Spark's evaluator."""
    spark.sql("DROP TABLE IF EXISTS truths")
    spark.sql(f"CREATE TABLE truths (id BIGINT, text STRING, label {kind}) USING delta")
    place = F.when(F.col("label") == "card", 1).when(F.col("label") == "rate", 2).otherwise(0)
    train_df.select(F.lit(-1).alias("id"), "text", KINDS[kind](place).alias("label")).writeTo("truths").append()
    test_df.select("id", "text", KINDS[kind](place).alias("label")).writeTo("truths").append()
    table = spark.table("truths").withColumn("name", F.rtrim(F.col("label").cast("string")))
    label_col = "label"
    if indexed:
        table = StringIndexer(inputCol="name", outputCol="index", stringOrderType="alphabetDesc").fit(table).transform(table)
        label_col = "index"
    train, test = table.filter("id < 0"), table.filter("id >= 0").cache()
    model = TransformerClassifier(**settings | {"numTrainEpochs": 2.0}, labelCol=label_col).fit(train)
    accuracy = model.evaluate(test)["accuracy"]
    scored = model.transform(test).cache()
    joined = "predictedLabel = name" if indexed else f"CAST(predictedLabel AS {kind.replace('char(9)', 'string')}) = label"
    assert scored.filter(joined).count() / 90 == pytest.approx(accuracy)
    if indexed or kind == "decimal(10,2)":  # the numbers are positions already
        right = MulticlassClassificationEvaluator(metricName="accuracy", labelCol=label_col).evaluate(
            scored.withColumn(label_col, F.col(label_col).cast("double"))
        )
        assert right == pytest.approx(accuracy)
