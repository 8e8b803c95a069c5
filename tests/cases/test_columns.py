"""Columns by the names that people give them: other capitals, fields of structs, dots, backticks, spaces."""

import pytest
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassifier
from sparknlp_tx.errors import InputError
from sparknlp_tx.spark.named_columns import find_column

pytestmark = pytest.mark.connect


def scores(df):
    return {row["id"]: row["prediction"] for row in df.select("id", "prediction").collect()}


@pytest.fixture(scope="module")
def expected(model, test_df):
    return scores(model.transform(test_df))


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("Text", "text"),
        ("text", "TEXT"),
        ("a.b", "a.b"),
        ("a`b", "a`b"),
        ("my text, (new)", "my text, (new)"),
        ("Täxt", "täxt"),
        ("`a.b`", "a.b"),
        ("`", "`"),
    ],
)
def test_names_as_spark_reads_them(model, test_df, expected, name, there):
    df = test_df.select("id", F.col("text").alias(there))
    assert scores(model.copy({model.textCol: name}).transform(df)) == expected


@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        ("doc.text", lambda text: F.struct(F.lit(1).alias("n"), text.alias("text")).alias("doc")),
        ("DOC.Text", lambda text: F.struct(text.alias("text")).alias("doc")),
        ("a.b.c", lambda text: F.struct(F.struct(text.alias("c")).alias("b")).alias("a")),
        ("`my.doc`.text", lambda text: F.struct(text.alias("text")).alias("my.doc")),
        ("doc.my text", lambda text: F.struct(text.alias("my text")).alias("doc")),
    ],
)
def test_fields_of_structs(model, test_df, expected, name, wrap):
    df = test_df.select("id", wrap(F.col("text")))
    copy = model.copy({model.textCol: name})
    assert scores(copy.transform(df)) == expected
    assert scores(copy.copy({model.handleInvalid: "skip"}).transform(df)) == expected


def test_a_model_of_fields_is_trained_and_evaluated(settings, train_df, test_df):
    def nested(df):
        doc = F.struct(F.col("text"), F.struct(F.col("label").alias("name"), F.lit(1.0).alias("weight")).alias("label"))
        return df.select(doc.alias("Doc"))

    names = {"textCol": "doc.text", "labelCol": "doc.label.name", "weightCol": "doc.label.weight", "validationFraction": 0.2}
    model = TransformerClassifier(**settings, **names).fit(nested(train_df))
    assert sorted(model.labels) == ["card", "rate", "transfer"]
    plain = model.copy({model.textCol: "text", model.labelCol: "label"}).evaluate(test_df)
    assert dict(model.evaluate(nested(test_df))) == dict(plain)
    assert model.explain(nested(test_df)).rows == 90


def test_capitals_count_where_spark_is_told_so(spark, model, test_df, expected):
    both = test_df.select("id", "text", F.lit("other").alias("TEXT"))
    with pytest.raises(InputError, match=r"2 of them: text, TEXT"):
        model.transform(both)
    spark.conf.set("spark.sql.caseSensitive", "true")
    try:
        assert scores(model.transform(both)) == expected
        with pytest.raises(InputError, match="'Text'"):
            model.copy({model.textCol: "Text"}).transform(test_df)
        there = test_df.withColumn("Prediction", F.lit(0))
        assert scores(model.transform(there)) == expected
    finally:
        spark.conf.unset("spark.sql.caseSensitive")
    with pytest.raises(InputError, match="'Prediction'"):
        model.transform(there)


def test_names_of_nothing_are_refused(model, test_df):
    df = test_df.select("id", F.struct("text", "id").alias("doc"), F.array(F.struct("text")).alias("docs"))
    for name in ("doc.txt", "doc.*", "doc.id", "docs.text", "doc", "doc.text.more", "doc..text", "`doc", "*"):
        with pytest.raises(InputError, match="textCol"):
            model.copy({model.textCol: name}).transform(df)


def test_what_spark_keeps_with_a_field_is_found(spark):
    df = spark.range(1).select(F.struct(F.lit(1.0).alias("value")).alias("doc"), F.lit("a").alias("x.y"))
    assert find_column(df, "doc.value").dataType.simpleString() == "double"
    assert find_column(df, "x.y").name == "x.y"
    assert find_column(df, "x.z") is None
    assert find_column(df, None) is None
