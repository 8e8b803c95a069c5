"""A small BERT made on the spot: a WordPiece tokenizer trained on texts, a config, random weights. For demos and tests."""

from collections.abc import Iterable
from pathlib import Path


def make_checkpoint(
    texts: Iterable[str],
    output_dir: str | Path,
    *,
    vocab_size: int = 8_000,
    hidden_size: int = 128,
    num_hidden_layers: int = 2,
    max_length: int = 128,
    seed: int = 42,
) -> str:
    """Write a checkpoint that `from_pretrained` loads, without any download; returns its folder.

    Args:
        texts: what the tokenizer learns its sub-words from.
        output_dir: where config.json, model.safetensors and the tokenizer's files go.
        vocab_size: sub-words at most.
        hidden_size: width; one attention head for each 64, feed-forward four times as wide.
        num_hidden_layers: layers of the encoder.
        max_length: longest sequence in tokens.
        seed: of the weights.
    """
    import tokenizers
    import transformers

    from sparknlp_tx.backends import quiet_transformers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = tokenizers.BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(texts, vocab_size=vocab_size, min_frequency=2, special_tokens=special, show_progress=False)
    learnt = sorted(set(tokenizer.get_vocab()) - set(special))  # the trainer numbers equals as they happen to come
    tokenizer = tokenizers.BertWordPieceTokenizer({token: i for i, token in enumerate(special + learnt)}, lowercase=True)
    transformers.set_seed(seed)
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=hidden_size,
        num_hidden_layers=num_hidden_layers,
        num_attention_heads=max(1, hidden_size // 64),
        intermediate_size=4 * hidden_size,
        max_position_embeddings=max_length,
    )
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    fast = transformers.BertTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), model_max_length=max_length)
    with quiet_transformers():
        fast.save_pretrained(folder)
        transformers.BertModel(config).save_pretrained(folder)
    return str(folder)
