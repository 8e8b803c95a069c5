"""Gates on the candidate itself: speed, size, columns, files, licence, leaked texts, behaviour."""

from typing import TYPE_CHECKING, Any

from sparknlp_tx.files import directory_bytes
from sparknlp_tx.lifecycle.gating.model_files import checkpoint_licence, unsafe_files
from sparknlp_tx.lifecycle.gating.outcome import CANDIDATE, CHAMPION, NAMED, NO_CHAMPION, Evidence, GateOutcome
from sparknlp_tx.lifecycle.gating.settings import (
    BehaviourGate,
    FilesGate,
    LeakageGate,
    LicenceGate,
    SignatureGate,
    SizeGate,
    SpeedGate,
)
from sparknlp_tx.tracking import models

if TYPE_CHECKING:
    from sparknlp_tx.ml.model import TransformerClassificationModel


def throughput(gate: SpeedGate, evidence: Evidence) -> GateOutcome:
    rates = evidence.rates
    if CHAMPION not in rates:
        return GateOutcome("throughput", None, NO_CHAMPION, dict(rates))
    ratio = rates[CANDIDATE] / rates[CHAMPION]
    reason = f"It scores {ratio:.2f} times as many rows a second as the champion here ({rates[CANDIDATE]:,.0f}, {rates[CHAMPION]:,.0f}); at least {gate.least_ratio:g} passes."
    return GateOutcome("throughput", ratio >= gate.least_ratio, reason, rates | {"ratio": ratio})


def size(gate: SizeGate, evidence: Evidence) -> GateOutcome:
    own = directory_bytes(evidence.candidate.directory) / 1e6
    figures: dict[str, Any] = {CANDIDATE: own}
    if gate.most_mb is not None and own > gate.most_mb:
        return GateOutcome("size", False, f"Its files have {own:,.1f} MB; at most {gate.most_mb:,.1f} pass.", figures)
    if evidence.champion is None:
        return GateOutcome(
            "size", gate.most_mb is not None or None, f"Its files have {own:,.1f} MB; there is no champion.", figures
        )
    champion = directory_bytes(evidence.champion.directory) / 1e6
    reason = f"Its files have {own:,.1f} MB, the champion's {champion:,.1f}; up to {gate.most_ratio:g} times as many pass."
    return GateOutcome("size", own <= gate.most_ratio * champion, reason, figures | {CHAMPION: champion})


def signature(gate: SignatureGate, evidence: Evidence) -> GateOutcome:
    if evidence.champion is None:
        return GateOutcome("signature", None, NO_CHAMPION)
    own, champion = (_columns(model) for model in (evidence.candidate, evidence.champion))
    if own == champion:
        return GateOutcome("signature", True, f"It takes and gives what the champion does: {', '.join(sorted(own))}.")
    gone, new = (", ".join(sorted(part)) or "none" for part in (champion - own, own - champion))
    return GateOutcome("signature", False, f"Its columns are others than the champion's: gone {gone}; new {new}.")


def _columns(model: "TransformerClassificationModel") -> set[str]:
    """The columns that the served model takes and gives, with their types."""
    found = models.signature(model)
    taken = {str(name) for name in found.inputs.input_names() if isinstance(name, str)}
    return taken | {f"{spec.name} {spec.type}" for spec in found.outputs}


def files(gate: FilesGate, evidence: Evidence) -> GateOutcome:
    bad = unsafe_files(evidence.candidate.directory)
    if not bad:
        return GateOutcome("files", True, "Its weights are safetensors; there is no pickle, and no code from the hub.")
    more = f", and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    return GateOutcome("files", False, f"{'; '.join(bad[:NAMED])}{more}.", {"found": bad})


def licence(gate: LicenceGate, evidence: Evidence) -> GateOutcome:
    checkpoint = evidence.candidate.getCheckpoint()
    licence = checkpoint_licence(checkpoint)
    if licence is None:
        reason = f"The model card of the checkpoint {checkpoint} cannot be read, or says no licence."
        return GateOutcome("licence", False if gate.required else None, reason)
    reason = f"The checkpoint {checkpoint} has the licence {licence}; allowed are {', '.join(gate.allowed)}."
    return GateOutcome("licence", licence in {each.lower() for each in gate.allowed}, reason, {"licence": licence})


def leakage(gate: LeakageGate, evidence: Evidence) -> GateOutcome:
    if evidence.leaked is None:
        return GateOutcome("leakage", None, evidence.leakage)
    rows = evidence.scores.outcomes.rows
    share = evidence.leaked / rows
    reason = f"{evidence.leaked:,} of {rows:,} test rows have a text of the training table {evidence.leakage}; at most {gate.most:.2%} passes."
    return GateOutcome("leakage", share <= gate.most, reason, {"rows": evidence.leaked, "share": share})


def behaviour(gate: BehaviourGate, evidence: Evidence) -> GateOutcome:
    if not evidence.tests:
        return GateOutcome("behaviour", None, "No behaviour tests are named.")
    share = 1 - len(evidence.failed) / evidence.tests
    failed = "; ".join(f"{test}, but it says {said}" for test, said in evidence.failed[:NAMED])
    reason = f"It passes {evidence.tests - len(evidence.failed)} of {evidence.tests} behaviour tests{': ' if failed else ''}{failed}."
    figures = {"share": share, "failed": [[str(test), said] for test, said in evidence.failed]}
    return GateOutcome("behaviour", share >= gate.least, reason, figures)
