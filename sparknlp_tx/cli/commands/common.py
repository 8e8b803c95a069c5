"""What several commands share: results, flags of a model, plans."""

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from sparknlp_tx.cli.flags import add_param_flags
from sparknlp_tx.progress import say

if TYPE_CHECKING:
    from sparknlp_tx.ml.scoring_plan import ScoringPlan
    from sparknlp_tx.ml.training_plan import TrainingPlan


log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class CommandResult:
    """What a command did.

    Attributes:
        run: the MLflow run: `run_id`, `experiment_id`, and `not_logged`, what MLflow did not take; empty if nothing was logged.
    """

    command: ClassVar[str]
    run: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """A JSON object: the command's name as `job`, its results, and the MLflow run's ids among them."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "run"}
        return {"job": self.command, **own, **self.run}


@dataclass
class Explained:
    """What a command would do, which was not done.

    Attributes:
        explain: a JSON object.
        problems: why it would fail, a sentence each; empty if it would not.
    """

    command: str
    explain: dict[str, Any]
    problems: list[str] = field(default_factory=list)

    @classmethod
    def plan(cls, command: str, plan: "ScoringPlan | TrainingPlan") -> "Explained":
        """A plan, printed on standard error as well."""
        say(str(plan))
        return cls(command, plan.as_dict(), list(getattr(plan, "problems", [])))

    def as_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"job": self.command, "explain": self.explain, "problems": self.problems}


def draw(what: Callable[..., Any], *args: Any) -> None:
    """Draw pictures: `what(*args)`. Pictures never fail a command: what cannot be drawn is a warning."""
    try:
        what(*args)
    except Exception as error:  # matplotlib's, or the disk's
        log.warning("Not all pictures could be drawn: %s", error)


def add_model_flags(parser: argparse.ArgumentParser, input_help: str) -> None:
    """`--model`, `--input`, and the Params that change scoring."""
    from sparknlp_tx.ml.model import TransformerClassificationModel
    from sparknlp_tx.ml.params import SCORING_PARAMS

    parser.add_argument(
        "--model", required=True, help="a model directory, runs:/..., models:/name/version or models:/name@alias"
    )
    parser.add_argument("--input", required=True, help=input_help)
    add_param_flags(parser, [param for param in TransformerClassificationModel().params if param.name in SCORING_PARAMS])
