"""A small BERT made on the spot: a WordPiece tokenizer of the words in some texts, a config, random weights. For demos and tests."""

from collections import Counter
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
        texts: whose words the tokenizer takes: all characters, and the most frequent words.
        output_dir: where config.json, model.safetensors and the tokenizer's files go.
        vocab_size: words and characters at most.
        hidden_size: width; one attention head for each 64, feed-forward four times as wide.
        num_hidden_layers: layers of the encoder.
        max_length: longest sequence in tokens.
        seed: of the weights.
    """
    import tokenizers
    import transformers

    from sparknlp_tx.inference.transformers_compat import quiet_transformers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    plain = tokenizers.BertWordPieceTokenizer(lowercase=True)
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in plain.pre_tokenizer.pre_tokenize_str(plain.normalizer.normalize_str(text)))
    vocabulary = special + _vocabulary(words, vocab_size - len(special))
    tokenizer = tokenizers.BertWordPieceTokenizer({token: i for i, token in enumerate(vocabulary)}, lowercase=True)
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


def _vocabulary(words: Counter[str], size: int) -> list[str]:
    """The characters, and the most frequent words. The trainer of `tokenizers` would give other sub-words in every process."""
    characters = {character for word in words for character in word}
    letters = [piece for character in sorted(characters) for piece in (character, "##" + character)][:size]
    frequent = sorted(
        (word for word, n in words.items() if n > 1 and word not in characters), key=lambda word: (-words[word], word)
    )
    return letters + frequent[: size - len(letters)]
