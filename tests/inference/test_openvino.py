"""The OpenVINO backend: the same logits as torch, float32's labels in every precision, nothing loaded that is not needed."""

import json
import logging
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers
from helpers.texts import texts_of_topics

from sparknlp_tx import InferenceEngine, TransformerClassifier
from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.backends.openvino_backend import OpenVINOBackend
from sparknlp_tx.inference.backends.openvino_runtime import is_exported, model_file, read_model, read_report
from sparknlp_tx.inference.backends.torch_backend import TorchBackend
from sparknlp_tx.inference.optimize.export import export_openvino

TEXTS = [text for text, _ in texts_of_topics(40, seed=11)]


def test_fit_exports_and_scoring_uses_the_export(model):
    assert is_exported(model.directory)
    assert read_report(model.directory)["largest_logit_error"] < 1e-3
    engine = InferenceEngine.from_pretrained(model.directory, "cpu", "float32")
    assert isinstance(engine.backend, OpenVINOBackend)
    plain = InferenceEngine(engine.encoder, TorchBackend(model.directory, "cpu", "float32"), engine.config, 1024)
    assert np.allclose(engine.predict_logits(TEXTS), plain.predict_logits(TEXTS), atol=1e-4)


SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 96,
}
ARCHITECTURES = {
    "bert": ("BertConfig", SIZES),
    "distilbert": ("DistilBertConfig", {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}),
    "roberta": ("RobertaConfig", SIZES | {"pad_token_id": 0}),
    "xlm-roberta": ("XLMRobertaConfig", SIZES | {"pad_token_id": 1}),
    "electra": ("ElectraConfig", SIZES | {"embedding_size": 32}),
    "albert": ("AlbertConfig", SIZES | {"embedding_size": 32}),
    "deberta-v2": ("DebertaV2Config", SIZES),
    "modernbert": ("ModernBertConfig", SIZES | {"pad_token_id": 0, "global_attn_every_n_layers": 1}),
    "mpnet": ("MPNetConfig", SIZES | {"pad_token_id": 1}),
    "xlnet": ("XLNetConfig", {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64}),
    "gpt2": ("GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 96, "pad_token_id": 0}),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_gives_the_same_logits_or_falls_back_with_a_warning(name, checkpoint, tmp_path, caplog):
    """Tiny models with random weights; padding never changes a logit by more than 1e-4."""
    cls, own = ARCHITECTURES[name]
    config = getattr(transformers, cls)(vocab_size=300, num_labels=3, **own)
    torch.manual_seed(0)
    network = transformers.AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for weights in network.parameters():
            weights *= 8 if weights.ndim > 1 else 1  # as they are made, all texts have nearly the same logits
    network.save_pretrained(tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(f"{checkpoint}/{file}", tmp_path)
    two_segments = name in ("bert", "electra", "albert", "deberta-v2", "xlnet")
    own_settings = {
        "model_input_names": ["input_ids", "attention_mask"] + (["token_type_ids"] if two_segments else []),
        "model_max_length": 64,
        "padding_side": "left" if name == "xlnet" else "right",
    }
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | own_settings))
    with caplog.at_level(logging.WARNING):
        exported = export_openvino(tmp_path, TEXTS[:16])
    assert exported or "cannot be exported to OpenVINO" in caplog.text
    assert exported or name == "gpt2"
    engine = InferenceEngine.from_pretrained(tmp_path, "cpu", "float32")
    packs = engine.backend.packs
    if int(transformers.__version__.split(".")[0]) > 4 or name not in ("distilbert", "electra"):
        assert packs == (name in ("bert", "distilbert", "roberta", "xlm-roberta", "electra", "albert"))
    if packs:  # its last layer asks for the first tokens at its queries, its mask and its residual, not only at the end
        graph = read_model(model_file(tmp_path, "float32"))
        [first_tokens] = [node for node in graph.get_parameters() if "first_tokens" in node.output(0).get_names()]
        assert len(first_tokens.output(0).get_target_inputs()) >= 3
    plain = InferenceEngine(
        engine.encoder, TorchBackend(tmp_path, "cpu", "float32"), engine.config, tokens_per_batch=1
    )  # no padding
    texts = [*TEXTS, f"{TEXTS[0]} [PAD] {TEXTS[1]}"]  # RoBERTa's kind does not count the padding token, wherever it stands
    expected = plain.predict_logits(texts)
    assert np.ptp(expected, axis=0).min() > 0.01
    assert np.allclose(engine.predict_logits(texts), expected, atol=1e-4)


@pytest.fixture(scope="module")
def quantised(model, train_df):
    return model.quantize(train_df)


def test_every_precision_keeps_the_labels_of_float32(model, quantised):
    expected = model.predict(TEXTS)["predictedLabel"].tolist()
    for precision in ("auto", "bfloat16"):
        assert model.copy({model.precision: precision}).predict(TEXTS)["predictedLabel"].tolist() == expected
    assert quantised.getPrecision() == "int8"
    assert quantised.predict(TEXTS)["predictedLabel"].tolist() == expected
    assert model.getPrecision() == "float32"  # the model itself stays as it was


def test_what_was_measured_is_kept_with_the_model(quantised, tmp_path):
    from sparknlp_tx import TransformerClassificationModel

    report = quantised.summary["int8"]
    assert report["agreement"] >= 0.995
    assert report["accuracy"] == pytest.approx(report["accuracy_float32"], abs=0.01)
    assert 0 <= report["scored_again"] <= 1
    quantised.save(str(tmp_path / "q"))
    loaded = TransformerClassificationModel.load(str(tmp_path / "q"))
    assert loaded.summary["int8"] == report
    assert loaded.predict(TEXTS)["prediction"].tolist() == quantised.predict(TEXTS)["prediction"].tolist()


def test_close_decisions_are_scored_again_in_float32(quantised):
    exact = InferenceEngine.from_pretrained(quantised.directory, "cpu", "float32").predict_logits(TEXTS)
    engine = InferenceEngine.from_pretrained(quantised.directory, "cpu", "int8")
    stages = engine.rescoring
    engine.rescoring = [(float("inf"), backend) for _, backend in stages]
    assert np.allclose(engine.predict_logits(TEXTS), exact, atol=1e-5)
    assert engine.stats.second_looks == len(TEXTS)
    engine.rescoring = [(-1.0, backend) for _, backend in stages]
    assert not np.allclose(engine.predict_logits(TEXTS), exact, atol=1e-5)


def test_int8_at_fit_and_int8_without_quantising(train_df, settings, model, test_df):
    fitted = TransformerClassifier(**settings | {"precision": "int8", "numTrainEpochs": 1.0}).fit(train_df)
    assert fitted.summary["int8"]["rows"] == 300
    with pytest.raises(InputError, match=r"a quantised model for precision 'int8'; found one that is not. Call model.quantize"):
        model.copy({model.precision: "int8"}).transform(test_df)


def test_a_model_without_an_export_gets_one_when_it_is_first_used(model, tmp_path, caplog):
    from sparknlp_tx import TransformerClassificationModel

    model.save(str(tmp_path / "m"))
    shutil.rmtree(tmp_path / "m" / "model" / "openvino")
    metadata = tmp_path / "m" / "metadata" / "part-00000"
    saved = json.loads(metadata.read_text())
    from sparknlp_tx.files import file_hashes

    saved["sparknlpTx"]["files"] = file_hashes(tmp_path / "m" / "model")
    metadata.write_text(json.dumps(saved))
    loaded = TransformerClassificationModel.load(str(tmp_path / "m"))
    assert loaded.predict(TEXTS)["prediction"].tolist() == model.predict(TEXTS)["prediction"].tolist()
    assert is_exported(loaded.directory)
    assert not is_exported(tmp_path / "m" / "model")  # what the user has saved stays as it is


@pytest.mark.parametrize(("precision", "gigabytes"), [("int8", 8), ("auto", 1)])
def test_a_worker_on_openvino_loads_no_torch_no_transformers_no_pandas_tries_no_connection(quantised, precision, gigabytes):
    """The UDF's own function in a fresh process; with second looks, so that all of it runs; once in the memory of a sandbox."""
    program = f"""
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_AS, ({gigabytes} << 30, {gigabytes} << 30))  # of addresses: more than what is used
def refuse(*args, **kwargs):
    raise AssertionError("a connection was tried")
socket.socket.connect = socket.create_connection = refuse
import pyarrow as pa
from sparknlp_tx.inference.score_columns import strings
from sparknlp_tx.inference.decision_rules import SingleLabel
from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.inference.scoring_settings import ScoringSettings
from sparknlp_tx.scoring.executor import score_arrow, task_engine
location = ModelLocation({str(quantised.directory)!r}, {quantised._files!r})
columns = dict(zip(SingleLabel.fields, SingleLabel.fields))
scoring = ScoringSettings(location, SingleLabel({quantised.labels!r}), columns, ("text",), "cpu", {precision!r}, 32, "auto", "keep")
engine = task_engine(scoring)
engine.rescoring = [(float("inf"), backend) for _, backend in engine.rescoring]
batch = pa.StructArray.from_arrays([strings(["my card", "", "the euro"])], names=["text"])
found = list(score_arrow(scoring, observed=True)(iter([batch])))
assert [len(part) for part in found] == [3] and found[0].field("prediction").null_count == 1
print(sorted({{"torch", "transformers", "pandas", "mlflow", "openvino_telemetry"}} & set(sys.modules)))
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == "[]", answer.stderr


def test_a_worker_loads_a_model_once(spark, model, test_df, tmp_path):
    """Three transforms over eight partitions: each worker process tells when it loads a model."""
    from pyspark.sql import functions as F

    log = tmp_path / "loads"
    path = str(log)

    @F.pandas_udf("long")
    def patch(ids):
        import os

        from sparknlp_tx.inference import engine_cache as scoring

        if not hasattr(scoring, "_patched"):
            scoring._patched = scoring.InferenceEngine.from_pretrained

            def noting(*args, **kwargs):
                with open(path, "a") as file:
                    file.write(f"{os.getpid()}\n")
                return scoring._patched(*args, **kwargs)

            scoring.InferenceEngine.from_pretrained = noting
        return ids

    fresh = model.copy({model.maxLength: 29})
    spark.range(0, 8, 1, 8).select(patch("id")).collect()
    for _ in range(3):
        assert fresh.transform(test_df.repartition(8)).select("prediction").collect()
    loads = log.read_text().split()
    assert 1 <= len(loads) == len(set(loads))


def test_the_cache_of_engines_is_bounded_and_loads_once(model):
    from threading import Thread

    from sparknlp_tx.inference.engine_cache import EngineCache

    loads = []
    cache = EngineCache(max_bytes=100)

    def get(key, size=40):
        return cache.get((key,), lambda: loads.append(key) or f"engine {key}", lambda: size)

    threads = [Thread(target=get, args=("a",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["a"]
    get("b")
    get("a")
    get("c")  # b goes: a was used since
    get("a")
    get("b")
    assert loads == ["a", "b", "c", "b"]


def test_quantising_again_leaves_the_first_model_as_it_was(spark, quantised, train_df, test_df):
    again = quantised.quantize(train_df.filter("label != 'card'"))
    assert again.directory != quantised.directory
    for model in (quantised, again):  # executors compare the files with their hashes
        assert model.copy({model.maxLength: 28}).transform(test_df).count() == 90
        assert model.copy({model.maxLength: 28}).transform(test_df).select("prediction").collect()


def test_exports_at_the_same_time_leave_the_loggers_as_they_were(model, tmp_path):
    """Fits run side by side in a tuner: OpenVINO's converter sets the root logger to ERROR, and the library keeps transformers quiet."""
    from transformers.utils import logging as of_transformers

    root = logging.getLogger()
    before = root.level, of_transformers.get_verbosity(), of_transformers.is_progress_bar_enabled()
    for n in range(4):
        shutil.copytree(model.directory, tmp_path / str(n), ignore=shutil.ignore_patterns("openvino"))
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(export_openvino, (tmp_path / str(n) for n in range(4))))
    assert (root.level, of_transformers.get_verbosity(), of_transformers.is_progress_bar_enabled()) == before
