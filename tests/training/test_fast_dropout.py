"""Dropout on CPUs: torch's in all but the time that it takes."""

import pytest
import torch

from sparknlp_tx.training.fast_dropout import attention_for, dropout, fast_dropout


def test_it_drops_as_many_and_keeps_the_mean():
    torch.manual_seed(0)
    ones = torch.ones(1000, 1000)
    found = dropout(ones, 0.1)
    assert (found == 0).float().mean().item() == pytest.approx(0.1, abs=0.002)
    assert found.mean().item() == pytest.approx(1.0, abs=0.002)
    assert found.unique().tolist() == pytest.approx([0.0, 1 / 0.9])
    assert dropout(ones, 1.0).sum() == 0
    assert dropout(ones, 0.1, training=False) is ones


def test_gradients_go_where_values_went():
    values = torch.ones(1000, requires_grad=True)
    found = dropout(values, 0.5)
    found.sum().backward()
    assert torch.equal(values.grad, found.detach())


def test_torchs_seed_decides_and_calls_differ():
    draws = []
    for _ in range(2):
        torch.manual_seed(5)
        draws.append([dropout(torch.ones(100), 0.5) for _ in range(2)])
    assert torch.equal(draws[0][0], draws[1][0])
    assert torch.equal(draws[0][1], draws[1][1])
    assert not torch.equal(draws[0][0], draws[0][1])


def test_it_stands_in_for_torchs_on_a_cpu_alone_and_only_meanwhile(monkeypatch):
    real = torch.nn.functional.dropout
    with fast_dropout("cpu"):
        assert torch.nn.functional.dropout is dropout
    assert torch.nn.functional.dropout is real
    with fast_dropout("cuda"):
        assert torch.nn.functional.dropout is real


def test_attention_is_eager_where_it_has_dropout_on_a_cpu():
    from transformers import BertConfig, DistilBertConfig, ModernBertConfig

    assert attention_for(BertConfig(), "cpu") == attention_for(DistilBertConfig(), "cpu") == "eager"
    assert attention_for(BertConfig(), "cuda") is None
    assert attention_for(ModernBertConfig(attention_dropout=0.0), "cpu") is None
