"""One forward pass before a training: whether a checkpoint's configuration, tokenizer and head go together. Knows neither Spark nor MLflow.

What transformers can repair is repaired here with a warning: inputs that the model does not take, texts longer than its positions.
Everything else is found on a CPU within a second, instead of by a training that fails after minutes, on a GPU without a reason.
"""

import inspect
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparknlp_tx.errors import InputError, TrainingError
from sparknlp_tx.inference.tokenization import SPELT_TOKEN, TextEncoder, Tokens
from sparknlp_tx.training.checkpoint import position_table, pretrained_classifier

if TYPE_CHECKING:
    from sparknlp_tx.training.settings import TrainingSettings

log = logging.getLogger(__name__)

UNLIMITED = 1_000_000
TRIED_TOKENS = 1_024  # longer texts are not tried whole: attention over them takes gigabytes
SHORT_TEXT = "one text"


def check_runs(settings: "TrainingSettings", folder: str | Path, pairs: bool) -> TextEncoder:
    """Load a checkpoint and run its longest batch, before anything is trained.

    Args:
        folder: where `save_tokenizer` has written; its tokenizer_config.json is mended where it can be.
        pairs: whether the texts are pairs.

    Returns:
        The encoder, as it is now.

    Raises:
        InputError: the model does not run on what the tokenizer makes.
    """
    encoder = TextEncoder(folder)
    model, grown = _loaded(settings, encoder)
    if grown:
        message = (
            "%s: its tokenizer knows %d tokens and its embedding %d fewer: the embedding grows, and learns those from here"
        )
        log.warning(message, settings.checkpoint, encoder.vocabulary_size, grown)
    encoder = _spelt_end_tokens(model, _taken_inputs(model, encoder, Path(folder)), Path(folder))
    error = _failure(model, encoder, pairs, min(encoder.max_length, positions_of(model), TRIED_TOKENS))
    longest: int | None = positions_of(model)
    if error is not None:
        _check_token_types(settings.checkpoint, model, encoder, pairs, folder)
        longest = _longest_that_runs(model, encoder, pairs, min(encoder.max_length, positions_of(model), TRIED_TOKENS))
    if longest is None or longest < encoder.special_tokens + 1:
        raise _misfit(settings.checkpoint, model, folder, error or IndexError("no text fits into its positions"))
    if longest >= encoder.max_length:
        return encoder
    message = "%s (%s) takes no more than %d tokens, not %d: texts are cut there"
    log.warning(message, settings.checkpoint, _positions(model), longest, encoder.max_length)
    _set_config(Path(folder), model_max_length=longest)
    return TextEncoder(folder)


def positions_of(model: Any) -> int:
    """The most tokens for which RoBERTa's kind has positions: they are counted from the padding token's on; a million for others."""
    table = position_table(model)
    return table.num_embeddings - table.padding_idx - 1 if table is not None else UNLIMITED


def _loaded(settings: "TrainingSettings", encoder: TextEncoder) -> tuple[Any, int]:
    """The model, and by how many tokens its embedding has grown."""
    try:
        model, _, grown = pretrained_classifier(settings, encoder)
    except InputError:
        raise
    except Exception as error:  # damaged weights, sizes that do not fit one another
        if _is_memory(error):
            raise
        remedy = "Download or save it again; config.json has to be the one that its weights were saved with."
        expected = f"a checkpoint that transformers loads, in {settings.checkpoint}"
        raise InputError(expected, f"{type(error).__name__}: {_reason(error)}", remedy) from error
    return model.eval(), grown


def check_saved(directory: str | Path, pairs: bool = False) -> None:
    """Load a model that was trained as a worker would, on torch and the CPU, and run its longest batch.

    Raises:
        TrainingError: it does not run.
    """
    from sparknlp_tx.inference.backends.torch_backend import TorchBackend

    encoder = TextEncoder(directory)
    try:
        backend = TorchBackend(directory, "cpu", "float32")
        logits = backend.fetch([backend(longest_batch(encoder, pairs, min(encoder.max_length, TRIED_TOKENS)))])
    except Exception as error:  # models fail in many ways
        if _is_memory(error):
            return
        reason = _reason(error)
    else:
        if np.isfinite(logits).all():
            return
        reason = "its logits are no numbers"
    raise TrainingError(f"The model in {directory} does not run on what its tokenizer makes: {reason}")


def longest_batch(encoder: TextEncoder, pairs: bool, length: int) -> dict[str, np.ndarray]:
    """The inputs of two texts, or pairs, of what the tokenizer makes: a short one, and one of so many tokens."""
    short = encoder.encode([(SHORT_TEXT, SHORT_TEXT) if pairs else SHORT_TEXT])
    ids, types = short.input_ids[0][:length], short.token_type_ids[0][:length]
    word = next(iter(encoder.plain_ids(SHORT_TEXT)), ids[0])  # no special token: heads count the end tokens
    at, more = (ids.index(word) if word in ids else 0), length - len(ids)
    longest = [ids[:at] + [ids[at]] * more + ids[at:], types[:at] + [types[at]] * more + types[at:]]
    return encoder.pad(Tokens([ids, longest[0]], [types, longest[1]]), [0, 1])


