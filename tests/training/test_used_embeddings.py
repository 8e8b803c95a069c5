"""A model whose embedding holds only the tokens that occur computes, and learns, what the whole one does."""

import copy
from types import SimpleNamespace

import datasets
import pytest
import torch
import transformers
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassifier
from sparknlp_tx.training.used_embeddings import TokenRows, UsedEmbedding

SMALL = {
    "vocab_size": 200,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
    "pad_token_id": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
CONFIGS = {
    "bert": SMALL,
    "roberta": SMALL,
    "xlm-roberta": SMALL,
    "electra": SMALL,
    "deberta-v2": SMALL | {"type_vocab_size": 0},
    "modernbert": SMALL
    | {"global_attn_every_n_layers": 1, "sep_token_id": 2, "cls_token_id": 0, "bos_token_id": 0, "eos_token_id": 2},
    "distilbert": {
        "vocab_size": 200,
        "dim": 16,
        "n_layers": 1,
        "n_heads": 2,
        "hidden_dim": 16,
        "dropout": 0.0,
        "attention_dropout": 0.0,
    }
    | {"seq_classif_dropout": 0.0, "pad_token_id": 1},
    "gpt2": {
        "vocab_size": 200,
        "n_embd": 16,
        "n_layer": 1,
        "n_head": 2,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    | dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
}
PLAIN = SimpleNamespace(weight_decay=0.0, optim="adamw_torch_fused")


def batches(seed):
    """Padded ids of ten tokens out of 200, and labels."""
    torch.manual_seed(seed)
    ids = torch.randint(20, 30, (8, 12))
    ids[::2, 9:] = 1
    return {"input_ids": ids, "attention_mask": (ids != 1).long(), "labels": torch.randint(0, 3, (8,))}


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_same_is_learnt(kind):
    transformers.set_seed(0)
    config = transformers.AutoConfig.for_model(kind, num_labels=3, **CONFIGS[kind])
    whole = transformers.AutoModelForSequenceClassification.from_config(config)
    reduced, before = copy.deepcopy(whole), copy.deepcopy(whole.get_input_embeddings().weight)
    seen = [batches(seed) for seed in range(4)]
    rows = datasets.Dataset.from_dict({"input_ids": [list(map(int, ids)) for batch in seen for ids in batch["input_ids"]]})
    embedding = TokenRows(reduced, PLAIN, [rows])
    assert isinstance(reduced.get_input_embeddings(), UsedEmbedding)
    assert 11 <= len(reduced.get_input_embeddings().weight) <= 15
    for model in (whole, reduced):
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
        for batch in seen:
            optimizer.zero_grad()
            model(**batch).loss.backward()
            optimizer.step()
    embedding.restore()
    for (name, expected), (other, found) in zip(whole.named_parameters(), reduced.named_parameters(), strict=True):
        assert name == other
        assert torch.allclose(found, expected, atol=1e-6), name
    after = reduced.get_input_embeddings().weight
    assert torch.equal(after[30:], before[30:])
    assert not torch.equal(after[20:30], before[20:30])


def test_a_token_that_was_not_counted_on_fails():
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL))
    TokenRows(model, PLAIN, [datasets.Dataset.from_dict({"input_ids": [[5, 6]]})])
    with pytest.raises(IndexError):
        model(torch.tensor([[5, 7]]))


@pytest.mark.parametrize("args", [{"weight_decay": 0.01}, {"optim": "adafactor"}])
def test_where_other_rows_would_change_all_are_trained(args):
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL))
    TokenRows(model, SimpleNamespace(**vars(PLAIN) | args), [datasets.Dataset.from_dict({"input_ids": [[5, 6]]})])
    assert len(model.get_input_embeddings().weight) == 200


def test_a_fit_trains_the_tokens_of_its_rows(train_df, settings, monkeypatch):
    """Of training and validation rows, and the model that comes out has them all again."""
    from sparknlp_tx.training.trainer import ClassifierTrainer

    sizes = []
    real = ClassifierTrainer.create_optimizer
    monkeypatch.setattr(
        ClassifierTrainer,
        "create_optimizer",
        lambda self, model=None: sizes.append(len(self.model.get_input_embeddings().weight)) or real(self, model),
    )
    rows = train_df.where("label = 'card'")
    df = rows.withColumn("label", F.pmod(F.xxhash64("text"), F.lit(2)) == 0)
    model = TransformerClassifier(**settings | {"numTrainEpochs": 1.0, "validationFraction": 0.3}).fit(df)
    whole = transformers.AutoConfig.from_pretrained(model.directory).vocab_size
    assert sizes[0] < whole / 2
    found = transformers.AutoModelForSequenceClassification.from_pretrained(model.directory).get_input_embeddings().weight
    assert found.shape[0] == whole
