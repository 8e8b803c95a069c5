"""The page of a gate run: the verdict, every gate, the worst labels and slices, the texts on which the two models disagree most."""

from datetime import datetime, timezone
from typing import Any

from sparknlp_tx.lifecycle.gating.outcome import CANDIDATE, CHAMPION, Evidence, GateOutcome, GateResult
from sparknlp_tx.lifecycle.report import Report, Section

WORST = 10  # labels and slices that are shown


def gate_report(result: GateResult, evidence: Evidence) -> Report:
    """The page of a gate run."""
    failed, skipped = (sum(each.passed is kind for each in result.gates) for kind in (False, None))
    verdict = (
        "The candidate may go live: no gate failed."
        if result.passed
        else f"Refused: {failed} of {len(result.gates)} gates failed."
    )
    facts = {
        "Candidate": result.candidate,
        "Champion": result.champion or "none yet",
        "Table": result.table,
        "Rows": f"{result.rows:,}",
        "Gates": f"{len(result.gates) - failed - skipped} passed, {failed} failed, {skipped} not judged",
        "Time": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
    }
    if evidence.scores.without_text or evidence.scores.without_label:
        facts["Left out"] = (
            f"{evidence.scores.without_text:,} rows without a text, {evidence.scores.without_label:,} without a label"
        )
    order = sorted(result.gates, key=lambda each: {False: 0, True: 1, None: 2}[each.passed])
    sections: list[Section | None] = [
        Section("Gates", "", ("Gate", "Outcome", "Why"), [(each.gate, each.passed, each.reason) for each in order])
    ]
    by_name = {each.gate: each for each in result.gates}
    sections += [
        _groups(by_name[name], title) for name, title in (("classes", "Labels"), ("slices", "Slices")) if name in by_name
    ]
    sections.append(_disagreements(evidence))
    return Report("Gate", verdict, result.passed, facts, [section for section in sections if section is not None])


def _groups(outcome: GateOutcome, title: str) -> Section | None:
    """The groups on which the candidate loses most."""
    groups = [row for row in outcome.figures.get("groups", []) if row[CANDIDATE] is not None]
    if not groups:
        return None
    gone = lambda row: row[CANDIDATE] - row[CHAMPION] if row[CHAMPION] is not None else row[CANDIDATE]  # noqa: E731
    worst = sorted(groups, key=gone)[:WORST]
    rows: list[Any] = []
    for row in worst:
        p = row["p"] if row["p"] is not None else "too few rows" if row[CHAMPION] is not None else None
        rows.append(
            (row["group"], row["rows"], row[CANDIDATE], row[CHAMPION], gone(row) if row[CHAMPION] is not None else None, p)
        )
    note = f"The {len(worst)} of {len(groups)} on which the candidate does worst beside the champion. p: corrected after Holm."
    return Section(title, note, (title[:-1], "Rows", "Candidate", "Champion", "Difference", "p"), rows)


def _disagreements(evidence: Evidence) -> Section | None:
    if evidence.champion is None:
        return None
    title = "Where the two disagree most"
    shown = evidence.scores.disagreements
    if not shown:
        return Section(title, "They say the same of every row.")
    rows = [(row["text"], row["truth"], row[CANDIDATE], row[CHAMPION]) for row in shown]
    return Section(title, "At most one row of each kind of difference.", ("Text", "Truth", "Candidate", "Champion"), rows)
