"""Pictures and the table of mistakes, of every kind of task."""

import csv

import numpy as np
import pytest

from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, SINGLE, decision_rule
from sparknlp_tx.metrics.plots import draw_learning_curves, draw_scores

PNG = b"\x89PNG"


def made_up(kind, labels, rows=400):
    draw = np.random.default_rng(0)
    truth = draw.integers(0, labels, rows)
    logits = draw.normal(size=(rows, labels)) + 3 * (truth[:, None] == np.arange(labels))
    texts = [f"text {row}" for row in range(rows)]
    names = [f"label number {n}" for n in range(labels)]
    if kind == REGRESSION:
        return decision_rule(kind, []), logits[:, :1], logits[:, 0] + draw.normal(size=rows), texts
    truth = truth[:, None] == np.arange(labels) if kind == MULTI else truth
    return decision_rule(kind, names), logits, truth, texts


@pytest.mark.parametrize(("kind", "labels"), [(SINGLE, 2), (SINGLE, 77), (MULTI, 5), (REGRESSION, 1)])
def test_pictures_of_every_kind_of_task(kind, labels, tmp_path):
    decision, logits, truth, texts = made_up(kind, labels)
    found = {path.name for path in draw_scores(decision, logits, truth, texts, tmp_path / "pictures")}
    expected = {"reliability.png", "f1_by_label.png", "precision_recall.png", "mistakes.csv"}
    if kind == SINGLE:
        expected |= {"confusion_matrix.png"}
    if kind == REGRESSION:
        expected = {"predicted_against_true.png", "mistakes.csv"}
    assert found == expected == {path.name for path in (tmp_path / "pictures").iterdir()}
    for name in expected - {"mistakes.csv"}:
        assert (tmp_path / "pictures" / name).read_bytes().startswith(PNG)


def test_mistakes_are_the_most_confident_first(tmp_path):
    decision = decision_rule(SINGLE, ["a", "b"])
    logits = np.array([[5.0, 0], [0, 3], [9, 0], [1, 0]])
    draw_scores(decision, logits, np.array([0, 0, 1, 1]), ["right", "wrong", "very wrong", "a little wrong"], tmp_path)
    with open(tmp_path / "mistakes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == ["very wrong", "wrong", "a little wrong"]
    assert (rows[0]["true"], rows[0]["predicted"], rows[0]["confidence"]) == ("b", "a", "0.9999")


def test_a_label_that_the_model_does_not_have_is_left_out(tmp_path):
    decision, logits, truth, texts = made_up(SINGLE, 3)
    truth[:5] = -1
    assert len(draw_scores(decision, logits, truth, texts, tmp_path)) == 5


def test_learning_curves(tmp_path):
    history = [{"step": 1, "loss": 2.0}, {"step": 2, "eval_loss": 1.5, "eval_accuracy": 0.5}, {"step": 3, "loss": 1.0}]
    (file,) = draw_learning_curves(history, tmp_path, "accuracy")
    assert file.read_bytes().startswith(PNG)
