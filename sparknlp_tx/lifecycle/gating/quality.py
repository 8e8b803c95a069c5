"""Gates on what candidate and champion say of the same rows: the metric, labels, slices, calibration, agreement."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION
from sparknlp_tx.lifecycle.gating.outcome import CANDIDATE, CHAMPION, NAMED, NO_CHAMPION, Evidence, GateOutcome
from sparknlp_tx.lifecycle.gating.settings import AgreementGate, CalibrationGate, GroupGate, MetricGate
from sparknlp_tx.metrics.compute import BEST
from sparknlp_tx.metrics.paired import LESS_IS_BETTER, Outcomes, holm, interval, metric_samples, worse_by_more

SIGNIFICANT = 0.05


def metric(gate: MetricGate, evidence: Evidence) -> GateOutcome:
    outcomes = evidence.scores.outcomes
    name = BEST[outcomes.problem_type] if gate.name == "auto" else gate.name
    values, samples = metric_samples(outcomes, name, evidence.resamples, evidence.seed)
    own = interval(values[CANDIDATE], samples[CANDIDATE])
    sign = -1 if name in LESS_IS_BETTER else 1
    figures = {"metric": name, "rows": outcomes.rows, CANDIDATE: _figures(own)}
    if gate.least is not None and sign * own.value < sign * gate.least:
        return GateOutcome("metric", False, f"{name} is {own}; asked was {gate.least:g}.", figures)
    if evidence.champion is None:
        return GateOutcome("metric", True, f"{name} is {own}; there is no champion to compare with.", figures)
    champion = interval(values[CHAMPION], samples[CHAMPION])
    differ = interval(sign * (values[CANDIDATE] - values[CHAMPION]), sign * (samples[CANDIDATE] - samples[CHAMPION]))
    figures |= {CHAMPION: _figures(champion), "difference": _figures(differ), "margin": gate.margin}
    passed = differ.low > -gate.margin
    reason = f"{name} is {own}, the champion's {champion}; better by {differ.value:+.4f} ({differ.low:+.4f} to {differ.high:+.4f}), margin {gate.margin:g}."
    if not passed and differ.value > -gate.margin:  # the rows are too few to tell
        needed = outcomes.rows * ((differ.value - differ.low) / (differ.value + gate.margin)) ** 2
        reason += f" {outcomes.rows:,} rows are too few to rule a loss out: with about {int(np.ceil(needed)):,} such rows it would pass."
    return GateOutcome("metric", passed, reason, figures)


def classes(gate: GroupGate, evidence: Evidence) -> GateOutcome:
    outcomes = evidence.scores.outcomes
    if outcomes.problem_type == REGRESSION:
        return GateOutcome("classes", None, "Regression has no labels.")
    return _groups("classes", gate, evidence, _by_label(outcomes))


def slices(gate: GroupGate, evidence: Evidence) -> GateOutcome:
    scores = evidence.scores
    if not scores.slices:
        return GateOutcome("slices", None, "No column makes slices: name one with --slice-col.")
    return _groups("slices", gate, evidence, _by_slice(evidence))


def _by_label(outcomes: Outcomes) -> Iterator[tuple[str, Outcomes, dict[str, np.ndarray]]]:
    """Each label's rows, and by model which of them have it right: its recall."""
    for index, label in enumerate(outcomes.labels):
        several = outcomes.problem_type == MULTI
        rows = outcomes.truth[:, index] if several else outcomes.truth == index
        among = outcomes.among(rows)
        yield label, among, {name: values[:, index] if several else values == index for name, values in among.predicted.items()}


def _by_slice(evidence: Evidence) -> Iterator[tuple[str, Outcomes, dict[str, np.ndarray]]]:
    """Each slice's rows, and by model which of them are right."""
    outcomes = evidence.scores.outcomes
    for column, values in evidence.scores.slices.items():
        for value in np.unique(values):
            among = outcomes.among(values == value)
            yield f"{column}={value}", among, {name: among.right(name) for name in among.predicted}


