"""Rule 7: every Param acts, through the constructor, its setter and copy(extra); none is there without a test here."""

import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.texts import texts_of_topics
from safetensors.numpy import save_file

from sparknlp_tx import TransformerClassificationModel, TransformerClassifier

TEXTS = [text for text, _ in texts_of_topics(10, seed=3)]

# Params whose effect a test elsewhere shows, by file.
SHOWN_ELSEWHERE = {
    "textPairCol": "test_transform.py",
    "labelCol": "test_fit.py",
    "handleInvalid": "test_transform.py",
    "validationIndicatorCol": "test_fit.py",
    "weightCol": "test_fit.py",
    "seed": "test_fit.py",
    "trainingArgs": "test_errors.py, test_fit.py",
    "checkpoint": "test_errors.py",
    "thresholdTuning": "test_tasks.py",
    "checkpointDir": "test_resume.py",
    "numTrainWorkers": "test_workers.py, test_cluster.py",
    "stagingDir": "test_workers.py, test_cluster.py",
}


def probabilities(model):
    return np.stack(model.predict(TEXTS)["probability"])


def test_every_param_has_a_test():
    here = set(re.findall(r"\w+", Path(__file__).read_text()))
    for param in TransformerClassifier().params:
        assert param.name in here, f"{param.name} has no test"


def test_defaults_are_those_of_the_readme():
    estimator = TransformerClassifier()
    assert estimator.getCheckpoint() == "distilbert-base-uncased"
    assert (estimator.getTextCol(), estimator.getLabelCol(), estimator.getPredictedLabelCol()) == (
        "text",
        "label",
        "predictedLabel",
    )
    assert "learningRate" in estimator.explainParams()
    assert TransformerClassificationModel().getMaxLength() == 256


def test_setters_return_self_and_constructor_and_setparams_take_names():
    estimator = TransformerClassifier(maxLength=5).setBatchSize(7).setParams(learningRate=0.1)
    assert (estimator.getMaxLength(), estimator.getBatchSize(), estimator.getLearningRate()) == (5, 7, 0.1)
    assert estimator.copy({estimator.maxLength: 9}).getMaxLength() == 9
    assert estimator.getMaxLength() == 5
    with pytest.raises(TypeError, match=r"has no Param 'learning_rate'\. Did you mean 'learningRate'"):
        TransformerClassifier(learning_rate=1)


def test_head_learning_rate_follows_the_learning_rate():
    assert TransformerClassifier(learningRate=1e-5).getHeadLearningRate() == pytest.approx(1e-3)
    assert TransformerClassifier(learningRate=1e-3).getHeadLearningRate() == 5e-3
    assert TransformerClassifier(learningRate=1e-2).getHeadLearningRate() == 1e-2
    assert TransformerClassifier(headLearningRate=3e-3).getHeadLearningRate() == 3e-3


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("maxLength", 0),
        ("batchSize", -1),
        ("learningRate", 0),
        ("numTrainEpochs", "three"),
        ("precision", "double"),
        ("tokensPerBatch", "many"),
        ("handleInvalid", "drop"),
        ("threshold", 1.5),
        ("trainingArgs", [1]),
        ("problemType", "clustering"),
        ("trainLayers", "last:0"),
        ("validationFraction", 1.0),
        ("earlyStoppingPatience", -1),
        ("classWeights", "heavy"),
        ("thresholdTuning", "recall"),
        ("maxTrainSeconds", -1),
        ("numTrainWorkers", 0),
        ("loraRank", -1),
    ],
)
def test_a_wrong_value_fails_when_it_is_set(param, value):
    with pytest.raises(TypeError, match=rf'"{param}".*Expected .*; found '):
        TransformerClassifier(**{param: value})


