"""Which words decided, asked of a model: for a list and over a table, on every kind of session."""

from collections import defaultdict

import pytest
from helpers.texts import TOPICS

from sparknlp_tx.errors import InputError

pytestmark = pytest.mark.every_session


def test_words_of_a_list(model, test_df):
    texts = [row["text"] for row in test_df.collect()]
    found = model.explain_words(texts)
    assert [one.label for one in found] == model.predict(texts)["predictedLabel"].tolist()
    led = sum(one.leading(1)[0].text in TOPICS[one.label] for one in found)
    assert led > len(found) / 2  # by chance a quarter; not all, as several words of a text name its topic
    (asked,) = model.explain_words(texts[:1], label="rate")
    assert asked.label == "rate"
    assert model.explain_words([]) == []


def test_words_by_label_are_the_sums_of_those_of_the_rows(spark, model, test_df):
    """Words in lower case, a word that comes twice in a row counted once; rows without a text count for nothing."""
    odd = spark.createDataFrame([(100, "My CARD, my card!", "card"), (101, None, "card"), (102, "", "rate")], test_df.schema)
    df = test_df.unionByName(odd)
    table = model.words_by_label(df)
    assert table.columns == ["label", "word", "rows", "weight", "mean_weight"]
    expected = defaultdict(lambda: [0, 0.0])
    for one in model.explain_words([row["text"] for row in df.collect()]):
        for word in {word.text.lower() for word in one.words}:
            expected[one.label, word][0] += 1
            expected[one.label, word][1] += sum(each.weight for each in one.words if each.text.lower() == word)
    rows = table.collect()
    found = {(row["label"], row["word"]): [row["rows"], row["weight"]] for row in rows}
    assert found.keys() == expected.keys()
    assert all(found[key] == pytest.approx(expected[key], abs=1e-3) for key in found)
    assert all(row["mean_weight"] == pytest.approx(row["weight"] / row["rows"]) for row in rows)
    assert [abs(row["weight"]) for row in rows] == sorted((abs(row["weight"]) for row in rows), reverse=True)
    assert rows[0]["word"] in TOPICS[rows[0]["label"]]
    assert {row["label"] for row in model.words_by_label(test_df.limit(9), label="rate").collect()} == {"rate"}


def test_what_is_wrong_is_told_before_a_job(model, test_df):
    with pytest.raises(InputError, match=r"a label of the model; found 'crad'\. Did you mean 'card'\?"):
        model.words_by_label(test_df, label="crad")
    with pytest.raises(InputError, match="column 'text'"):
        model.words_by_label(test_df.drop("text"))
    with pytest.raises(InputError, match="handleInvalid='error'"):
        model.copy({model.handleInvalid: "error"}).explain_words([None])
