"""The engine from outside: what batching, order and duplicates must not change."""

import json
import shutil
import threading

import numpy as np
import pytest
import torch
from helpers.texts import texts_of_topics
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from sparknlp_tx import InferenceEngine
from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.backends.torch_backend import TorchBackend
from sparknlp_tx.inference.engine import ahead


@pytest.fixture(scope="module")
def engine(model):
    return InferenceEngine.from_pretrained(model.directory, device="cpu", precision="float32", max_length=32)


@pytest.fixture(scope="module")
def texts():
    return [text for text, _ in texts_of_topics(40, seed=7)]


class Counting:
    """A backend that notes the shape of each batch, and how many texts it holds, and lets another one run it."""

    device = "cpu"

    def __init__(self, backend, calls):
        self.backend, self.calls = backend, calls
        self.fetch, self.is_out_of_memory, self.packs = backend.fetch, backend.is_out_of_memory, backend.packs

    def __call__(self, inputs):
        ids = inputs["input_ids"]
        self.calls.append((*ids.shape, int((ids == ids[0, 0]).sum())))  # each text begins with the same token
        return self.backend(inputs)


def counting(engine, calls):
    """The engine with such a backend."""
    return InferenceEngine(engine.encoder, Counting(engine.backend, calls), engine.config, engine.batching.tokens_per_batch)


def test_logits_are_those_of_transformers_one_text_at_a_time(engine, model, texts):
    tokenizer = AutoTokenizer.from_pretrained(model.directory)
    classifier = AutoModelForSequenceClassification.from_pretrained(model.directory).eval()
    with torch.inference_mode():
        one_by_one = [classifier(**tokenizer(t, return_tensors="pt", truncation=True, max_length=32)).logits[0] for t in texts]
    assert np.allclose(engine.predict_logits(texts), torch.stack(one_by_one).numpy(), atol=1e-5)


def test_order_and_batching_change_nothing(engine, texts):
    expected = engine.predict_logits(texts)
    assert np.allclose(engine.predict_logits(texts[::-1])[::-1], expected, atol=1e-5)
    small = InferenceEngine(engine.encoder, engine.backend, engine.config, tokens_per_batch=16)
    assert np.allclose(small.predict_logits(texts), expected, atol=1e-5)
    streamed = np.concatenate(list(engine.iter_logits(texts[i : i + 7] for i in range(0, len(texts), 7))))
    assert np.allclose(streamed, expected, atol=1e-5)


def test_small_batches_are_gathered_and_no_batch_exceeds_the_budget(engine, texts):
    calls = []
    list(counting(engine, calls).iter_logits([text] for text in texts))
    assert len(calls) < len(texts) / 4
    assert all(rows * tokens <= engine.batching.tokens_per_batch for rows, tokens, _ in calls)


def test_few_texts_share_the_rows_of_one_batch(engine, texts):
    """Small partitions: texts lie side by side, less is padded, and none sees another."""
    calls = []
    few = [*texts[:12], "a", "one that is longer than the others, and so as long as all the rows: " + texts[12]]
    logits = counting(engine, calls).predict_logits(few)
    alone = np.concatenate([engine.predict_logits([text]) for text in few])
    assert np.allclose(logits, alone, atol=1e-5)
    assert np.ptp(alone, axis=0).min() > 1e-3  # the texts differ, so that one in the place of another would show
    [(rows, tokens, held)] = calls
    assert held == len(few) > rows
    lengths = engine.encoder.encode(few).lengths()
    assert rows * tokens < 1.3 * lengths.sum() < len(few) * lengths.max()


def test_a_text_of_no_tokens_lies_in_nobodys_row(engine, model, texts, tmp_path):
    """Where a tokenizer adds no special tokens, nothing may be left of a text."""
    shutil.copytree(model.directory, tmp_path / "model")
    file = tmp_path / "model" / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"post_processor": None}))
    without = InferenceEngine.from_pretrained(tmp_path / "model", "cpu", "float32", 32)
    [alone] = without.predict_logits(["\u200b"])
    assert np.isfinite(alone).all()
    assert np.allclose(without.predict_logits([*texts[:9], "\u200b"])[-1], alone, atol=1e-5)


