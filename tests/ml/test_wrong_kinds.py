"""What is neither a table of Spark's nor a list of texts, where one is wanted."""

import pandas as pd
import pytest

from sparknlp_tx import TransformerClassifier
from sparknlp_tx.errors import InputError

pytestmark = pytest.mark.every_session


def test_what_is_no_table_is_refused(spark, model, settings):
    stream = spark.readStream.format("rate").load().selectExpr("'a' AS text", "'b' AS label")
    for call in (TransformerClassifier(**settings).fit, model.transform, model.evaluate, model.explain):
        with pytest.raises(InputError, match=r"a Spark DataFrame; found a pandas.*DataFrame\. spark\.createDataFrame"):
            call(pd.DataFrame({"text": ["a"], "label": ["b"]}))
        if call != model.transform:
            with pytest.raises(InputError, match="a table; found a stream"):
                call(stream)


def test_predict_takes_texts_alone(spark, model):
    for table in (pd.DataFrame({"text": ["a"]}), spark.createDataFrame([("a",)], "text string")):
        with pytest.raises(InputError, match="a list of texts; found a DataFrame"):
            model.predict(table)
    for text in (1, ["a", "b"], {"text": "a"}):
        with pytest.raises(InputError, match="Expected texts; found"):
            model.predict([text])
    assert model.predict([None, float("nan"), pd.NA, "a"])["prediction"].isna().tolist() == [True, True, True, False]


def test_predict_takes_a_list(model):
    with pytest.raises(InputError, match="a list of texts; found one text"):
        model.predict("my card")