@pytest.mark.parametrize(
    ("param", "value"),
    [("learningRate", 1e-5), ("headLearningRate", 1e-5), ("numTrainEpochs", 2.0), ("batchSize", 64)],
)
def test_what_is_in_a_grid_changes_the_fit(train_df, settings, param, value):
    estimator = TransformerClassifier(**settings | {"numTrainEpochs": 1.0})
    plain, changed = estimator.fit(train_df, [{}, {estimator.getParam(param): value}])
    assert not np.allclose(probabilities(plain), probabilities(changed))


def test_problem_type_names_the_task(train_df, settings):
    import json

    model = TransformerClassifier(**settings | {"numTrainEpochs": 1.0}, problemType="single_label_classification").fit(train_df)
    assert json.loads((model.directory / "config.json").read_text())["problem_type"] == "single_label_classification"


def weights(directory):
    from safetensors.numpy import load_file

    return load_file(f"{directory}/model.safetensors")


@pytest.mark.parametrize(("value", "trained"), [("all", {0, 1}), ("last:1", {1}), ("head", set())])
def test_train_layers(train_df, settings, value, trained):
    estimator = TransformerClassifier(**settings | {"numTrainEpochs": 1.0})
    model = estimator.fit(train_df, {estimator.trainLayers: value})
    before, after = weights(settings["checkpoint"]), weights(model.directory)
    name = "encoder.layer.{}.output.dense.weight"
    changed = {n for n in (0, 1) if not np.array_equal(before[name.format(n)], after["bert." + name.format(n)])}
    assert changed == trained
    assert not np.array_equal(before["pooler.dense.weight"], after["bert.pooler.dense.weight"])


@pytest.mark.parametrize("brought", [True, False])
def test_a_pooler_that_the_checkpoint_brings_learns_with_the_number_of_labels(train_df, settings, tmp_path, brought):
    """Its rate is learningRate times 3 labels; that of a new one, as of the classifier, 100 times learningRate."""
    shutil.copytree(settings["checkpoint"], tmp_path / "checkpoint")
    known = {name: w for name, w in weights(settings["checkpoint"]).items() if brought or not name.startswith("pooler")}
    save_file(known, tmp_path / "checkpoint" / "model.safetensors", {"format": "pt"})
    unset = {name: value for name, value in settings.items() if name != "headLearningRate"}
    estimator = TransformerClassifier(**unset | {"numTrainEpochs": 1.0, "checkpoint": str(tmp_path / "checkpoint")})
    start, end = (weights(m.directory) for m in estimator.fit(train_df, [{estimator.learningRate: r} for r in (1e-12, 1e-6)]))
    moved = {name: float(np.abs(end[name] - start[name]).max()) for name in end}
    steps = 38  # the rate falls to zero over them
    assert moved["bert.encoder.layer.0.output.dense.weight"] < steps * 1e-6
    assert moved["classifier.weight"] > 10 * steps * 1e-6
    assert (moved["bert.pooler.dense.weight"] < steps * 3e-6) == brought
    assert (moved["bert.pooler.dense.weight"] > 10 * steps * 1e-6) != brought


def test_more_layers_than_there_are(train_df, settings):
    with pytest.raises(ValueError, match=r"at least 5 layers, for trainLayers='last:5'; found 2 layers"):
        TransformerClassifier(**settings, trainLayers="last:5").fit(train_df)


def test_lora_rank(train_df, settings, monkeypatch):
    estimator = TransformerClassifier(**settings | {"numTrainEpochs": 2.0}, validationFraction=0.2)
    model = estimator.fit(train_df, {estimator.loraRank: 2})
    before, after = weights(settings["checkpoint"]), weights(model.directory)
    assert {name.removeprefix("bert.") for name in after} >= set(before)  # a plain model: the adapters are merged
    changes = {name: after["bert." + name] - values for name, values in before.items()}
    query = changes["encoder.layer.0.attention.self.query.weight"]
    assert np.linalg.matrix_rank(query, tol=1e-5) == 2
    assert not changes["embeddings.word_embeddings.weight"].any()
    assert not changes["encoder.layer.0.attention.output.LayerNorm.weight"].any()
    assert changes["pooler.dense.weight"].any()
    assert model.summary.metrics["accuracy"] >= 0
    with pytest.raises(ValueError, match="loraRank or trainLayers; found both"):
        estimator.fit(train_df, {estimator.loraRank: 2, estimator.trainLayers: "head"})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"peft, for loraRank; found none installed\. pip install"):
        estimator.fit(train_df, {estimator.loraRank: 2})


