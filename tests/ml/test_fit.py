"""fit on real Spark: kinds of labels, validation rows, weights, rows without text, repetition."""

import logging

import numpy as np
import pytest
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassifier


def fitted(df, settings, **params):
    return TransformerClassifier(**settings | {"numTrainEpochs": 1.0} | params).fit(df)


def test_the_summary_tells_what_happened(model):
    assert model.summary["train_rows"] == 300
    assert model.summary["train_seconds"] > 0
    assert model.summary["rows_per_second"] == pytest.approx(2400 / model.summary["train_seconds"])
    assert model.summary["training_args"]["learning_rate"] == 1e-3
    losses = model.summary.objectiveHistory
    assert losses[-1] < losses[0]
    assert (model.summary.bestEpoch, model.summary.metrics) == (8.0, {})
    assert model.summary.trainSeconds == model.summary["train_seconds"]
    assert model.summary.rowsPerSecond == model.summary["rows_per_second"]


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("if(label = 'card', 7, 10)", ["7", "10"]),
        ("if(label = 'card', 1L, 0L)", ["0", "1"]),
        ("label = 'card'", ["false", "true"]),
        ("if(label = 'card', 1.0D, 0.0D)", ["0", "1"]),
    ],
)
def test_labels_of_every_kind(train_df, settings, expression, labels):
    df = train_df.withColumn("label", F.expr(expression))
    model = fitted(df, settings, numTrainEpochs=3.0)
    assert model.labels == labels
    assert model.evaluate(df)["accuracy"] > 0.9


def test_the_epoch_that_is_best_on_the_validation_rows_is_kept(train_df, settings):
    marked = train_df.withColumn("held", F.pmod(F.xxhash64("text"), F.lit(4)) == 0)
    exact = {"bf16": False, "fp16": False}  # the Trainer then measures in float32, as the model scores
    model = fitted(marked, settings, validationIndicatorCol="held", numTrainEpochs=3.0, trainingArgs=exact)
    accuracies = [entry["eval_accuracy"] for entry in model.summary["history"] if "eval_accuracy" in entry]
    assert len(accuracies) == 3
    assert model.summary["metrics"]["accuracy"] == max(accuracies)
    assert model.summary["best_epoch"] == accuracies.index(max(accuracies)) + 1
    assert model.summary["train_rows"] == marked.filter("not held").count()
    kept = model.evaluate(marked.filter("held"))
    assert kept["accuracy"] == pytest.approx(max(accuracies))


def test_a_worse_last_epoch_is_not_the_one_that_is_kept(train_df, settings):
    """A learning rate that climbs without end ruins the later epochs."""
    marked = train_df.withColumn("held", F.pmod(F.xxhash64("text"), F.lit(4)) == 0)
    ruin = {
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 400,
        "max_grad_norm": 0.0,
        "bf16": False,
        "fp16": False,
    }
    params = {"learningRate": 1.0, "headLearningRate": 1.0, "numTrainEpochs": 4.0, "trainingArgs": ruin}
    model = fitted(marked, settings, validationIndicatorCol="held", **params)
    accuracies = [entry["eval_accuracy"] for entry in model.summary["history"] if "eval_accuracy" in entry]
    assert accuracies[-1] < max(accuracies)
    kept = model.evaluate(marked.filter("held"))
    assert kept["accuracy"] == pytest.approx(max(accuracies))


def test_rows_of_weight_zero_teach_nothing(train_df, settings):
    """Every text stands twice, with the right label and with a wrong one; the weights say which counts."""
    wrong = train_df.withColumn("label", F.lit("card"))
    df = train_df.withColumn("w", F.lit(1.0)).unionByName(wrong.withColumn("w", F.lit(0.0)))
    model = fitted(df, settings, weightCol="w", numTrainEpochs=6.0)
    assert model.evaluate(train_df)["accuracy"] > 0.95


def test_the_same_seed_repeats_a_fit_and_another_does_not(train_df, settings):
    texts = ["my card", "the rate"]
    first, again, other = (np.stack(fitted(train_df, settings, seed=s).predict(texts)["probability"]) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_rows_without_text_are_left_out_and_said(spark, train_df, settings, caplog):
    holed = train_df.unionByName(spark.createDataFrame([(None, "card"), ("", "rate"), (None, "unseen")], train_df.schema))
    with caplog.at_level(logging.WARNING):
        model = fitted(holed, settings)
    assert "3 rows with a null or empty text are left out" in caplog.text
    assert model.labels == ["card", "rate", "transfer"]
    assert model.summary["train_rows"] == 300


def test_progress_reads_well_in_a_log(train_df, settings, capsys):
    fitted(train_df, settings)
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("staging: 300/300 rows") for line in lines)
    assert any(line.startswith("training: 300/300 rows") and "epoch 1.0/1" in line and "loss" in line for line in lines)
    assert not any("\r" in line or "%|" in line for line in lines)


