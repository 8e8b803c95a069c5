"""The tokenizer of a checkpoint, saved beside the model with all that `TextEncoder` needs."""

import json
import logging
from pathlib import Path

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.tokenization import TextEncoder

log = logging.getLogger(__name__)


def save_tokenizer(checkpoint: str, max_length: int | None, output_dir: str | Path) -> TextEncoder:
    """Write the checkpoint's tokenizer with all that `TextEncoder` needs; returns the encoder that reads it back.

    Args:
        max_length: where texts are to be cut; None cuts nowhere.
    """
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:  # causal models, as gpt2, know no padding
        tokenizer.pad_token = tokenizer.eos_token
    positions = getattr(AutoConfig.from_pretrained(checkpoint), "max_position_embeddings", None) or 0
    limit = min(
        tokenizer.model_max_length, (positions // 8 * 8 or positions) if positions > 0 else 10**9
    )  # RoBERTa's 514 serve 512 tokens
    if max_length and max_length > limit:
        log.warning("maxLength %d is more than the %d tokens that %s takes: %d is used", max_length, limit, checkpoint, limit)
    tokenizer.model_max_length = min(max_length, limit) if max_length else 10**9
    tokenizer.save_pretrained(output_dir)
    if not Path(output_dir, "tokenizer.json").is_file():
        raise InputError(
            "a checkpoint with a fast tokenizer (tokenizer.json)", f"none in {checkpoint}", "Convert its tokenizer."
        )
    file = Path(output_dir, "tokenizer_config.json")
    config = json.loads(file.read_text())
    config["model_input_names"] = tokenizer.model_input_names
    config["padding_side"] = tokenizer.padding_side
    config["pad_token_type_id"] = tokenizer.pad_token_type_id
    file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    return TextEncoder(output_dir)
