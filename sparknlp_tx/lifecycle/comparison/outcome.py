"""What a comparison found."""

from dataclasses import asdict, dataclass, field
from typing import Any

from sparknlp_tx.metrics.paired import Interval


@dataclass
class Row:
    """A model in the comparison.

    Attributes:
        metrics: with their intervals. size_mb: of its files. training_minutes: None where its run does not tell.
        rates: rows a second on this machine by precision; None for one that the model has not.
        seconds_per_1000_rows, cost_of_a_million: at the first precision; no cost without a price.
        on_front: whether no other model is at least as good and as fast.
    """

    name: str
    uri: str
    metrics: dict[str, Interval]
    size_mb: float
    training_minutes: float | None
    rates: dict[str, float | None]
    seconds_per_1000_rows: float
    cost_of_a_million: float | None
    on_front: bool = False


@dataclass
class CompareResult:
    """What a comparison found.

    Attributes:
        table, rows, processor: what was measured on.
        models: the best first. differences: of each pair, the metric's difference, its interval, `p` corrected after Holm, and
            whether they differ beyond chance.
        report: the page as an artifact, or the file asked for. run: as in every command's result.
    """

    table: str
    rows: int
    processor: str
    metric: str
    models: list[Row]
    differences: list[dict[str, Any]]
    report: str | None = None
    run: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {name: value for name, value in asdict(self).items() if name != "run"} | self.run