def test_staging_leaves_nothing_behind(train_df, settings, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fitted(train_df, settings)
    assert [path.name.rpartition("-")[0] for path in tmp_path.iterdir()] == ["sparknlp_tx-model"]

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("sparknlp_tx.training.fine_tune.load_classifier", fail)
    with pytest.raises(OSError, match="disk full"):
        fitted(train_df, settings)
    assert not [path for path in tmp_path.iterdir() if "staging" in path.name]


def test_column_names_with_dots_and_spaces(train_df, settings):
    df = train_df.select(F.col("text").alias("the.text"), F.col("label").alias("the label"))
    model = fitted(df, settings, textCol="the.text", labelCol="the label")
    scored = model.transform(df)
    assert scored.columns[:2] == ["the.text", "the label"]
    assert scored.filter(F.col("prediction").isNotNull()).count() == 300


def test_a_metric_where_less_is_better(train_df, settings):
    """A rate that climbs without end: the first epoch has the least loss."""
    marked = train_df.withColumn("held", F.pmod(F.xxhash64("text"), F.lit(4)) == 0)
    args = {"metric_for_best_model": "loss", "lr_scheduler_type": "constant_with_warmup", "warmup_steps": 400}
    params = {
        "learningRate": 1.0,
        "headLearningRate": 1.0,
        "numTrainEpochs": 4.0,
        "trainingArgs": args | {"max_grad_norm": 0.0},
    }
    model = fitted(marked, settings, validationIndicatorCol="held", **params)
    losses = [entry["eval_loss"] for entry in model.summary["history"] if "eval_loss" in entry]
    assert model.summary["metrics"]["loss"] == min(losses)
    assert max(losses) > min(losses)


def test_a_fit_from_an_earlier_model_goes_on_with_its_labels(model, train_df, test_df, settings, caplog):
    """Rows of two of the three labels, and a new one: the old labels keep their places, and what was learnt of them."""
    slow = settings | {"checkpoint": str(model.directory), "learningRate": 1e-9, "headLearningRate": 1e-9}
    before = model.transform(test_df).select("text", "predictedLabel").collect()
    some = train_df.filter("label != 'card'")
    same = fitted(some, slow)
    assert same.labels == model.labels
    assert same.transform(test_df).select("text", "predictedLabel").collect() == before
    new = some.withColumn("label", F.expr("if(label = 'rate', 'abroad', label)"))
    with caplog.at_level(logging.WARNING):
        grown = fitted(new, slow)
    assert grown.labels == ["card", "rate", "transfer", "abroad"]
    assert "was fine-tuned for 3 labels (card, rate, transfer): its head is kept for them, and grows by abroad" in caplog.text
    old = np.stack(model.predict(["my card"])["rawPrediction"])
    assert np.allclose(np.stack(grown.predict(["my card"])["rawPrediction"])[:, :3], old, atol=1e-3)


def test_a_head_for_other_labels_is_replaced_with_a_warning(model, train_df, settings, caplog):
    """As many labels, but others: what the old head says of them would be wrong."""
    slow = settings | {"checkpoint": str(model.directory), "learningRate": 1e-9, "headLearningRate": 1e-9}
    with caplog.at_level(logging.WARNING):
        other = fitted(train_df.withColumn("label", F.concat("label", F.lit("!"))), slow)
    assert other.labels == ["card!", "rate!", "transfer!"]
    assert "its head is replaced by a new one" in caplog.text
    assert np.allclose(np.stack(other.predict(["my card"])["probability"]), 1 / 3, atol=0.2)


def test_validation_rows_as_a_dataframe_of_their_own(train_df, test_df, settings):
    estimator = TransformerClassifier(**settings | {"numTrainEpochs": 2.0})
    model, hasty = estimator.fit(train_df, [{}, {estimator.numTrainEpochs: 1.0}], validation=test_df)
    assert model.summary["train_rows"] == 300
    assert hasty.summary.bestEpoch == 1.0
    expected = hasty.evaluate(test_df)["accuracy"]
    assert hasty.summary.metrics["accuracy"] == pytest.approx(expected, abs=0.02)  # bfloat16 against float32
    with pytest.raises(ValueError, match=r"one type of 'label' in the training and the validation table; found string and int"):
        estimator.fit(train_df, validation=test_df.withColumn("label", F.lit(1)))
    with pytest.raises(ValueError, match=r"a DataFrame of validation rows or validationFraction; found both"):
        estimator.fit(train_df, {estimator.validationFraction: 0.1}, validation=test_df)


def test_a_batch_that_does_not_fit_the_memory_goes_through_in_parts(train_df, settings, monkeypatch, caplog):
    """A model that cannot take more than two rows at a time learns what one learns that takes all eight."""
    import torch
    from transformers import BertForSequenceClassification

    forward = BertForSequenceClassification.forward

    def small(self, input_ids=None, **kwargs):
        if self.training and len(input_ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, input_ids=input_ids, **kwargs)

    exact = {"bf16": False, "lr_scheduler_type": "constant", "logging_steps": 1}
    still = settings | {"numTrainEpochs": 0.2, "trainingArgs": exact, "checkpoint": without_dropout(settings["checkpoint"])}
    weighted = train_df.withColumn("weight", F.length("text") / 10)
    whole = TransformerClassifier(**still, weightCol="weight", classWeights="balanced").fit(weighted)
    monkeypatch.setattr(BertForSequenceClassification, "forward", small)
    with caplog.at_level(logging.WARNING):
        parts = TransformerClassifier(**still, weightCol="weight", classWeights="balanced").fit(weighted)
    assert "Out of GPU memory: batches of 8 rows go through in 4 parts from here on" in caplog.text
    assert np.allclose(whole.summary.objectiveHistory, parts.summary.objectiveHistory, rtol=1e-4)
    texts = ["my card is lost", "the euro rate today"]
    found, expected = (np.stack(model.predict(texts)["probability"]) for model in (parts, whole))
    assert np.allclose(found, expected, atol=1e-4)


def without_dropout(checkpoint):
    """A copy of a checkpoint whose steps are not random."""
    import json
    import shutil
    import tempfile
    from pathlib import Path

    copy = Path(shutil.copytree(checkpoint, Path(tempfile.mkdtemp()) / "checkpoint"))
    config = json.loads((copy / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (copy / "config.json").write_text(json.dumps(config))
    return str(copy)
