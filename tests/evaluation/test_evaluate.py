"""jobs/evaluate.py: a model, TF-IDF and a zero-shot model on the same rows of a Delta table."""

import json

import pytest
from helpers.texts import texts_of_topics
from pyspark.sql import functions as F

from sparknlp_tx.cli import main as cli
from sparknlp_tx.cli.commands.evaluate import evaluate
from sparknlp_tx.errors import InputError
from sparknlp_tx.evaluation.baselines import tfidf_baseline
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, decision_rule
from sparknlp_tx.spark.outputs import write_table


@pytest.fixture(scope="module")
def places(model, train_df, test_df, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    model.save(str(folder / "model"))
    write_table(train_df, str(folder / "train"))
    write_table(test_df, str(folder / "test"))
    return folder


def run(capsys, *argv):
    code = cli.main(["evaluate", *map(str, argv)])
    said = capsys.readouterr()
    return code, json.loads(said.out.splitlines()[-1]) if said.out else None, said.err


def test_a_model_and_tfidf_on_the_same_rows(places, spark, capsys, tracking):
    code, result, said = run(
        capsys, "--model", places / "model", "--input", places / "test", "--tfidf", places / "train", "--experiment", "e"
    )
    assert code == 0
    assert result["model"]["rows"] == result["tfidf"]["rows"] == 90
    assert result["model"]["accuracy"] > 0.9
    assert result["tfidf"]["accuracy"] > 0.8
    assert "tfidf: accuracy" in said
    import mlflow

    metrics = mlflow.get_run(result["run_id"]).data.metrics
    assert metrics["test.accuracy"] == result["model"]["accuracy"]
    assert metrics["tfidf.macro_f1"] == result["tfidf"]["macro_f1"]


def test_zero_shot(places, checkpoint, spark, capsys, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    names = {0: "contradiction", 1: "neutral", 2: "entailment"}
    AutoModelForSequenceClassification.from_pretrained(
        checkpoint, num_labels=3, id2label=names, label2id={name: n for n, name in names.items()}
    ).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(checkpoint).save_pretrained(tmp_path)
    own = ("--model", places / "model", "--input", places / "test")
    code, result, _ = run(capsys, *own, "--zero-shot", tmp_path, "--zero-shot-rows", 20)
    assert (code, result["zero_shot"]["rows"]) == (0, 20)
    code, result, said = run(capsys, *own, "--zero-shot", places / "model" / "model")
    assert code == 2
    assert "a checkpoint for natural language inference" in said


def test_a_label_column_that_is_not_there_is_refused(places, spark, capsys):
    code, _, said = run(capsys, "--model", places / "model", "--input", places / "test", "--label-col", "lable")
    assert code == 2
    assert "Did you mean 'label'" in said


def test_tfidf_of_several_labels_and_of_numbers(spark):
    rows = [(text, [label], float(len(label))) for text, label in texts_of_topics(60)]
    df = spark.createDataFrame(rows, "text string, labels array<string>, target double")
    train, test = df.filter(F.pmod(F.xxhash64("text"), F.lit(3)) > 0), df.filter(F.pmod(F.xxhash64("text"), F.lit(3)) == 0)
    several = tfidf_baseline(train, test, decision_rule(MULTI, ["card", "rate", "transfer"]), ("text",), "labels")
    assert several["micro_f1"] > 0.6
    assert several["rows"] == test.count()
    assert tfidf_baseline(train, test, decision_rule(REGRESSION, []), ("text",), "target")["pearson"] > 0.6


def test_pictures_that_fail_do_not_fail_the_command(places, spark, capsys, tmp_path, monkeypatch, caplog):
    def fails(*args):
        raise ValueError("no such font")

    monkeypatch.setattr("sparknlp_tx.metrics.plots.draw_scores", fails)
    code, result, _ = run(capsys, "--model", places / "model", "--input", places / "test", "--pictures", tmp_path / "pictures")
    assert (code, result["model"]["rows"]) == (0, 90)
    assert "no such font" in caplog.text


def test_baselines_are_checked_before_the_rows_are_scored(places, spark, train_df, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("sparknlp_tx.cli.commands.evaluate.evaluate_rows", lambda *_, **__: pytest.fail("rows were scored"))
    own = ("--model", places / "model", "--input", places / "test")
    for name, rows in (("empty", train_df.limit(0)), ("one", train_df.filter("label = 'card'"))):
        write_table(rows, str(tmp_path / name))
        code, _, said = run(capsys, *own, "--tfidf", tmp_path / name)
        assert (code, "two labels" in said) == (2, True)
    for checkpoint, rows, word in ((tmp_path / "none", 5, "inference"), (places / "model" / "model", 0, "one row")):
        code, _, said = run(capsys, *own, "--zero-shot", checkpoint, "--zero-shot-rows", rows)
        assert (code, word in said) == (2, True)


def test_from_python(places, spark, tmp_path):
    found = evaluate(
        spark, model=str(places / "model"), input=str(places / "test"), params={"maxLength": 30, "thresholds": [1, 1, 1]}
    )
    assert found.metrics["model"]["rows"] == found.as_dict()["model"]["rows"] == 90
    with pytest.raises(InputError, match="Did you mean 'maxLength'"):
        evaluate(spark, model=str(places / "model"), input=str(places / "test"), params={"maxLenght": 30})