def _groups(name: str, gate: GroupGate, evidence: Evidence, groups: Iterator[Any]) -> GateOutcome:
    """Whether a group is worse by more than the bound, beyond chance; all p-values are corrected together."""
    found: list[dict[str, Any]] = []
    for group, among, right in groups:
        rows = among.rows
        row = {"group": group, "rows": rows, CANDIDATE: None, CHAMPION: None, "p": None}
        if rows:
            row |= _shares(among, right) if among.problem_type != REGRESSION else _errors(among)
        if evidence.champion is not None and rows >= gate.least_rows:
            row["p"] = _p_value(among, right, gate.bound)
        found.append(row)
    if evidence.champion is None:
        return GateOutcome(name, None, NO_CHAMPION, {"groups": found})
    judged = [row for row in found if row["p"] is not None]
    for row, p in zip(judged, holm([row["p"] for row in judged]), strict=True):
        row["p"] = float(p)
    worse = sorted((row for row in judged if row["p"] < SIGNIFICANT), key=lambda row: row["p"])
    figures = {"bound": gate.bound, "least_rows": gate.least_rows, "judged": len(judged), "groups": found}
    if not judged:
        return GateOutcome(name, None, f"No group has {gate.least_rows} rows.", figures)
    if worse:
        named = "; ".join(
            f"{row['group']} {row[CANDIDATE]:.3f}, champion {row[CHAMPION]:.3f} ({row['rows']} rows)" for row in worse[:NAMED]
        )
        return GateOutcome(
            name, False, f"{len(worse)} of {len(judged)} worse by more than {gate.bound:g}, beyond chance: {named}.", figures
        )
    few = f", {len(found) - len(judged)} have too few rows" if len(found) > len(judged) else ""
    return GateOutcome(name, True, f"None of {len(judged)} is worse by more than {gate.bound:g} beyond chance{few}.", figures)


def _shares(among: Outcomes, right: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(np.average(of, weights=among.counts)) for name, of in right.items()}


def _errors(among: Outcomes) -> dict[str, float]:
    """Root of the mean squared error, by model."""
    return {name: float(np.sqrt(np.mean((of - among.truth) ** 2))) for name, of in among.predicted.items()}


def _p_value(among: Outcomes, right: dict[str, np.ndarray], bound: float) -> float:
    """That the candidate is worse by no more than the bound: of labels by rows that one model alone has right, of numbers by squared errors."""
    if among.problem_type != REGRESSION:
        one, other, counts = right[CANDIDATE], right[CHAMPION], among.counts
        return worse_by_more(int(counts[other & ~one].sum()), int(counts[one & ~other].sum()), among.rows, bound)
    from scipy.stats import ttest_1samp

    own, others = ((among.predicted[name] - among.truth) ** 2 for name in (CANDIDATE, CHAMPION))
    excess = own - (1 + bound) ** 2 * others
    return float(ttest_1samp(excess, 0.0, alternative="greater").pvalue) if np.ptp(excess) else float(excess[0] <= 0)


def calibration(gate: CalibrationGate, evidence: Evidence) -> GateOutcome:
    errors = evidence.scores.calibration_error
    if not errors:
        return GateOutcome("calibration", None, "The calibration error is measured for one label a row only.")
    own, champion = errors[CANDIDATE], errors.get(CHAMPION)
    most = gate.most if champion is None else champion + gate.worse_by
    compared = "" if champion is None else f", the champion's {champion:.4f}"
    reason = f"The calibration error is {own:.4f}{compared}; at most {most:.4f} passes."
    return GateOutcome("calibration", own <= most, reason, errors | {"most": most})


def agreement(gate: AgreementGate, evidence: Evidence) -> GateOutcome:
    outcomes = evidence.scores.outcomes
    if evidence.champion is None or outcomes.problem_type == REGRESSION:
        why = NO_CHAMPION if evidence.champion is None else "Numbers do not agree or differ."
        return GateOutcome("agreement", None, why)
    both, champion = outcomes.right(CANDIDATE) & outcomes.right(CHAMPION), outcomes.right(CHAMPION)
    rows = int(outcomes.counts[champion].sum())
    share = float(outcomes.counts[both].sum() / rows) if rows else 1.0
    reason = f"Of {rows:,} rows that the champion has right it has {share:.2%} right as well; at least {gate.least:.0%} passes."
    return GateOutcome("agreement", share >= gate.least, reason, {"share": share, "rows": rows})


def _figures(found: Any) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}
