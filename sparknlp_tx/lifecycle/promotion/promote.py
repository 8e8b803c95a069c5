"""Promote: the gate, and then the move of the alias, if no gate fails."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError
from sparknlp_tx.lifecycle.gating.gate import GatePlan, plan_gate, run_gate
from sparknlp_tx.lifecycle.gating.outcome import GateResult
from sparknlp_tx.lifecycle.promotion.champion import CHAMPION, PREVIOUS_TAG, Moved, move, open_log, settle
from sparknlp_tx.lifecycle.promotion.log import PromotionLog
from sparknlp_tx.progress import say
from sparknlp_tx.tracking import registry
from sparknlp_tx.tracking.registry import Version

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass
class PromotePlan:
    """A promotion that was checked: nothing was scored or moved yet.

    Attributes:
        model: the registered model. version: of it, the candidate; None for a logged model that is to be registered first.
        champion: the version that is the champion now; None for none.
        gate: None where the candidate is the champion already.
        log: of promotions.
    """

    model: str
    candidate: str
    version: Version | None
    champion: Version | None
    gate: GatePlan | None
    log: PromotionLog

    def as_dict(self) -> dict[str, Any]:
        """What would be done, as a JSON object."""
        return {
            "model": self.model,
            "candidate": self.candidate,
            "registers": self.version is None,
            "champion": self.champion.number if self.champion else None,
            "log_table": self.log.name.text,
            "gate": self.gate.as_dict() if self.gate else None,
        }


@dataclass
class PromoteResult:
    """What `promote` did.

    Attributes:
        moved: which version is the champion now; None where a gate failed.
        gate: what the gates decided; None where the candidate was the champion already.
    """

    model: str
    moved: Moved | None
    gate: GateResult | None

    def as_dict(self) -> dict[str, Any]:
        """A JSON object; `refused` has the reasons where a gate failed."""
        gate = self.gate.as_dict() if self.gate else {"refused": []}
        moved = asdict(self.moved) if self.moved else {"model": self.model, "version": None}
        return gate | moved | {"promoted": bool(self.moved and self.moved.promotion_id)}


def promote(spark: "SparkSession", *, candidate: str, model: str, on: str, **options: Any) -> PromoteResult:
    """Gate a candidate and make it the champion: `plan_promote`, then `run_promote`; see there."""
    return run_promote(plan_promote(spark, candidate=candidate, model=model, on=on, **options))


def plan_promote(
    spark: "SparkSession", *, candidate: str, model: str, on: str, log_table: str | None = None, **gate_options: Any
) -> PromotePlan:
    """Check all that can be known; nothing is written.

    Args:
        candidate: a version of the registered model (`models:/NAME/3`, `models:/NAME@alias`), or a logged model or a version of another
            name, which is registered under this one once it has passed.
        model: the registered model's name.
        on: the labelled table for the gates.
        log_table: Delta table of the log; default the model's own, see `open_log`.
        gate_options: further arguments of `plan_gate`.

    Raises:
        InputError: something is not there or cannot be compared, the candidate is a folder, or a promotion is at work.
    """
    if not candidate.startswith(("models:/", "runs:/")):
        remedy = "Log it (sparknlp_tx.log_model, or train --registered-model), and give models:/NAME/VERSION."
        raise InputError("a logged model or a registered version to promote", f"a folder, {candidate}", remedy)
    version = registry.version_of(candidate)
    if version is not None and version.name != model:
        version = None
    log = open_log(spark, model, log_table, beside=on)
    there = registry.is_registered(model)
    log.unfinished()  # an error where one is at work
    champion = registry.aliased(model, CHAMPION) if there else None
    if version is not None and champion is not None and version.number == champion.number:
        return PromotePlan(model, candidate, version, champion, None, log)
    gate = plan_gate(spark, candidate=candidate, on=on, model=model if there else None, **gate_options)
    return PromotePlan(model, candidate, version, champion, gate, log)


def run_promote(plan: PromotePlan) -> PromoteResult:
    """End what a killed promotion has left, run the gate, and where it is passed move the alias, in the steps of `promotion`.

    Raises:
        JobError: another promotion was first, or the registry failed; says what stands.
    """
    notes = settle(plan.log)
    if plan.gate is None:
        assert plan.version is not None  # it is the champion
        say(f"version {plan.version.number} of {plan.model} is the champion already")
        previous = plan.version.tags.get(PREVIOUS_TAG) or None
        moved = Moved(plan.model, plan.version.number, previous, None, plan.log.name.text, notes)
        return PromoteResult(plan.model, moved, None)
    result = run_gate(plan.gate)
    expected = plan.champion.number if plan.champion else None
    if not result.passed:
        named = plan.version.number if plan.version else plan.candidate
        plan.log.add("promote", "refused", expected, named, result.report, " ".join(result.refused))
        return PromoteResult(plan.model, None, result)
    target = plan.version or registry.register(plan.candidate, plan.model)
    tags = {"gate_report": result.report or "", "gate_data": result.table, PREVIOUS_TAG: expected or ""}
    entry = move(plan.log, "promote", plan.champion, target, tags, result.report)
    if plan.champion is None:
        say(f"{plan.model} had no champion: version {target.number} is the first")
    return PromoteResult(
        plan.model, Moved(plan.model, target.number, expected, entry.promotion_id, plan.log.name.text, notes), result
    )
