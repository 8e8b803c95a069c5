"""Labels and texts of every type that Spark has for them, and the SQL function where people write it first."""

from decimal import Decimal
from unittest.mock import patch

import pytest
from pyspark.ml.feature import StringIndexer
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassifier
from sparknlp_tx.data.label_columns import label_index, label_name
from sparknlp_tx.errors import InputError
from sparknlp_tx.ml import evaluate as evaluation

pytestmark = pytest.mark.connect

NUMBERS = [
    "tinyint",
    "smallint",
    "int",
    "bigint",
    "float",
    "double",
    "decimal(10,2)",
    "decimal(38,0)",
    "decimal(12,4)",
    "decimal(38,18)",
]


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_number_has_one_name_whatever_its_type(spark, kind):
    values = [0, 7, 100] + ([20_000_000] if kind not in ("tinyint", "smallint") else [])
    df = spark.createDataFrame([(n,) for n in values], "n bigint").select(F.col("n").cast(kind).alias("label"))
    names = [row[0] for row in df.select(label_name("label", df)).collect()]
    assert sorted(names) == sorted(map(str, values))
    index = df.select(label_index("label", df, [str(n) for n in values])).collect()
    assert sorted(row[0] for row in index) == list(range(len(values)))
    old = {0: "0.00", 7: "7.00", 100: "100.0", 20_000_000: "2.0E7"}  # as models that were saved before have them
    index = df.select(label_index("label", df, [old[n] for n in values])).collect()
    assert sorted(row[0] for row in index) == list(range(len(values)))


def test_other_spellings(spark):
    def names(sql):
        df = spark.sql(f"SELECT explode(array({sql})) AS label")
        return [row[0] for row in df.select(label_name("label", df)).collect()]

    assert names("-0.0D, 0.0D, -7D, 1e7D, 0.5D") == ["0", "0", "-7", "10000000", "0.5"]
    assert names("1e15D, 9007199254740992D, 1e20D") == ["1000000000000000", "9007199254740992", "100000000000000000000"]
    assert names("-0.00BD, 10.00BD, 1.50BD") == ["0", "10", "1.5"]
    assert names("true, false") == ["true", "false"]
    assert names("' a', 'a ', '01', 'NA'") == [" a", "a ", "01", "NA"]


@pytest.mark.parametrize("kind", ["decimal(10,2)", "double"])
def test_a_model_of_numbers_agrees_with_sql_and_evaluate(spark, kind, train_df, settings):
    number = F.when(F.col("label") == "card", 20_000_000).when(F.col("label") == "rate", 1).otherwise(0)
    df = train_df.select("text", number.cast(kind).alias("label"))
    model = TransformerClassifier(**settings).fit(df)
    assert model.labels == ["0", "1", "20000000"]
    assert model.evaluate(df)["accuracy"] > 0.9
    scored = model.transform(df)
    assert scored.filter(F.col("predictedLabel").cast(kind) == F.col("label")).count() > 0.9 * 300


def test_labels_that_a_model_does_not_know(model, test_df):
    known = model.evaluate(test_df)
    half = test_df.withColumn("label", F.when(F.col("id") % 2 == 0, F.col("label")).otherwise(F.upper("label")))
    found = model.evaluate(half)
    unknown = half.filter("id % 2 = 1").count()
    assert (found["unknown_labels"], found["rows"]) == (unknown, 90 - unknown)
    assert found["accuracy"] == model.evaluate(test_df.filter("id % 2 = 0"))["accuracy"]
    assert "unknown_labels" not in known
    for spelling in (F.upper("label"), F.concat("label", F.lit(" ")), F.lit(True)):
        with pytest.raises(InputError, match="labels of the model"):
            model.evaluate(test_df.withColumn("label", spelling))


def test_texts_of_typed_schemas(spark, model):
    spark.sql("DROP TABLE IF EXISTS typed")
    spark.sql("CREATE TABLE typed (text VARCHAR(300), label CHAR(10)) USING delta")
    spark.sql("INSERT INTO typed VALUES ('my card was stolen', 'card'), ('what is the exchange rate', 'rate')")
    table = spark.table("typed")
    assert model.transform(table).count() == 2


