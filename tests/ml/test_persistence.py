"""One artifact, many faces: what is saved loads back in Spark, in Hugging Face, and without Spark."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.texts import texts_of_topics
from pyspark.ml.feature import Tokenizer

from sparknlp_tx import InferenceEngine, TransformerClassificationModel, TransformerClassifier
from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.model_directory import FORMAT_VERSION

pytestmark = pytest.mark.connect
FORMATS = Path(__file__).parents[1] / "formats"

TEXTS = [text for text, _ in texts_of_topics(5, seed=9)]


@pytest.fixture
def saved(model, tmp_path):
    model.save(str(tmp_path / "model"))
    return tmp_path / "model"


def test_a_model_comes_back_as_it_was(model, saved):
    loaded = TransformerClassificationModel.load(str(saved))
    assert loaded.uid == model.uid
    assert loaded.labels == model.labels == ["card", "rate", "transfer"]
    assert loaded.summary == json.loads(json.dumps(model.summary))
    assert {p.name: v for p, v in loaded.extractParamMap().items()} == {p.name: v for p, v in model.extractParamMap().items()}
    assert np.array_equal(np.stack(loaded.predict(TEXTS)["probability"]), np.stack(model.predict(TEXTS)["probability"]))


def test_hugging_face_loads_the_inner_directory_and_gives_the_same_labels(model, saved):
    from transformers import AutoModelForSequenceClassification, pipeline

    assert AutoModelForSequenceClassification.from_pretrained(saved / "model").config.id2label[0] == "card"
    answers = pipeline("text-classification", model=str(saved / "model"))(TEXTS)
    assert [answer["label"] for answer in answers] == model.predict(TEXTS)["predictedLabel"].tolist()


def test_the_engine_loads_the_inner_directory(model, saved):
    engine = InferenceEngine.from_pretrained(saved / "model", precision="float32", device="cpu")
    assert np.allclose(engine.predict_proba(TEXTS), np.stack(model.predict(TEXTS)["probability"]), atol=1e-6)


def test_an_estimator_comes_back_as_it_was(settings, tmp_path):
    estimator = TransformerClassifier(**settings, trainingArgs={"warmup_steps": 5})
    estimator.save(str(tmp_path / "estimator"))
    loaded = TransformerClassifier.load(str(tmp_path / "estimator"))
    assert loaded.uid == estimator.uid
    assert loaded.getTrainingArgs() == {"warmup_steps": 5}
    assert loaded.getLearningRate() == settings["learningRate"]


def test_saving_onto_something_is_refused_and_overwriting_replaces_it_whole(model, saved):
    with pytest.raises(InputError, match=r"nothing at .*/model yet; found a file or folder there.*overwrite\(\)"):
        model.save(str(saved))
    (saved / "left over").touch()
    with pytest.raises(InputError, match="a saved stage at .*, to overwrite; found something else"):
        model.write().overwrite().save(str(saved / "model"))
    model.copy({model.maxLength: 5}).write().overwrite().save(f"file:{saved}")
    assert TransformerClassificationModel.load(str(saved)).getMaxLength() == 5
    assert sorted(path.name for path in saved.iterdir()) == ["metadata", "model"]
    assert [path.name for path in saved.parent.iterdir()] == ["model"]  # nothing half-written beside it


def test_a_save_that_fails_leaves_what_was_there(model, saved, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("shutil.copytree", fail)
    with pytest.raises(OSError, match="disk full"):
        model.write().overwrite().save(str(saved))
    assert TransformerClassificationModel.load(str(saved)).labels == model.labels
    with pytest.raises(OSError, match="disk full"):
        model.save(str(saved.parent / "other"))
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_loading_what_is_not_a_model_says_what_is_wrong(saved, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        TransformerClassificationModel.load(str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"saved TransformerClassifier in .*; found a TransformerClassificationModel"):
        TransformerClassifier.load(str(saved))
    with pytest.raises(InputError, match=r"a saved model in .*; found config.json"):
        TransformerClassificationModel.load(str(saved / "model"))
    with pytest.raises(InputError, match="a file system that Spark knows; found s3://.* Add its jars"):
        TransformerClassificationModel.load("s3://bucket/model")
    (saved / "model" / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"a complete model in .*; found no tokenizer.json"):
        TransformerClassificationModel.load(str(saved))


def test_a_later_format_and_another_stage_are_refused(saved):
    file = saved / "metadata" / "part-00000"
    metadata = json.loads(file.read_text())
    metadata["sparknlpTx"]["formatVersion"] = 99
    metadata["sparknlpTx"]["version"] = "9.9"
    file.write_text(json.dumps(metadata))
    with pytest.raises(InputError, match=r"format 99, written by sparknlp_tx 9\.9"):
        TransformerClassificationModel.load(str(saved))
    del metadata["sparknlpTx"]
    file.write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="a stage of sparknlp_tx"):
        TransformerClassificationModel.load(str(saved))


def test_a_model_that_was_not_fitted_says_so(spark, tmp_path):
    empty = TransformerClassificationModel()
    with pytest.raises(InputError, match="a fitted model; found one without files"):
        empty.save(str(tmp_path / "empty"))
    with pytest.raises(InputError, match="a fitted model"):
        empty.predict(["a"])


def test_in_a_pipeline_it_is_saved_and_loaded_by_spark(spark, model, test_df, tmp_path):
    from pyspark.ml import PipelineModel
    from pyspark.ml.feature import SQLTransformer

    pipeline = PipelineModel([SQLTransformer(statement="SELECT id, lower(text) AS text FROM __THIS__"), model])
    pipeline.save(str(tmp_path / "pipeline"))
    loaded = PipelineModel.load(str(tmp_path / "pipeline"))
    expected = {row["id"]: row["prediction"] for row in pipeline.transform(test_df).collect()}
    assert {row["id"]: row["prediction"] for row in loaded.transform(test_df).collect()} == expected


@pytest.mark.parametrize(
    ("file", "precision"),
    [("openvino/openvino_model.bin", "float32"), ("tokenizer.json", "float32"), ("model.safetensors", "float16")],
)
def test_a_model_replaced_or_damaged_on_disk_is_not_scored_as_if_it_were_the_same(
    session_kind, saved, test_df, file, precision
):
    """Every file that is read is compared: on OpenVINO the export, on torch (float16) the safetensors."""
    loaded = TransformerClassificationModel.load(str(saved)).setMaxLength(13).setPrecision(precision)
    damaged = saved / "model" / file
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"1234")
    with pytest.raises(InputError, match=rf"the model's file .*{file} as it was; found another or a damaged one"):
        loaded.predict(TEXTS)
    if session_kind == "classic":  # where it travels, executors may have the whole one by now
        with pytest.raises(Exception, match=rf"{file} as it was; found another or a damaged one"):
            loaded.transform(test_df).collect()


def test_a_half_copied_model_is_named_when_it_is_used(saved):
    loaded = TransformerClassificationModel.load(str(saved)).setMaxLength(14)
    (saved / "model" / "openvino" / "openvino_model.bin").unlink()
    with pytest.raises(InputError, match=r"openvino_model.bin as it was; found no such file"):
        loaded.predict(TEXTS)


def test_damaged_files_are_named(saved):
    (saved / "model" / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"found no model.safetensors"):
        TransformerClassificationModel.load(str(saved))
    (saved / "model" / "model.safetensors.index.json").write_text('{"weight_map": {"a": "part-1.safetensors"}}')
    with pytest.raises(InputError, match=r"found no part-1.safetensors"):
        TransformerClassificationModel.load(str(saved))
    (saved / "metadata" / "part-00000").write_text('{"class": "spark')
    with pytest.raises(InputError, match=r"JSON in .*/metadata; found a damaged file"):
        TransformerClassificationModel.load(str(saved))


@pytest.mark.parametrize("version", [path.name for path in sorted(FORMATS.iterdir()) if path.name.isdigit()])
def test_what_every_released_version_saved_loads_and_scores_as_it_did(spark, version):
    estimator = TransformerClassifier.load(str(FORMATS / version / "estimator"))
    assert (estimator.getTextCol(), estimator.getNumTrainEpochs(), estimator.getThresholds()) == ("body", 2.0, [0.3, 0.7])
    model = TransformerClassificationModel.load(str(FORMATS / version / "model"))
    assert model.labels == ["card", "rate"]
    scores = json.loads((FORMATS / version / "scores.json").read_text())
    df = spark.createDataFrame([(text,) for text in scores], "body string")
    found = {row["body"]: row["probability"].toArray() for row in model.transform(df).collect()}
    for text, probabilities in scores.items():
        assert np.allclose(found[text], probabilities, atol=1e-4)


def test_the_current_format_has_its_fixture():
    """`python tests/formats/make.py` makes it."""
    assert (FORMATS / str(FORMAT_VERSION)).is_dir()


def test_what_lies_there_is_named(spark, saved, tmp_path):
    Tokenizer(inputCol="text").save(str(tmp_path / "tokenizer"))
    with pytest.raises(InputError, match=r"a stage of sparknlp_tx in .*; found org.*Tokenizer\. Load it with Tokenizer\.load"):
        TransformerClassificationModel.load(str(tmp_path / "tokenizer"))
    (tmp_path / "file").touch()
    for nowhere in ("", None):
        with pytest.raises(InputError, match="a path to save to; found"):
            TransformerClassifier().save(nowhere)
    with pytest.raises(InputError, match=r"a saved model in .*; found a file"):
        TransformerClassificationModel.load(str(tmp_path / "file"))
    TransformerClassifier().write().overwrite().save(str(tmp_path / "tokenizer"))
    assert TransformerClassifier.load(str(tmp_path / "tokenizer")).uid


def test_files_that_were_saved_and_are_gone_and_metadata_of_others_are_told(model, tmp_path):
    model.save(str(tmp_path / "m"))
    extra = next(name for name in model._files if name.startswith("openvino"))
    (tmp_path / "m" / "model" / extra).unlink()
    with pytest.raises(InputError, match=f"a complete model in .*; found no {extra}"):
        TransformerClassificationModel.load(str(tmp_path / "m"))
    file = tmp_path / "m" / "metadata" / "part-00000"
    metadata = json.loads(file.read_text())
    for text in ("[1]", "{}"):
        file.write_text(text)
        with pytest.raises(InputError, match="found a damaged file"):
            TransformerClassificationModel.load(str(tmp_path / "m"))
    file.write_text(json.dumps(metadata | {"paramMap": {"later": 1}}))
    with pytest.raises(InputError, match=r"Params of sparknlp_tx .*; found later\. Install the version"):
        TransformerClassificationModel.load(str(tmp_path / "m"))
