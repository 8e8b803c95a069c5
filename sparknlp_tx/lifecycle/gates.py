"""Every gate that is not left out, decided from what was measured once."""

from collections.abc import Callable
from typing import Any

from sparknlp_tx.lifecycle import artifact_gates, quality_gates
from sparknlp_tx.lifecycle.gate_outcome import Evidence, GateOutcome
from sparknlp_tx.lifecycle.gate_settings import GateSettings
from sparknlp_tx.metrics.compute import BEST


def decide(settings: GateSettings, evidence: Evidence) -> list[GateOutcome]:
    """The outcome of every gate that is not left out, in the order of the settings."""
    judges: dict[str, Callable[[Any, Evidence], GateOutcome]] = {
        "metric": quality_gates.metric,
        "classes": quality_gates.classes,
        "slices": quality_gates.slices,
        "calibration": quality_gates.calibration,
        "throughput": artifact_gates.throughput,
        "size": artifact_gates.size,
        "agreement": quality_gates.agreement,
        "signature": artifact_gates.signature,
        "files": artifact_gates.files,
        "licence": artifact_gates.licence,
        "leakage": artifact_gates.leakage,
        "behaviour": artifact_gates.behaviour,
    }
    gates = ((name, getattr(settings, name)) for name in judges)
    return [judges[name](gate, evidence) for name, gate in gates if gate is not None]


def metric_name(settings: GateSettings, problem_type: str) -> str:
    """The metric that the first gate compares."""
    name = settings.metric.name if settings.metric else "auto"
    return BEST[problem_type] if name == "auto" else name
