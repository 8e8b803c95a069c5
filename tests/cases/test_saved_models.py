"""Saved models that are damaged, replaced or of other versions: told on load, in a sentence."""

import json
import shutil

import pytest

from sparknlp_tx import TransformerClassificationModel, log_model
from sparknlp_tx.errors import InputError


@pytest.fixture
def folder(model, tmp_path):
    model.save(str(tmp_path / "m"))
    return tmp_path / "m"


def load(folder):
    return TransformerClassificationModel.load(str(folder))


@pytest.mark.parametrize("kept", [0, 7, 200, -1, -100])
def test_weights_that_are_cut_off_are_named_on_load(folder, kept):
    file = folder / "model" / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:kept])
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load(folder)
    file.write_bytes(whole + b"\0")
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_damaged_files_are_named(folder, name):
    file = folder / "model" / name
    file.write_text(file.read_text()[:-20])
    with pytest.raises(InputError, match=name):
        load(folder)


@pytest.mark.parametrize("version", [None, "1", "odd", 99, True, [1]])
def test_formats_that_are_not_known(folder, version):
    file = folder / "metadata" / "part-00000"
    metadata = json.loads(file.read_text())
    if version is None:
        del metadata["sparknlpTx"]["formatVersion"]
    else:
        metadata["sparknlpTx"]["formatVersion"] = version
    file.write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="format"):
        load(folder)


@pytest.mark.parametrize("where", ["paramMap", "defaultParamMap"])
def test_params_of_a_later_version(folder, where):
    file = folder / "metadata" / "part-00000"
    metadata = json.loads(file.read_text())
    metadata[where]["hyperdrive"] = 1
    file.write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="hyperdrive"):
        load(folder)


def test_a_model_that_is_replaced_under_one_that_is_loaded(folder, model, test_df, tmp_path):
    """A nightly refit with other names: the labels stay those of the weights, or it is refused; never mixed."""
    loaded = load(folder)
    expected = [row["predictedLabel"] for row in model.transform(test_df).orderBy("id").collect()]
    model.copy().save(str(tmp_path / "other"))
    file = tmp_path / "other" / "model" / "config.json"
    config = json.loads(file.read_text())
    names = list(config["id2label"].values())
    config["id2label"] = dict(zip(config["id2label"], names[1:] + names[:1], strict=True))
    file.write_text(json.dumps(config))
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "other", folder)
    assert loaded.labels == model.labels
    assert [row["predictedLabel"] for row in loaded.transform(test_df).orderBy("id").collect()] == expected
    for copies in (lambda: loaded.save(str(tmp_path / "mixed")), lambda: log_model(loaded), lambda: loaded.quantize(test_df)):
        with pytest.raises(InputError, match="as it was"):
            copies()
    assert not (tmp_path / "mixed").exists()


def test_two_paths_are_two_folders(model, tmp_path):
    for name in ("a", "a#b", "a?b", "a%20b", "a b"):
        model.save(f"file:{tmp_path}/{name}")
        assert (tmp_path / name / "metadata").is_dir()
    assert len(list(tmp_path.iterdir())) == 5


def test_requirements_can_be_installed(model, monkeypatch):
    from importlib.metadata import PackageNotFoundError

    from sparknlp_tx.tracking import models as tracking

    real = tracking.version
    found = {"numpy": "2.6.0a0+df5bbc09d1.nv24.12", "mlflow-skinny": "3.1.0"}

    def version(name):
        if name == "mlflow":
            raise PackageNotFoundError(name)
        return found.get(name) or real(name)

    monkeypatch.setattr(tracking, "version", version)
    told = tracking.engine_requirements(model)
    assert not [line for line in told if "absent" in line or line.startswith("mlflow==")]
    assert {"numpy>=2.6.0", "mlflow-skinny==3.1.0"} <= set(told)
