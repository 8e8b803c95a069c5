"""What differs between transformers 4 (from 4.50 on) and 5. Loads it when it is asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import TrainingArguments


def weights_as(dtype: Any) -> dict[str, Any]:
    """The argument of `from_pretrained` that says in which kind of numbers weights are loaded."""
    return {"torch_dtype" if _is_4() else "dtype": dtype}


def mismatched_keys(loading_info: dict[str, Any]) -> set[str]:
    """Names of the parameters whose shapes differ, from the loading info of `from_pretrained`."""
    return {key if isinstance(key, str) else key[0] for key in loading_info["mismatched_keys"]}


def grouped_by_length() -> dict[str, Any]:
    """The field of TrainingArguments that has texts of one length together in a batch, unless the user sets it otherwise."""
    return {"group_by_length": True} if _is_4() else {"train_sampling_strategy": "group_by_length"}


def is_grouped_by_length(args: "TrainingArguments") -> bool:
    """Whether these TrainingArguments group training rows by length."""
    return all(getattr(args, name) == value for name, value in grouped_by_length().items())


def _is_4() -> bool:
    import transformers

    return transformers.__version__.startswith("4.")


_quiet = threading.Lock()
_quiet_blocks: list[
    tuple[int, bool]
] = []  # for each open block: transformers' verbosity and whether it had progress bars, before the first


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from saying what the caller knows: that weights are loaded or written, that a head is new.

    Blocks may overlap in threads, as two fits at once do: the last one to end puts transformers' settings back.
    """
    from transformers.utils import logging

    with _quiet:
        _quiet_blocks.append(
            _quiet_blocks[0] if _quiet_blocks else (logging.get_verbosity(), logging.is_progress_bar_enabled())
        )
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    try:
        yield
    finally:
        with _quiet:
            verbosity, bars = _quiet_blocks.pop()
            if not _quiet_blocks:
                logging.set_verbosity(verbosity)
                if bars:
                    logging.enable_progress_bar()
