"""Texts that are no ordinary texts: scored or handled as `handleInvalid` says, and never at the cost of another row."""

import numpy as np
import pytest
from helpers.texts import texts_of_topics
from pyspark.sql import functions as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from sparknlp_tx.inference.tokenization import TextEncoder
from sparknlp_tx.ml.evaluate import evaluate_rows

pytestmark = pytest.mark.every_session

PLAIN = [text for text, _ in texts_of_topics(4, seed=21)]
ODD = {
    "null": None,
    "empty": "",
    "spaces": " \t\n\u00a0 ",
    "emoji": "my card 💳 👩‍👩‍👧‍👦 is 🇩🇪",
    "right to left": "\u202eبطاقتي ضاعت\u202c my card",
    "NUL": "my\x00card\x00",
    "combining": "e\u0301" * 500,
    "1 MB of one character": "a" * 1_000_000,
    "1 MB of words": "card " * 200_000,
    "not a character": "\uffff\ufdd0",
}


def test_odd_texts_are_scored_and_leave_the_others_alone(spark, model):
    rows = [(i, text) for i, text in enumerate([text for pair in zip(PLAIN, ODD.values(), strict=False) for text in pair])]
    df = spark.createDataFrame(rows, "id int, text string").coalesce(1)
    invalid = F.unhex(F.lit("63617264FF80C328")).cast("string")  # "card" and bytes that are no UTF-8
    df = df.unionByName(spark.range(1).select(F.lit(99).alias("id"), invalid.alias("text")))
    found = model.transform(df).select("id", "rawPrediction").collect()  # Spark Connect cannot bring such a text
    scored = {row["id"]: row["rawPrediction"] for row in found}
    assert sorted(scored) == [row[0] for row in rows] + [99]
    assert [text for i, text in rows if scored[i] is None] == [None, ""]
    assert np.isfinite(scored[99].toArray()).all()
    alone = model.predict(PLAIN)["rawPrediction"]
    for i, text in rows:
        if text in PLAIN:
            assert np.allclose(scored[i].toArray(), alone[PLAIN.index(text)], atol=1e-5)


def test_what_brings_texts_to_the_driver_takes_bytes_that_are_no_utf8(spark, model, test_df):
    odd = spark.sql("SELECT -1L AS id, cast(unhex('63617264FF80') AS string) AS text, 'card' AS label")
    df = test_df.limit(3).union(odd)
    assert model.explain(df).rows == 4
    assert model.evaluate(df)["rows"] == 4
    found = evaluate_rows(model, df, texts=True)
    assert "card\ufffd\ufffd" in found.texts


def test_rows_that_are_no_utf8_do_not_stop_the_training(spark, settings, train_df):
    from sparknlp_tx import TransformerClassifier

    odd = spark.sql("SELECT cast(unhex('63617264FF80') AS string) AS text, 'card' AS label")
    fitted = TransformerClassifier(**settings | {"numTrainEpochs": 1.0}).fit(train_df.union(odd))
    assert fitted.summary["train_rows"] == 301


def test_predict_takes_lone_surrogates(model):
    found = model.predict(["my card \ud800", *PLAIN])
    assert np.allclose(np.stack(found["rawPrediction"][1:]), np.stack(model.predict(PLAIN)["rawPrediction"]), atol=1e-5)


def wordpiece(checkpoint, _texts):
    return Tokenizer.from_file(f"{checkpoint}/tokenizer.json")


def byte_level(_checkpoint, texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["[PAD]", "[UNK]"]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet))
    return tokenizer


def unigram(_checkpoint, texts, split=True):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=split)
    tokenizer.decoder = decoders.Metaspace()
    special = ["[PAD]", "[UNK]"]
    tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="[UNK]"))
    return tokenizer


def unigram_over_spaces(_checkpoint, texts):
    return unigram(_checkpoint, texts, split=False)


@pytest.mark.parametrize("make", [wordpiece, byte_level, unigram, unigram_over_spaces])
def test_long_texts_are_cut_beforehand_to_the_same_tokens(make, checkpoint, tmp_path):
    """What `tokenizers` gives for the whole text is what is got from its beginning."""
    (tmp_path / "tokenizer_config.json").write_text('{"pad_token": "[PAD]"}')
    make(checkpoint, PLAIN).save(str(tmp_path / "tokenizer.json"))
    long = " ".join(PLAIN)
    texts = [
        long * 20,
        "  ".join(long.split()) * 5,
        "a" * 3_000,
        " " * 3_000 + long,
        "\n\n word" * 900,
        "card " + "b" * 900,
        "card",
    ]
    for limit in (5, 16, 61):
        whole = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        whole.no_padding()
        whole.enable_truncation(limit)
        found = TextEncoder(tmp_path, limit).encode(texts)
        assert found.input_ids == [whole.encode(text).ids for text in texts]