def test_validation_fraction(train_df, settings):
    estimator = TransformerClassifier(**settings | {"numTrainEpochs": 1.0})
    model, again = (estimator.fit(train_df, {estimator.validationFraction: 0.2}) for _ in range(2))
    assert model.summary["train_rows"] == 240  # a fifth of each label's 100 rows
    assert model.summary["metrics"]["accuracy"] == again.summary["metrics"]["accuracy"]
    other = estimator.fit(train_df, {estimator.validationFraction: 0.2, estimator.seed: 9})
    assert other.summary["train_rows"] == 240
    assert other.summary["metrics"]["loss"] != model.summary["metrics"]["loss"]


@pytest.mark.parametrize(("metric", "best"), [("log_loss", min), ("macro_f1", max)])
def test_metric_for_best_model(train_df, settings, metric, best):
    estimator = TransformerClassifier(**settings | {"numTrainEpochs": 3.0}, validationFraction=0.3)
    model = estimator.fit(train_df, {estimator.metricForBestModel: metric})
    found = [entry[f"eval_{metric}"] for entry in model.summary["history"] if f"eval_{metric}" in entry]
    assert len(found) == 3
    assert model.summary["metrics"][metric] == best(found)
    assert model.summary["training_args"]["metric_for_best_model"] == metric


def test_early_stopping_patience(train_df, settings):
    ruin = {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 1000, "max_grad_norm": 0.0}
    estimator = TransformerClassifier(
        **settings | {"learningRate": 1.0, "headLearningRate": 1.0}, validationFraction=0.3, trainingArgs=ruin
    )
    patient, hasty = estimator.fit(train_df, [{}, {estimator.earlyStoppingPatience: 1}])
    epochs = [sum("eval_loss" in entry for entry in model.summary["history"]) for model in (patient, hasty)]
    assert epochs[1] < epochs[0] == 8
    assert hasty.summary["metrics"]["accuracy"] > 0


def test_class_weights_lift_a_rare_label(train_df, settings):
    from pyspark.sql import functions as F

    rare = train_df.filter("label != 'card'").unionByName(train_df.filter("label = 'card'").limit(5))
    slow = settings | {"numTrainEpochs": 2.0, "learningRate": 1e-4, "headLearningRate": 1e-3}
    estimator = TransformerClassifier(**slow)
    plain, balanced = estimator.fit(rare.orderBy(F.xxhash64("text")), [{}, {estimator.classWeights: "balanced"}])
    assert probabilities(balanced)[:, 0].mean() > 1.5 * probabilities(plain)[:, 0].mean()


def test_max_train_seconds(train_df, settings, caplog):
    estimator = TransformerClassifier(**settings, validationFraction=0.1)
    with caplog.at_level(logging.WARNING, "sparknlp_tx.training.callbacks"):
        model = estimator.fit(train_df, {estimator.maxTrainSeconds: 0.001})
    assert model.summary["history"][-1]["step"] == 1
    assert "maxTrainSeconds=0.001: training stops at step 1 of" in caplog.text
    assert "accuracy" in model.summary["metrics"]  # what there is was evaluated and kept


def test_text_col_and_max_length_at_scoring(model, test_df):
    renamed = test_df.withColumnRenamed("text", "body")
    expected = {row["id"]: row["prediction"] for row in model.transform(test_df).collect()}
    moved = model.copy({model.textCol: "body"}).transform(renamed)
    assert {row["id"]: row["prediction"] for row in moved.collect()} == expected
    assert not np.allclose(probabilities(model), probabilities(model.copy({model.maxLength: 3})))