def test_the_function_goes_where_sql_takes_one(spark, model, test_df):
    spark.udf.register("classify", model.udf)
    for name in ("asked", "known"):
        spark.sql(f"DROP TABLE IF EXISTS {name}")
    test_df.limit(12).write.format("delta").saveAsTable("asked")
    spark.sql("CREATE TABLE known (label STRING, n BIGINT) USING delta")
    spark.sql("INSERT INTO known VALUES ('card', 0), ('rate', 0), ('transfer', 0)")
    [row] = spark.sql("SELECT avg(classify(text).prediction) AS mean, count(*) AS n FROM asked").collect()
    assert (row["n"], 0 <= row["mean"] <= 2) == (12, True)
    joined = spark.sql("SELECT id FROM asked JOIN known ON classify(asked.text).predictedLabel = known.label")
    assert joined.count() == 12
    assert spark.sql("SELECT label FROM asked GROUP BY label HAVING max(classify(text).prediction) >= 0").count() > 0
    spark.sql("UPDATE asked SET label = classify(text).predictedLabel")
    expected = {(r["id"], r["predictedLabel"]) for r in model.transform(test_df).select("id", "predictedLabel").collect()}
    assert {tuple(row) for row in spark.sql("SELECT id, label FROM asked").collect()} <= expected
    spark.sql("""MERGE INTO known USING (SELECT classify(text).predictedLabel AS label, count(*) AS n FROM asked GROUP BY 1) s
        ON known.label = s.label WHEN MATCHED THEN UPDATE SET n = s.n""")
    assert spark.sql("SELECT sum(n) FROM known").collect()[0][0] == 12
    spark.sql("DELETE FROM asked WHERE classify(text).predictedLabel = 'card'")
    assert spark.sql("SELECT * FROM asked WHERE label = 'card'").count() == 0


def test_decimals_with_a_fraction_are_no_labels(train_df, settings):
    df = train_df.withColumn("label", F.lit(Decimal("0.50")).cast("decimal(10,2)"))
    with pytest.raises(InputError, match="whole numbers or names"):
        TransformerClassifier(**settings).fit(df)


@pytest.mark.parametrize("odd", [0.5, 7.0, -1.0])
def test_a_position_of_no_name_is_no_label(model, test_df, train_df, settings, odd):
    indexer = StringIndexer(inputCol="label", outputCol="index", handleInvalid="keep").fit(train_df)
    names = {"ml_attr": {"type": "nominal", "vals": list(indexer.labels)}}

    def stale(df, where):
        df = indexer.transform(df)
        return df.withColumn("index", F.when(where, F.lit(odd)).otherwise(F.col("index"))).withMetadata("index", names)

    found = model.copy({model.labelCol: "index"}).evaluate(stale(test_df, F.col("id") < 20))
    assert (found["unknown_labels"], found["rows"]) == (20, 70)
    with pytest.raises(InputError, match=str(odd)):
        TransformerClassifier(**settings, labelCol="index").fit(stale(train_df, F.length("text") > 60))


def test_of_several_labels_a_row_unknown_ones_are_told(train_df, test_df, settings):
    several = [df.withColumn("label", F.array("label")) for df in (train_df, test_df)]
    model = TransformerClassifier(**settings).fit(several[0])
    other = F.when(F.col("id") < 30, F.array_append("label", "fraud")).otherwise(F.col("label"))
    mixed = several[1].withColumn("label", other)
    found, known = model.evaluate(mixed), model.evaluate(several[1].filter("id >= 30"))
    assert dict(found) == dict(known) | {"unknown_labels": 30}
    with patch.object(evaluation, "COLLECTED_NUMBERS", 0):
        counted = model.evaluate(mixed)
    assert (counted["rows"], counted["unknown_labels"]) == (60, 30)
    assert counted["accuracy"] == pytest.approx(found["accuracy"])
    with pytest.raises(InputError, match="labels of the model"):
        model.evaluate(several[1].withColumn("label", F.array(F.lit("fraud"))))
