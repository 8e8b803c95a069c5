"""What the server answers: logits as the JSON of MLflow's server, of text-embeddings-inference, or as was asked."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.decision_rules import DecisionRule, Regression
from sparknlp_tx.inference.score_columns import plain_columns
from sparknlp_tx.inference.scoring_settings import ScoringSettings
from sparknlp_tx.serving.payloads import Asked


def check_asked(asked: Asked, scoring: ScoringSettings) -> None:
    """Raise InputError where what is asked does not suit the model's task."""
    if asked == Asked():
        return
    labels = scoring.decision.labels
    if isinstance(scoring.decision, Regression):
        raise InputError("no params for a model of regression", "some", "Leave them out: it gives a number a row.")
    if asked.threshold is not None:
        decided(scoring.decision, asked).check()
    if asked.top_k is not None and asked.top_k > len(labels):
        raise InputError(f"top_k of at most {len(labels)}, as there are labels", "a larger one", "Change it.")


def decided(decision: DecisionRule, asked: Asked) -> DecisionRule:
    """How logits become predictions, with the threshold that a request asks for."""
    return decision if asked.threshold is None else replace(decision, threshold=asked.threshold, thresholds=None)


class Decisions:
    """The rows of a request, decided.

    Attributes:
        logits: float32 [n, num_labels]. columns: what `DecisionRule.columns` gives. plain: the same as lists of what JSON takes.
    """

    def __init__(self, logits: np.ndarray, rule: DecisionRule):
        self.logits, self.rule = logits, rule
        self.columns = rule.columns(logits)
        self.plain = plain_columns(self.columns, rule.labels)

    @property
    def predicted(self) -> list[Any]:
        """Label, labels or number a row; None for an invalid text."""
        return self.plain["prediction" if isinstance(self.rule, Regression) else "predictedLabel"]

    @property
    def confidence(self) -> np.ndarray | None:
        """The largest probability, float64 [n], NaN for an invalid text; None for regression."""
        return None if isinstance(self.rule, Regression) else self.columns["probability"].max(axis=1)


def invocation(rows: Decisions, scoring: ScoringSettings, asked: Asked, skip: Sequence[bool]) -> str:
    """The answer of `/invocations`: `{"predictions": [{...}, ...]}`, a record a row.

    Args:
        skip: which rows are left out: those of invalid texts with `handleInvalid="skip"`; empty: none.
    """
    columns = rows.plain
    if asked.top_k is not None:
        records = _top(columns, rows.rule.labels, asked.top_k)
    else:
        named = {name: columns[field] for field, name in scoring.columns.items() if _wanted(field, asked.returned)}
        records = [dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True)]
    if any(skip):
        records = [record for record, left_out in zip(records, skip, strict=True) if not left_out]
    return json.dumps({"predictions": records})


def _wanted(field: str, returned: str) -> bool:
    kinds = {"labels": ("predictedLabel",), "probabilities": ("probability",)}
    return returned == "all" or field in kinds[returned]


def _top(columns: dict[str, list], labels: Sequence[str], top_k: int) -> list[dict[str, Any]]:
    records = []
    for label, probabilities in zip(columns["predictedLabel"], columns["probability"], strict=True):
        order = [] if probabilities is None else np.argsort(-np.asarray(probabilities), kind="stable")[:top_k].tolist()
        top = [{"label": labels[place], "score": probabilities[place]} for place in order]
        records.append({"predictedLabel": label, "top": top})
    return records


def predict(rows: Decisions, alone: bool, raw_scores: bool) -> str:
    """The answer of `/predict`: for each text its labels with their scores, the highest first; no list of one for a text alone."""
    plain = raw_scores or isinstance(rows.rule, Regression)
    scores = rows.logits.astype(np.float64) if plain else rows.columns["probability"]
    labels = rows.rule.labels or ["LABEL_0"]
    answered = [
        [
            {"score": None if score != score else score, "label": label}  # NaN, of an invalid text, is no JSON
            for score, label in sorted(zip(row, labels, strict=True), key=lambda each: -each[0])
        ]
        for row in scores.tolist()
    ]
    return json.dumps(answered[0] if alone else answered)
