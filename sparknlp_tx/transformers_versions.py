"""What differs between transformers 4 (from 4.50 on) and 5. Loads it when it is asked."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import TrainingArguments


def weights_as(dtype: Any) -> dict[str, Any]:
    """The argument of `from_pretrained` that says in which kind of numbers weights are loaded."""
    return {"torch_dtype" if _is_4() else "dtype": dtype}


def mismatched_keys(told: dict[str, Any]) -> set[str]:
    """Names of the parameters whose shapes differ, by what `from_pretrained(output_loading_info=True)` tells."""
    return {key if isinstance(key, str) else key[0] for key in told["mismatched_keys"]}


def grouped_by_length() -> dict[str, Any]:
    """The field of TrainingArguments that has texts of one length together in a batch, unless the user sets it otherwise."""
    return {"group_by_length": True} if _is_4() else {"train_sampling_strategy": "group_by_length"}


def is_grouped_by_length(args: "TrainingArguments") -> bool:
    """Whether that field is so."""
    return all(getattr(args, name) == value for name, value in grouped_by_length().items())


def _is_4() -> bool:
    import transformers

    return transformers.__version__.startswith("4.")