def _failure(model: Any, encoder: TextEncoder, pairs: bool, length: int) -> Exception | None:
    """What a model raises on its longest batch; None where it runs, or where memory does not suffice to tell."""
    import torch

    inputs = {name: torch.from_numpy(array) for name, array in longest_batch(encoder, pairs, length).items()}
    try:
        with torch.inference_mode():
            logits = model(**inputs).logits
    except Exception as error:  # models fail in many ways
        return None if _is_memory(error) else error
    if tuple(logits.shape) != (2, model.config.num_labels):
        return ValueError(f"its logits have the shape {tuple(logits.shape)}, not {(2, model.config.num_labels)}")
    return None if bool(torch.isfinite(logits).all()) else ValueError("its logits are no numbers: weights may be damaged")


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "allocate" in str(error).lower()


def _longest_that_runs(model: Any, encoder: TextEncoder, pairs: bool, length: int) -> int | None:
    """The most tokens that a model takes, found by halving; None where it takes not even a short text."""
    low = _shortest(encoder, pairs)
    if low >= length or _failure(model, encoder, pairs, low) is not None:
        return None
    while length - low > 1:  # low runs, length does not
        middle = (low + length) // 2
        low, length = (low, middle) if _failure(model, encoder, pairs, middle) is not None else (middle, length)
    return low


def _shortest(encoder: TextEncoder, pairs: bool) -> int:
    """Tokens of a short text."""
    return int(encoder.encode([(SHORT_TEXT, SHORT_TEXT) if pairs else SHORT_TEXT]).lengths()[0])


def _taken_inputs(model: Any, encoder: TextEncoder, folder: Path) -> TextEncoder:
    """The encoder without the inputs that the model does not take, as the Trainer of transformers leaves them out."""
    parameters = inspect.signature(model.forward).parameters
    if (
        any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
        and "input_ids" not in parameters
    ):
        return encoder
    unknown = [name for name in encoder.input_names if name == "token_type_ids" and name not in parameters]
    if not unknown:
        return encoder
    log.warning("%s takes no %s, which its tokenizer makes: they are left out", type(model).__name__, unknown[0])
    _set_config(folder, model_input_names=[name for name in encoder.input_names if name not in unknown])
    return TextEncoder(folder)


def _spelt_end_tokens(model: Any, encoder: TextEncoder, folder: Path) -> TextEncoder:
    """The encoder that takes an end token which a text itself spells for text, where a head wants as many in one text as in another."""
    if not _reads_end_token(model):
        return encoder
    token = encoder.token_of(model.config.eos_token_id)
    if token is None or model.config.eos_token_id not in encoder.plain_ids(f"{SHORT_TEXT} {token} {SHORT_TEXT}"):
        return encoder
    _set_config(folder, **{SPELT_TOKEN: token})
    return TextEncoder(folder)


def _reads_end_token(model: Any) -> bool:
    """Whether a model's head looks for the end tokens of a text, as BART's does."""
    return "eos_mask" in inspect.getsource(type(model).forward)


def _check_token_types(checkpoint: str, model: Any, encoder: TextEncoder, pairs: bool, folder: str | Path) -> None:
    """Raise InputError where the tokenizer gives token types that the model has no embedding of."""
    known = getattr(model.config, "type_vocab_size", None)
    if "token_type_ids" not in encoder.input_names or known is None:
        return
    highest = int(longest_batch(encoder, pairs, _shortest(encoder, pairs))["token_type_ids"].max())
    if highest >= max(known, 1):
        raise InputError(
            f"token types below {known}, as config.json of {checkpoint} says (type_vocab_size, {model.config.model_type})",
            f"type {highest}, from its tokenizer ({_tokenizer_class(folder)})",
            "Give the tokenizer that the model was pre-trained with, or leave token_type_ids out of model_input_names in its "
            "tokenizer_config.json.",
        )


def _misfit(checkpoint: str, model: Any, folder: str | Path, error: Exception) -> InputError:
    """That a model fails on what its tokenizer makes, with both names."""
    eos = getattr(model.config, "eos_token_id", None)
    remedy = "Give the tokenizer that the model was pre-trained with; config.json and tokenizer.json have to go together."
    if "eos" in str(error).lower() or _reads_end_token(model):
        remedy = f"Its head reads each text's end token (eos_token_id {eos}): give a tokenizer that ends texts with it."
    return InputError(
        f"a model that runs on what its tokenizer makes, in {checkpoint}",
        f"{type(model).__name__} ({_positions(model)}) with a {_tokenizer_class(folder)}: {_reason(error)}",
        remedy,
    )


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def _positions(model: Any) -> str:
    """What a configuration says of its positions."""
    names = ("vocab_size", "max_position_embeddings", "type_vocab_size", "pad_token_id", "eos_token_id")
    settings = [f"{name} {getattr(model.config, name)}" for name in names if getattr(model.config, name, None) is not None]
    return ", ".join([f"config.json: {model.config.model_type}", *settings])


def _tokenizer_class(folder: str | Path) -> str:
    return str(json.loads(Path(folder, "tokenizer_config.json").read_text()).get("tokenizer_class", "tokenizer"))


def _set_config(folder: Path, **values: Any) -> None:
    """Change entries of a tokenizer_config.json."""
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values, indent=2, ensure_ascii=False) + "\n")
