"""What gates rest on, and what they decide."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparknlp_tx.lifecycle.gating.behaviour import BehaviourTest
    from sparknlp_tx.lifecycle.paired_scoring import PairedScores
    from sparknlp_tx.ml.model import TransformerClassificationModel

CANDIDATE, CHAMPION = "candidate", "champion"
NO_CHAMPION = "There is no champion to compare with."
NAMED = 3  # groups, files, tests that a sentence names


@dataclass
class Evidence:
    """What was measured of a candidate, and of the champion where there is one.

    Attributes:
        scores: both on the same rows, as `candidate` and `champion`.
        rates: rows a second on this machine, by model; empty if they were not measured.
        leaked: test rows whose text is among the training rows; None where that is not known; `leakage` says why, or of which table.
        failed, tests: behaviour tests that the candidate fails, with what it says; how many there were.
        seed, resamples: of the bootstrap.
    """

    candidate: "TransformerClassificationModel"
    champion: "TransformerClassificationModel | None"
    scores: "PairedScores"
    rates: dict[str, float] = field(default_factory=dict)
    leaked: int | None = None
    leakage: str = ""
    failed: "list[tuple[BehaviourTest, str]]" = field(default_factory=list)
    tests: int = 0
    seed: int = 0
    resamples: int = 10_000


@dataclass(frozen=True)
class GateOutcome:
    """What a gate decided.

    Attributes:
        gate: its name in the settings.
        passed: None where it could not be judged, or there is nothing to compare with.
        reason: a sentence.
        figures: what it rests on, a JSON object.
    """

    gate: str
    passed: bool | None
    reason: str
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass
class GateResult:
    """What the gates decided.

    Attributes:
        candidate, champion, table, rows: what was compared.
        passed: whether no gate failed. refused: the reasons of those that did, a sentence each.
        gates: the outcome of each.
        report: where the page is: the run's artifact, or the file that was asked for; None where neither could be written.
        run: the MLflow run, as in every command's result.
    """

    candidate: str
    champion: str | None
    table: str
    rows: int
    passed: bool
    refused: list[str]
    gates: list[GateOutcome]
    report: str | None = None
    run: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {name: value for name, value in asdict(self).items() if name != "run"} | self.run
