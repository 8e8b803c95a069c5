"""What several commands share."""

import argparse
from typing import TYPE_CHECKING, Any

from sparknlp_tx.cli.flags import add_param_flags
from sparknlp_tx.ml.model import TransformerClassificationModel
from sparknlp_tx.ml.params import SCORING_PARAMS
from sparknlp_tx.progress import say

if TYPE_CHECKING:
    from sparknlp_tx.ml.scoring_plan import ScoringPlan
    from sparknlp_tx.ml.training_plan import TrainingPlan


def add_model_flags(parser: argparse.ArgumentParser, input_help: str) -> None:
    """`--model`, `--input`, and the Params that scoring hangs on."""
    parser.add_argument(
        "--model", required=True, help="a model directory, runs:/..., models:/name/version or models:/name@alias"
    )
    parser.add_argument("--input", required=True, help=input_help)
    add_param_flags(parser, [param for param in TransformerClassificationModel().params if param.name in SCORING_PARAMS])


def explained(job: str, plan: "ScoringPlan | TrainingPlan") -> dict[str, Any]:
    """Say a plan; a job's result that tells it."""
    say(str(plan))
    return {"job": job, "explain": plan.as_dict(), "problems": getattr(plan, "problems", [])}
