"""Which words decided, from outside: what is planted leads, what is measured is what scoring without the word gives."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from helpers.texts import FILLER

from sparknlp_tx import InferenceEngine, TransformerClassifier
from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.decision_rules import MultiLabel, Regression, SingleLabel
from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.inference.rescoring import RescoringStage
from sparknlp_tx.inference.word_weights import Word, WordWeights, explain_words, weigh_words
from sparknlp_tx.inference.word_weights.splitting import without, word_spans

PLANTED = {"a": "card", "b": "euro", "c": "money"}


def planted_rows(number, seed, words, labels=tuple(PLANTED)):
    """(text, label) rows: words that say nothing, and for each label but `none` one that names it."""
    draw = random.Random(seed)
    rows = []
    for _ in range(number):
        label = draw.choice(labels)
        text = draw.choices(FILLER, k=draw.choice(words)) + ([PLANTED[label]] if label in PLANTED else [])
        draw.shuffle(text)
        rows.append((" ".join(text), label))
    return rows


@pytest.fixture(scope="module")
def planted(spark, settings):
    """A model for which one word decides; without a label for no such word, it could tell one of them by the absence of the others."""
    rows = planted_rows(600, 0, [3, 8, 20, 40, 50], [*PLANTED, "none"])
    df = spark.createDataFrame(rows, "text string, label string").coalesce(1)
    return TransformerClassifier(
        **settings | {"numTrainEpochs": 12.0, "learningRate": 2e-3, "headLearningRate": 2e-3, "maxLength": 64}
    ).fit(df)


@pytest.fixture(scope="module")
def engine(planted):
    return InferenceEngine.from_pretrained(planted.directory, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def decision(planted):
    return planted.decision


@pytest.mark.parametrize(("words", "exact_words"), [([3, 8, 15], 64), ([40, 50], 16)])
def test_the_word_that_was_planted_leads(engine, decision, words, exact_words):
    """In short texts, and in long ones that are looked into piece by piece."""
    rows = planted_rows(60, 1, words)
    found = list(weigh_words(engine, decision, [text for text, _ in rows], exact_words=exact_words))
    led = [one.label == label and one.leading(1)[0].text == PLANTED[label] for one, (_, label) in zip(found, rows, strict=True)]
    assert np.mean(led) >= 0.95
    assert all(one.leading(1)[0].exact for one in found)


def test_a_weight_is_what_the_decision_loses_without_the_word(engine, decision):
    text = "Is my card, please, (lost)?"
    (found,) = weigh_words(engine, decision, [text])
    shorter = ["my card, please, (lost)?", "Is card, please, (lost)?", "Is my , please, (lost)?", "Is my card, , (lost)?"]
    logits = engine.predict_logits([text, *shorter, "Is my card, please, ()?"]).astype(float)
    label, runner_up = np.argsort(-logits[0])[:2]
    lead, asked_lead = (logits[:, index] - np.delete(logits, index, axis=1).max(axis=1) for index in (label, runner_up))
    assert (found.label, found.runner_up) == (decision.labels[label], decision.labels[runner_up])
    assert found.margin == pytest.approx(lead[0], abs=1e-5)
    assert [word.text for word in found.words] == ["Is", "my", "card", "please", "lost"]
    assert all(text[word.start : word.end] == word.text for word in found.words)
    assert [word.weight for word in found.words] == pytest.approx(lead[0] - lead[1:], abs=1e-5)
    (asked,) = weigh_words(engine, decision, [text], label=int(runner_up))
    assert (asked.label, asked.runner_up) == (found.runner_up, found.label)
    assert [word.weight for word in asked.words] == pytest.approx(asked_lead[0] - asked_lead[1:], abs=1e-5)
    handicapped = SingleLabel(decision.labels, thresholds=[1e-9 if index == runner_up else 1 for index in range(4)])
    (turned,) = weigh_words(engine, handicapped, [text])
    assert turned.label == found.runner_up
    assert turned.margin > 0


def test_several_labels_numbers_and_pairs(engine, decision):
    text = "my card and the euro"
    raw, without_card = engine.predict_logits([text, "my and the euro"]).astype(float)
    (tags,) = weigh_words(engine, MultiLabel(decision.labels, 1e-6), [text])
    each = [tags, *tags.others]
    assert {one.label for one in each} == {*PLANTED, "none"}
    for one in each:
        index = decision.labels.index(one.label)
        assert one.runner_up is None
        assert one.margin == pytest.approx(raw[index] + np.log(1e6), abs=1e-3)
        assert one.words[1].weight == pytest.approx(raw[index] - without_card[index], abs=1e-4)
    (nearest,) = weigh_words(engine, MultiLabel(decision.labels, 1 - 1e-6), [text])
    assert (nearest.label, nearest.others) == (decision.labels[int(raw.argmax())], ())
    assert nearest.margin < 0
    (number,) = weigh_words(engine, Regression(), [text])
    assert (number.label, number.margin) == (None, pytest.approx(raw[0], abs=1e-4))
    assert number.words[1].weight == pytest.approx(raw[0] - without_card[0], abs=1e-4)
    (pair,) = weigh_words(engine, decision, [("my card", "the euro")])
    whole, rest = engine.predict_logits([("my card", "the euro"), ("my card", "the ")]).astype(float)
    lead = [logits[index] - np.delete(logits, index).max() for logits in (whole, rest) for index in [whole.argmax()]]
    assert [(word.text, word.part) for word in pair.words] == [("my", 0), ("card", 0), ("the", 1), ("euro", 1)]
    assert pair.words[3].weight == pytest.approx(lead[0] - lead[1], abs=1e-4)


def test_what_the_model_does_not_read_weighs_nothing_and_nothing_moves_up(planted, decision):
    short = InferenceEngine.from_pretrained(planted.directory, device="cpu", precision="float32", max_length=8)
    read, rest = "please help me with my card", "euro euro euro money"
    (found,) = weigh_words(short, decision, [f"{read} {rest}"])
    (alone,) = weigh_words(short, decision, [read])
    assert [word.read for word in found.words] == [True] * 6 + [False] * 4
    assert [word.weight for word in found.words] == pytest.approx([word.weight for word in alone.words] + [0] * 4, abs=1e-5)


def test_a_long_text_takes_as_much_as_18_scorings_of_it(engine, decision):
    (text, _), *_ = planted_rows(1, 3, [60])
    engine.predict_logits([text])
    engine.take_stats()
    engine.predict_logits([text])
    once = engine.take_stats().tokens
    (found,) = weigh_words(engine, decision, [text], exact_words=0)
    assert engine.take_stats().tokens < 18.5 * once
    assert sum(word.exact for word in found.words) == 10


def test_variants_get_no_second_look(engine, decision):
    """Else some would be scored at another precision than the others, and the difference would pass for a word's weight."""
    stage = RescoringStage(1e9, lambda: engine.backend)
    looking = InferenceEngine(engine.encoder, engine.backend, engine.config, 1024, [stage])
    assert len(list(weigh_words(looking, decision, ["my card is lost", None, "the euro"]))) == 3
    assert looking.take_stats().second_looks == 2