def test_equal_texts_go_through_the_model_once(engine, texts):
    calls = []
    logits = counting(engine, calls).predict_logits(texts * 3)
    assert sum(held for _, _, held in calls) == len(set(texts))
    assert np.array_equal(logits[: len(texts)], logits[len(texts) : 2 * len(texts)])


def test_none_gives_nan_and_leaves_the_others_alone(engine, texts):
    logits = engine.predict_logits([texts[0], None, texts[1]])
    assert np.isnan(logits[1]).all()
    assert np.allclose(logits[[0, 2]], engine.predict_logits(texts[:2]), atol=1e-5)
    assert engine.predict_logits([]).shape == (0, 3)
    assert engine.predict_logits([None]).shape == (1, 3)


def test_probabilities_sum_to_one(engine, texts):
    assert np.allclose(engine.predict_proba(texts).sum(axis=1), 1)


def test_windows_are_bounded_by_characters(engine, texts, monkeypatch):
    monkeypatch.setattr("sparknlp_tx.inference.engine.WINDOW_CHARACTERS", 100)
    windows = list(engine.iter_logits([texts]))
    assert len(windows) > 10
    assert np.allclose(np.concatenate(windows), engine.predict_logits(texts), atol=1e-5)


def test_what_is_made_ahead_keeps_its_order_and_its_error():
    made, threads = [], set()

    def items():
        for number in range(3):
            threads.add(threading.current_thread())
            made.append(number)
            yield number
        raise ValueError("the source broke")

    found = []
    with pytest.raises(ValueError, match="the source broke"):
        found.extend(ahead(items()))
    assert found == made == [0, 1, 2]
    assert threading.current_thread() not in threads
    assert list(ahead([])) == []


def test_a_device_that_computes_by_itself_gets_the_next_window_tokenised_meanwhile(engine, texts, monkeypatch):
    """Windows are tokenised in another thread where the backend is no CPU; the logits are the same, in order."""
    monkeypatch.setattr("sparknlp_tx.inference.engine.WINDOW_ROWS", 16)
    threads = []

    class Encoder:
        pad = engine.encoder.pad

        def encode(self, texts):
            threads.append(threading.current_thread())
            return engine.encoder.encode(texts)

    class Device(Counting):
        device = "cuda:0"

    device = Device(engine.backend, [])
    device.packs = False
    other = InferenceEngine(Encoder(), device, engine.config, 1024)
    assert np.allclose(other.predict_logits([*texts, None]), engine.predict_logits([*texts, None]), atol=1e-5, equal_nan=True)
    assert len(threads) > 5
    assert threading.current_thread() not in threads


def test_out_of_memory_halves_the_batch_and_remembers(engine, texts):
    calls = []

    class Small:
        device, packs = "cpu", False
        is_out_of_memory = staticmethod(TorchBackend.is_out_of_memory)
        fetch = staticmethod(engine.backend.fetch)

        def __call__(self, inputs):
            rows, tokens = inputs["input_ids"].shape
            calls.append(rows * tokens)
            if rows * tokens > 100:
                raise torch.OutOfMemoryError("made up")
            return engine.backend(inputs)

    small = InferenceEngine(engine.encoder, Small(), engine.config, 1024)
    assert np.allclose(small.predict_logits(texts), engine.predict_logits(texts), atol=1e-5)
    calls.clear()
    small.predict_logits(texts)
    assert max(calls) <= 100  # the smaller budget is kept


def test_an_error_that_is_not_memory_is_raised_as_it_is(engine, texts):
    class Broken:
        device, packs = "cpu", False
        is_out_of_memory = staticmethod(TorchBackend.is_out_of_memory)

        def __call__(self, inputs):
            raise RuntimeError("a broken kernel")

    with pytest.raises(RuntimeError, match="a broken kernel"):
        InferenceEngine(engine.encoder, Broken(), engine.config, 1024).predict_logits(texts)


def test_a_gpu_that_is_not_there_is_an_error(model):
    gpus = torch.cuda.device_count()
    with pytest.raises(InputError, match=rf"a GPU for device 'cuda:{gpus}'; found {gpus} GPUs"):
        InferenceEngine.from_pretrained(model.directory, device=f"cuda:{gpus}")
    with pytest.raises(InputError, match="found 'gpu'"):
        InferenceEngine.from_pretrained(model.directory, device="gpu")
