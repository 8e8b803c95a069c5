"""Checkpoints as they are: configuration, tokenizer and head that do not go together are found before a training."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers
from helpers.texts import texts_of_topics

from sparknlp_tx import TransformerClassifier
from sparknlp_tx.errors import InputError, TrainingError
from sparknlp_tx.inference.engine import InferenceEngine
from sparknlp_tx.training.checkpoint import load_classifier
from sparknlp_tx.training.checkpoint_check import check_runs, check_saved
from sparknlp_tx.training.settings import TrainingSettings
from sparknlp_tx.training.tokenizer import save_tokenizer

SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture
def bert_files(checkpoint):
    """The files of BERT's tokenizer of the tiny checkpoint, and the size of its vocabulary."""
    files = [file for file in Path(checkpoint).iterdir() if "token" in file.name]
    return files, tokenizers.Tokenizer.from_file(str(Path(checkpoint, "tokenizer.json"))).get_vocab_size()


def put(folder, model, files, **config):
    """A model with those files as its tokenizer, some entries of its tokenizer_config.json changed."""
    model.save_pretrained(folder)
    for file in files:
        shutil.copy(file, folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return str(folder)


def roberta(folder, bert_files, positions, padding, **config):
    files, size = bert_files
    own = transformers.RobertaConfig(
        vocab_size=size, max_position_embeddings=positions, pad_token_id=padding, type_vocab_size=1, **SIZES
    )
    return put(folder, transformers.RobertaModel(own), files, model_max_length=10**9, **config)


def settings_of(checkpoint, max_length=32, **more):
    values = {"learning_rate": 1e-3, "head_learning_rate": 1e-3, "pooler_learning_rate": 1e-3, "num_train_epochs": 1.0}
    return TrainingSettings(checkpoint, ["a", "b", "c"], max_length, batch_size=8, seed=1, training_args={}, **values | more)


def checked(checkpoint, folder, pairs=False, max_length=32):
    """What a fit does before it trains."""
    settings = settings_of(checkpoint, max_length)
    save_tokenizer(checkpoint, max_length, folder)
    return settings, check_runs(settings, folder, pairs)


def logits_after_saving(settings, encoder, folder):
    """Logits of the model that a training begins with, and of the same one as a worker loads it."""
    model, _ = load_classifier(settings, encoder)
    model.save_pretrained(folder)
    inputs = encoder.pad(encoder.encode(["card", "my card was lost today " * 3]), [0, 1])
    with torch.inference_mode():
        first = model.eval()(**{name: torch.from_numpy(array) for name, array in inputs.items()}).logits.numpy()
    engine = InferenceEngine.from_pretrained(folder, "cpu", "float32")
    return first, engine.predict_logits(["card", "my card was lost today " * 3])


def test_token_types_that_a_configuration_does_not_know(tmp_path, bert_files):
    checkpoint = roberta(tmp_path / "odd", bert_files, 64, 1)
    with pytest.raises(InputError, match="type_vocab_size") as told:
        checked(checkpoint, tmp_path / "model", pairs=True)
    assert "roberta" in str(told.value)
    assert "Bert" in str(told.value)
    checked(checkpoint, tmp_path / "single")  # texts alone are all of type 0
    plain = roberta(tmp_path / "plain", bert_files, 64, 1, model_input_names=["input_ids", "attention_mask"])
    checked(plain, tmp_path / "pairs", pairs=True)


@pytest.mark.parametrize(("positions", "padding", "usable"), [(64, 1, 62), (66, 3, 62), (66, 1, 64), (130, 0, 128), (10, 1, 8)])
def test_positions_that_do_not_fit_cut_texts_with_a_warning(tmp_path, bert_files, caplog, positions, padding, usable):
    checkpoint = roberta(tmp_path / "odd", bert_files, positions, padding)
    with caplog.at_level(logging.WARNING, "sparknlp_tx"):
        settings, encoder = checked(checkpoint, tmp_path / "model", max_length=256)
    assert encoder.max_length == usable
    assert str(usable) in caplog.text
    assert "256" in caplog.text
    first, again = logits_after_saving(settings, encoder, tmp_path / "model")
    assert abs(first - again).max() < 1e-5  # another padding token moves no position


def test_fewer_positions_than_a_text_needs_are_refused(tmp_path, bert_files):
    with pytest.raises(InputError, match="max_position_embeddings 3"):
        checked(roberta(tmp_path / "odd", bert_files, 3, 1), tmp_path / "model")


def test_added_tokens_grow_the_embedding_with_a_warning(tmp_path, checkpoint, caplog):
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    shutil.copytree(checkpoint, tmp_path / "odd")
    tokenizer.add_tokens(["<order>", "<name>"])
    tokenizer.save_pretrained(tmp_path / "odd")
    with caplog.at_level(logging.WARNING, "sparknlp_tx"):
        settings, encoder = checked(str(tmp_path / "odd"), tmp_path / "model")
    assert "embedding grows" in caplog.text
    model, _ = load_classifier(settings, encoder)
    assert model.get_input_embeddings().num_embeddings == encoder.vocabulary_size == len(tokenizer)
    assert max(encoder.encode(["<name>"]).input_ids[0]) >= transformers.AutoConfig.from_pretrained(checkpoint).vocab_size
    first, again = logits_after_saving(settings, encoder, tmp_path / "model")
    assert abs(first - again).max() < 1e-5


def bart(folder, bert_files, end_token):
    """A BART with BERT's tokenizer, whose head reads the tokens of a number; 3 is [SEP], which ends BERT's texts."""
    files, size = bert_files
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = transformers.BartConfig(
        vocab_size=size,
        d_model=32,
        max_position_embeddings=64,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        eos_token_id=end_token % size,
        **layers,
    )
    return put(folder, transformers.BartModel(config), files, model_input_names=["input_ids", "attention_mask"])


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize(("end_token", "reason"), [(-1, "at least one <eos>"), (0, "the same number of <eos>")])
def test_a_head_that_reads_the_end_token_wants_one(tmp_path, bert_files, pairs, end_token, reason):
    """No text has it, or texts have differing numbers of it, as of the padding token 0."""
    with pytest.raises(InputError, match="eos_token_id") as told:
        checked(bart(tmp_path / "odd", bert_files, end_token), tmp_path / "model", pairs)
    assert reason in str(told.value)
    assert "config.json: bart" in str(told.value)
    assert "BertTokenizer" in str(told.value)


@pytest.mark.parametrize("pairs", [False, True])
def test_a_head_that_reads_the_end_token_takes_whole_texts_and_those_that_spell_it(tmp_path, bert_files, caplog, pairs):
    with caplog.at_level(logging.WARNING, "sparknlp_tx"):
        settings, encoder = checked(bart(tmp_path / "right", bert_files, 3), tmp_path / "model", pairs)
    assert encoder.max_length == 32
    assert not caplog.text
    texts = ["my card", "my [SEP] card [SEP]"]
    tokens = encoder.encode([(text, text) for text in texts] if pairs else texts)
    assert [ids.count(3) for ids in tokens.input_ids] == [1 + pairs] * 2
    model, _ = load_classifier(settings, encoder)
    model.eval()(**{name: torch.from_numpy(array) for name, array in encoder.pad(tokens, [0, 1]).items()})


def test_a_fit_of_texts_that_spell_the_end_token(spark, settings, tmp_path, bert_files):
    rows = [(f"{text} [SEP]" if number % 3 else text, label) for number, (text, label) in enumerate(texts_of_topics(8))]
    df = spark.createDataFrame(rows, "text string, label string").coalesce(1)
    changed = {"checkpoint": bart(tmp_path / "right", bert_files, 3), "numTrainEpochs": 1.0}
    fitted = TransformerClassifier(**settings | changed).fit(df)
    assert fitted.transform(df).filter("prediction is null").count() == 0


def test_inputs_that_a_model_does_not_take_are_left_out_with_a_warning(tmp_path, bert_files, caplog):
    files, size = bert_files
    config = transformers.DistilBertConfig(
        vocab_size=size, dim=32, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=64
    )
    odd = put(
        tmp_path / "odd",
        transformers.DistilBertModel(config),
        files,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    with caplog.at_level(logging.WARNING, "sparknlp_tx"):
        settings, encoder = checked(odd, tmp_path / "model", pairs=True)
    assert "token_type_ids" in caplog.text
    assert encoder.input_names == ["input_ids", "attention_mask"]
    first, again = logits_after_saving(settings, encoder, tmp_path / "model")
    assert abs(first - again).max() < 1e-5


def test_weights_that_are_damaged_are_told(tmp_path, checkpoint):
    shutil.copytree(checkpoint, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(InputError, match="loads"):
        checked(str(tmp_path / "cut"), tmp_path / "model")
    model = transformers.BertModel.from_pretrained(checkpoint)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.fill_(float("nan"))
    shutil.copytree(checkpoint, tmp_path / "nan")
    model.save_pretrained(tmp_path / "nan")
    with pytest.raises(InputError, match="no numbers"):
        checked(str(tmp_path / "nan"), tmp_path / "model")


def test_a_sound_checkpoint_passes_in_silence(tmp_path, checkpoint, caplog):
    with caplog.at_level(logging.WARNING, "sparknlp_tx"):
        for pairs in (False, True):
            checked(checkpoint, tmp_path / str(pairs), pairs)
    assert not caplog.text


def test_a_saved_model_that_does_not_run_is_told_in_a_sentence(tmp_path, model):
    check_saved(model.directory)
    shutil.copytree(model.directory, tmp_path / "model")
    tokenizer = json.loads((tmp_path / "model" / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] = {token: 5_000 + index for token, index in tokenizer["model"]["vocab"].items()}
    tokenizer["post_processor"] = None
    (tmp_path / "model" / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(TrainingError, match="does not run"):
        check_saved(tmp_path / "model")


def test_fit_and_explain_refuse_before_any_row_is_staged(spark, settings, tmp_path, bert_files, monkeypatch):
    monkeypatch.setattr("sparknlp_tx.ml.estimator.stage", lambda *_: pytest.fail("rows were staged"))
    checkpoint = roberta(tmp_path / "odd", bert_files, 64, 1)
    rows = [(text, text, label) for text, label in texts_of_topics(4)]
    pairs = spark.createDataFrame(rows, "text string, other string, label string").coalesce(1)
    estimator = TransformerClassifier(**settings | {"checkpoint": checkpoint, "textPairCol": "other"})
    for call in (estimator.fit, estimator.explain):
        with pytest.raises(InputError, match="type_vocab_size"):
            call(pairs)
