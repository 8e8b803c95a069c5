"""What a process needs to know to score: small, without a session or a model in it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.decision_rules import DecisionRule, decision_rule
from sparknlp_tx.inference.engine import EngineStats
from sparknlp_tx.inference.model_directory import ModelConfig
from sparknlp_tx.inference.model_location import ModelLocation

STATS = "stats"  # the field of a task's counters, where they are observed
STAT_TYPES = {field.name: "bigint" if field.type is int else "double" for field in fields(EngineStats)}


@dataclass(frozen=True)
class ScoringSettings:
    """What an executor needs to know to score: small, without a session or a model in it.

    Args:
        location: where the model lies.
        decision: how logits become predictions.
        columns: the fields to give, of those the decision has, by the names of their columns.
        text_columns: names of the text column and, for pairs, of the second one.
        device, precision, max_length, tokens_per_batch, handle_invalid: as the Params of these names.
    """

    location: ModelLocation
    decision: DecisionRule
    columns: Mapping[str, str]
    text_columns: tuple[str, ...]
    device: str
    precision: str
    max_length: int
    tokens_per_batch: int | str
    handle_invalid: str

    @classmethod
    def from_params(cls, values: dict[str, Any], config: ModelConfig, location: ModelLocation) -> "ScoringSettings":
        """From a model's Params by name, defaults included, and what its `config.json` says.

        Raises:
            InputError: thresholds that do not fit the labels.
        """
        thresholds = tuple(values["thresholds"]) if values.get("thresholds") else None
        decision = decision_rule(*config, threshold=values["threshold"], thresholds=thresholds)
        decision.check()
        return cls(
            location=location,
            decision=decision,
            columns={field: values[field + "Col"] for field in decision.fields if values.get(field + "Col")},
            text_columns=tuple(values[name] for name in ("textCol", "textPairCol") if values.get(name)),
            device=values["device"],
            precision=values["precision"],
            max_length=values["maxLength"],
            tokens_per_batch=values["tokensPerBatch"],
            handle_invalid=values["handleInvalid"],
        )

    def check_columns(self, number: int) -> None:
        """Raise InputError where a function gets more columns or fewer than there are of texts."""
        if number != len(self.text_columns):
            expected = "a text" if len(self.text_columns) == 1 else "a text and its pair"
            raise InputError(
                f"{expected}, as the model was fitted", f"{number} columns", "Change them, or the model's textPairCol."
            )

    def return_type(self, observed: bool = False) -> str:
        """The struct that the UDF returns, as a DDL string; with the counters where they are observed."""
        parts = [f"{field} {self.decision.fields[field]}" for field in self.columns]
        if observed:
            parts.append(f"{STATS} struct<{', '.join(f'{name}: {kind}' for name, kind in STAT_TYPES.items())}>")
        return ", ".join(parts)