def test_max_length_in_training_is_kept_with_the_tokenizer(train_df, settings):
    from transformers import AutoTokenizer

    model = TransformerClassifier(**settings | {"numTrainEpochs": 1.0, "maxLength": 6}).fit(train_df)
    tokenizer = AutoTokenizer.from_pretrained(model.directory)
    assert tokenizer.model_max_length == 6
    assert len(tokenizer(TEXTS[0] * 5, truncation=True)["input_ids"]) == 6


def test_a_max_length_beyond_what_the_model_takes_is_said(model, test_df, caplog):
    with caplog.at_level(logging.WARNING, "sparknlp_tx"):
        model.copy({model.maxLength: 32}).transform(test_df)
        assert not caplog.text
        model.copy({model.maxLength: 33}).transform(test_df)
    assert "maxLength 33 is more than the 32 tokens that the model was trained on: texts are cut at 32" in caplog.text


@pytest.mark.parametrize("name", ["rawPredictionCol", "probabilityCol", "predictionCol", "predictedLabelCol"])
def test_output_columns_can_be_renamed_and_left_out(model, test_df, name):
    param, field = model.getParam(name), name.removesuffix("Col")
    assert "renamed" in model.copy({param: "renamed"}).transform(test_df).columns
    left_out = model.copy({param: ""})
    assert field not in left_out.transform(test_df).columns
    assert field not in left_out.predict(TEXTS).columns
    assert left_out.transform(test_df).count() == 90


def test_thresholds_shift_the_decision_as_in_logistic_regression(model):
    p = probabilities(model)
    thresholds = [0.99, 0.005, 0.005]
    shifted = model.copy({model.thresholds: thresholds}).predict(TEXTS)
    assert shifted["prediction"].tolist() == (p / np.array(thresholds)).argmax(axis=1).tolist()
    assert np.array_equal(np.stack(shifted["probability"]), p)


def test_threshold_of_two_labels(train_df, settings):
    two = train_df.filter("label != 'rate'")
    model = TransformerClassifier(**settings | {"numTrainEpochs": 1.0}).fit(two)
    second = probabilities(model)[:, 1]
    cut = float(np.median(second))
    assert model.copy({model.threshold: cut}).predict(TEXTS)["prediction"].tolist() == (second > cut).tolist()
    assert set(model.copy({model.threshold: 1.0}).predict(TEXTS)["prediction"]) == {0.0}


def test_precision_changes_the_numbers_a_little(model):
    half = probabilities(model.copy({model.precision: "bfloat16"}))
    assert not np.array_equal(half, probabilities(model))
    assert np.allclose(half, probabilities(model), atol=0.1)


def test_tokens_per_batch_bounds_the_batches(model, monkeypatch):
    from sparknlp_tx.inference.backends.openvino_backend import OpenVINOBackend
    from sparknlp_tx.inference.backends.torch_backend import TorchBackend

    sizes = []
    for backend in (TorchBackend, OpenVINOBackend):

        def noting(self, inputs, run=backend.__call__):
            sizes.append(inputs["input_ids"].size)
            return run(self, inputs)

        monkeypatch.setattr(backend, "__call__", noting)
    model.copy({model.tokensPerBatch: 40}).predict(TEXTS)
    small = max(sizes)
    sizes.clear()
    model.copy({model.tokensPerBatch: 4000}).predict(TEXTS)
    assert small <= 40 < max(sizes)


def test_device_is_obeyed(model):
    import torch

    gpus = torch.cuda.device_count()
    with pytest.raises(ValueError, match=f"a GPU for device 'cuda:{gpus}'"):
        model.copy({model.device: f"cuda:{gpus}"}).predict(TEXTS)
    assert len(model.copy({model.device: "cpu"}).predict(TEXTS)) == len(TEXTS)
