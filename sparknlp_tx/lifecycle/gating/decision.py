"""Every gate that is not left out, decided from what was measured once."""

from collections.abc import Callable
from typing import Any

from sparknlp_tx.lifecycle.gating import artifact, quality
from sparknlp_tx.lifecycle.gating.outcome import Evidence, GateOutcome
from sparknlp_tx.lifecycle.gating.settings import GateSettings
from sparknlp_tx.metrics.compute import BEST


def decide(settings: GateSettings, evidence: Evidence) -> list[GateOutcome]:
    """The outcome of every gate that is not left out, in the order of the settings."""
    judges: dict[str, Callable[[Any, Evidence], GateOutcome]] = {
        "metric": quality.metric,
        "classes": quality.classes,
        "slices": quality.slices,
        "calibration": quality.calibration,
        "throughput": artifact.throughput,
        "size": artifact.size,
        "agreement": quality.agreement,
        "signature": artifact.signature,
        "files": artifact.files,
        "licence": artifact.licence,
        "leakage": artifact.leakage,
        "behaviour": artifact.behaviour,
    }
    gates = ((name, getattr(settings, name)) for name in judges)
    return [judges[name](gate, evidence) for name, gate in gates if gate is not None]


def metric_name(settings: GateSettings, problem_type: str) -> str:
    """The metric that the first gate compares."""
    name = settings.metric.name if settings.metric else "auto"
    return BEST[problem_type] if name == "auto" else name