def test_texts_and_labels_that_cannot_be_explained(planted):
    scoring = planted.scoring_settings(ModelLocation(str(planted.directory), planted._files))
    assert explain_words([], scoring) == []
    kept = explain_words(["my card", None, "", "?!"], scoring)
    assert [(one.label is None, len(one.words)) for one in kept] == [(False, 2), (True, 0), (True, 0), (False, 0)]
    assert kept[1].as_dict()["margin"] is None
    assert len(explain_words(["my card", None, ""], replace(scoring, handle_invalid="skip"))) == 1
    for texts, found in (("my card", "one text"), (5, "5"), ([("a", "b")], r"\('a', 'b'\)")):
        with pytest.raises(InputError, match=rf"Expected .*texts; found {found}"):
            explain_words(texts, scoring)
    with pytest.raises(InputError, match=r"a label of the model; found 'A'\. Did you mean 'a'\?"):
        explain_words(["my card"], scoring, label="A")
    with pytest.raises(InputError, match="exact_words of 0 or more; found -1"):
        explain_words(["my card"], scoring, exact_words=-1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't e-mail me: it's 1,000.5 € -- ok?! 'so' foo_bar.", "Don't|e-mail|me|it's|1,000.5|ok|so|foo_bar"),
        ("naïve cafe\u0301 हिन्दी में है। می‌خواهم", "naïve|cafe\u0301|हिन्दी|में|है|می‌خواهم"),
        ("So good 😀👍🏽 ❤️!", "So|good|😀👍🏽|❤️"),
        ("我的卡, hello世界", "我的|卡|hello|世界"),
        ("ดี", "ดี"),
        ("?! -- ...", ""),
    ],
)
def test_words_are_those_of_a_reader(text, words):
    starts = [text.find(token) for token in ("我", "卡", "世", "ดี")] + [text.find("ดี") + 1]
    found = word_spans(text, sorted(start for start in starts if start >= 0))
    assert "|".join(text[start:end] for start, end in found) == words


def test_a_word_goes_with_one_side_of_its_space():
    text = "  one two, three"
    assert [without(text, [span], (0, len(text))) for span in word_spans(text)] == [
        "  two, three",
        "  one , three",
        "  one two, ",
    ]
    assert without(text, [(6, 9)], (2, 10)) == "one ,"


def test_results_show_themselves():
    words = (
        Word("<b>", 0, 3, -0.5),
        Word("card", 4, 8, 1.5),
        Word("late", 9, 13, 0.0, read=False),
        Word("x", 14, 15, 0.1, exact=False),
    )
    found = WordWeights("<b> card late x", "lost & found", "rate", 2.0, words)
    assert repr(found).splitlines()[:2] == ["lost & found: 2.00 over rate", "    +1.500  card"]
    assert "x  (estimated)" in repr(found)
    page = found._repr_html_()
    assert "<b>lost &amp; found: 2.00 over rate</b>" in page
    assert '<span style="background:rgba(37,99,235,0.60)" title="+1.500">card</span>' in page
    assert 'title="-0.500">&lt;b&gt;</span>' in page
    assert 'title="not read">late</span>' in page
    assert json.loads(json.dumps(found.as_dict()))["words"][1]["weight"] == 1.5
