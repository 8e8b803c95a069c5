"""Decide whether a candidate may replace the champion: both scored once on the same rows, every gate a sentence.

  sparknlp-tx gate --candidate models:/tickets/7 --model tickets --on main.support.tickets_test --slice-col language
  sparknlp-tx gate --candidate runs:/RUN/model --champion ./model --on data/test --gates gates.yml --report gate.html

The champion is the version of --model that has the alias `champion`, or --champion; without one the gates that compare are not judged.
Every gate has a default; --gates FILE.yml changes bounds (`metric: {margin: 0.01}`) or leaves gates out (`size: false`); see
docs/lifecycle.md. The last line of standard output is a JSON object with each gate's outcome. Exit code 3: a gate failed.
"""

import argparse
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from sparknlp_tx.cli.commands.common import Explained
from sparknlp_tx.cli.flags import make_parser
from sparknlp_tx.progress import say

if TYPE_CHECKING:
    from sparknlp_tx.lifecycle.gating.outcome import GateResult


def parser() -> argparse.ArgumentParser:
    """Flags of `gate`."""
    parser = make_parser("gate", __doc__)
    parser.add_argument("--candidate", required=True, help="a model directory or an MLflow URI")
    champion = parser.add_mutually_exclusive_group()
    champion.add_argument("--model", metavar="NAME", help="registered model, whose alias champion is the one to compare with")
    champion.add_argument("--champion", metavar="MODEL", help="a model directory or an MLflow URI to compare with")
    add_gate_flags(parser)
    return parser


def add_gate_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that `gate` and `promote` share."""
    parser.add_argument("--on", required=True, metavar="TABLE", help="labelled Delta table; one version of it is read")
    parser.add_argument("--gates", metavar="FILE.yml", help="gates and their bounds; default all gates with their defaults")
    parser.add_argument("--slice-col", nargs="+", default=[], metavar="COLUMN", help="columns whose values make slices")
    parser.add_argument("--label-col", help="column of the true labels; default the candidate's")
    parser.add_argument("--train", metavar="TABLE", help="the candidate's training table; default what its MLflow run says")
    parser.add_argument("--experiment", help="MLflow experiment")
    parser.add_argument("--report", metavar="FILE", help="write the page there as well; it is logged to MLflow anyhow")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")


def gate_options(options: argparse.Namespace) -> dict[str, Any]:
    """The values of the flags that `gate` and `promote` share, as `plan_gate` takes them."""
    names = ("on", "gates", "label_col", "train", "experiment", "report", "seed")
    return {name: getattr(options, name) for name in names} | {"slice_cols": options.slice_col}


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Call `plan_gate` and `run_gate` with the flags' values."""
    from sparknlp_tx.lifecycle.gating.gate import plan_gate, run_gate

    plan = plan_gate(
        spark, candidate=options.candidate, model=options.model, champion=options.champion, **gate_options(options)
    )
    if options.explain:
        return Explained("gate", plan.as_dict()).as_dict()
    result = run_gate(plan)
    say_gates(result)
    return {"job": "gate", **result.as_dict()}


def say_gates(result: "GateResult") -> None:
    """A line for each gate, on standard error."""
    words = {True: "passed", False: "FAILED", None: "skipped"}
    for each in result.gates:
        say(f"{words[each.passed]:<8} {each.gate:<12} {each.reason}")
