"""Texts to token ids: the same for training and for scoring, with the `tokenizers` library alone.

A model directory says all that is needed: `tokenizer.json` holds the tokenizer itself, `tokenizer_config.json` the inputs that
the model takes, its maximum length and its padding. `training.tokenizer` writes both.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Encoding, Tokenizer

from sparknlp_tx.errors import InputError

Text = str | tuple[str, str]  # a text, or a pair of texts
CHARACTERS_PER_TOKEN = 8  # a text of more than that per token is cut before it is tokenised; English has 4 to 5
SPELT_TOKEN = "token_for_text"  # in tokenizer_config.json: a special token that is none where a text spells it
_UNLIMITED = 1_000_000  # Hugging Face writes 1e30 where a tokenizer knows no maximum length


class Tokens(NamedTuple):
    """Token ids of texts: lists of different lengths, not padded."""

    input_ids: list[list[int]]
    token_type_ids: list[list[int]]

    def lengths(self) -> np.ndarray:
        """Tokens of each text: int64 [n]."""
        return np.fromiter(map(len, self.input_ids), np.int64, len(self.input_ids))


def longest_sequence(path: str | Path) -> int:
    """The most tokens that the tokenizer of a Hugging Face directory leaves; 1,000,000 where it knows no maximum."""
    config = json.loads(Path(path, "tokenizer_config.json").read_text())
    return int(min(config.get("model_max_length") or _UNLIMITED, _UNLIMITED))


class TextEncoder:
    """Turns texts into token ids and pads them, as the model's Hugging Face tokenizer does.

    Args:
        path: a Hugging Face directory with `tokenizer.json` and `tokenizer_config.json`.
        max_length: longest sequence in tokens; never more than the tokenizer's own `model_max_length`; default that.
    """

    def __init__(self, path: str | Path, max_length: int | None = None):
        path = Path(path)
        config = json.loads((path / "tokenizer_config.json").read_text())
        self._tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        self._tokenizer.no_padding()
        self.input_names: list[str] = config.get("model_input_names", ["input_ids", "attention_mask"])
        self._spelt: str | None = config.get(SPELT_TOKEN)
        self.truncation_side: str = config.get("truncation_side", "right")
        self._padding_side = config.get("padding_side", "right")
        self.pad_token, self.pad_token_id = self._find_padding(path, config)
        self.pad_ids = {
            "input_ids": self.pad_token_id,
            "token_type_ids": config.get("pad_token_type_id", 0),
            "attention_mask": 0,
        }
        self.max_length = int(min(max_length or _UNLIMITED, longest_sequence(path)))
        self.special_tokens = special = self._tokenizer.num_special_tokens_to_add(True)  # of a pair
        if self.max_length < special:  # the tokenizer would cut nothing at all
            raise InputError(f"a maxLength of at least {special} tokens", str(self.max_length), "That many are special ones.")
        self._cut_characters: int | None = None
        if self.max_length < _UNLIMITED:
            self._tokenizer.enable_truncation(self.max_length, direction=self.truncation_side)
            if self.truncation_side == "right" and self._splits_at_spaces():
                self._cut_characters = CHARACTERS_PER_TOKEN * self.max_length
        else:
            self._tokenizer.no_truncation()

    def _find_padding(self, path: Path, config: dict) -> tuple[str, int]:
        pad_token = config.get("pad_token")
        pad_token = pad_token["content"] if isinstance(pad_token, dict) else pad_token
        pad_token_id = self._tokenizer.token_to_id(pad_token) if pad_token else None
        if pad_token_id is None:
            raise InputError("a tokenizer with a padding token", f"pad_token {pad_token!r} in {path}", "Set one and save it.")
        return str(pad_token), pad_token_id

    @property
    def vocabulary_size(self) -> int:
        """How many rows an embedding needs for all tokens, added ones included."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def whole_lengths(self, texts: Sequence[Text]) -> np.ndarray:
        """Tokens that texts or pairs would have if none were cut, special tokens included: int64 [n]."""
        whole = Tokenizer.from_str(self._tokenizer.to_str())
        whole.no_truncation()
        return np.asarray([len(encoding.ids) for encoding in whole.encode_batch_fast(list(texts))], np.int64)

    def _splits_at_spaces(self) -> bool:
        """Whether the tokenizer splits texts at spaces first, so that the tokens of a word do not depend on later words."""
        splitter = self._tokenizer.pre_tokenizer
        return splitter is not None and len(splitter.pre_tokenize_str("one two three")) >= 3

    def encode(self, texts: Sequence[Text]) -> Tokens:
        """The token ids of texts or pairs, special tokens included, each cut to the maximum length.

        Lone surrogates, which are no text, count as U+FFFD. A text without any token counts as one of padding.
        """
        encodings = self._encodings(texts, self._tokenizer.encode_batch_fast)
        return Tokens([e.ids or [self.pad_token_id] for e in encodings], [e.type_ids or [0] for e in encodings])

    def token_spans(self, texts: Sequence[Text]) -> list[list[list[tuple[int, int]]]]:
        """Where the tokens that the model reads lie: for each text, and for each of its parts, (first, after the last) characters.

        Special tokens have no place and are left out, as is what is cut off. An error of a character or so is possible beside what is
        no well-formed text.
        """
        found = []
        for text, encoding in zip(texts, self._encodings(texts, self._tokenizer.encode_batch), strict=True):
            spans: list[list[tuple[int, int]]] = [[] for _ in (text if isinstance(text, tuple) else (text,))]
            for part, (start, end) in zip(encoding.sequence_ids, encoding.offsets, strict=True):
                if part is not None and start < end:
                    spans[part].append((start, end))
            found.append(spans)
        return found

    def _encodings(self, texts: Sequence[Text], encode: Callable[[list[Text]], list[Encoding]]) -> list[Encoding]:
        if self._spelt is not None:
            texts = [_without(text, self._spelt) for text in texts]
        try:
            return self._encode_cut(texts, encode)
        except (TypeError, UnicodeEncodeError):
            return self._encode_cut([_well_formed(text) for text in texts], encode)

    def token_of(self, number: int) -> str | None:
        """A token by its id; None where there is none."""
        return self._tokenizer.id_to_token(number)

    def plain_ids(self, text: str) -> list[int]:
        """The token ids of a text without special ones."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def _encode_cut(self, texts: Sequence[Text], encode: Callable[[list[Text]], list[Encoding]]) -> list[Encoding]:
        """Encode texts; of a long one only its beginning, if that fills the maximum length, so that 1 MB costs no more than 1 KB.

        Pairs are not cut before tokenisation: how much of each is kept depends on the lengths of both.
        """
        limit = self._cut_characters
        if limit is None:
            return encode(list(texts))
        encodings: list[Any] = [None] * len(texts)
        rows: Sequence[int] = range(len(texts))
        while rows:
            beginnings = [_beginning(texts[row], limit) for row in rows]
            unsure = []
            for row, beginning, encoding in zip(rows, beginnings, encode(beginnings), strict=True):
                encodings[row] = encoding
                if len(encoding.ids) < self.max_length and len(beginning) < len(texts[row]):
                    unsure.append(row)
            rows, limit = unsure, 8 * limit
        return encodings

    def pad(self, tokens: Tokens, rows: Sequence[int] | np.ndarray, multiple: int = 1) -> dict[str, np.ndarray]:
        """The model's inputs for some rows, padded to the longest of them: name -> int64 [len(rows), longest].

        Args:
            multiple: pad to a multiple of so many tokens, where the maximum length allows.
        """
        columns = {"input_ids": [tokens.input_ids[row] for row in rows]}
        if "token_type_ids" in self.input_names:
            columns["token_type_ids"] = [tokens.token_type_ids[row] for row in rows]
        if "attention_mask" in self.input_names:
            columns["attention_mask"] = [[1] * len(ids) for ids in columns["input_ids"]]
        longest = max(map(len, columns["input_ids"]))
        if self.max_length < _UNLIMITED:
            longest = max(longest, min(self.max_length, -(-longest // multiple) * multiple))
        padded = {}
        for name, lists in columns.items():
            matrix = np.full((len(lists), longest), self.pad_ids[name], np.int64)
            for row, values in zip(matrix, lists, strict=True):
                if self._padding_side == "right":
                    row[: len(values)] = values
                else:
                    row[longest - len(values) :] = values
            padded[name] = matrix
        return padded


def _beginning(text: Text, limit: int) -> Text:
    """A text cut before the last space that follows a word within the limit; whole where there is none."""
    if not isinstance(text, str) or len(text) <= limit:
        return text
    end = text.rfind(" ", 1, limit + 1)
    while end > 0 and text[end - 1].isspace():
        end = text.rfind(" ", 1, end)
    return text[:end] if end > 0 else text


def _without(text: Text, token: str) -> Text:
    """A text in which a token is none, but its first character, a space and the others."""
    if isinstance(text, tuple):
        return str(_without(text[0], token)), str(_without(text[1], token))
    return text.replace(token, f"{token[0]} {token[1:]}") if token in text else text


def _well_formed(text: Text) -> Text:
    if isinstance(text, tuple):
        return _mended(text[0]), _mended(text[1])
    return _mended(text)


def _mended(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
