"""Make a candidate the champion if it passes the gate: one write moves the alias, a Delta table logs it, `rollback` undoes it.

  sparknlp-tx promote --candidate models:/tickets/7 --model tickets --on main.support.tickets_test
  sparknlp-tx promote --candidate runs:/RUN/model --model main.support.tickets --on main.support.tickets_test --gates gates.yml

Of two promotions at once one wins, and the other says so. One that is killed leaves the alias on one version; the next promotion or
rollback says what it had done, and ends it. --log-table is the log and the lock; default the table that the model had before, beside
the model in Unity Catalog, else beside --on. Exit code 3: a gate failed; nothing was moved.
"""

import argparse
from typing import Any

from pyspark.sql import SparkSession

from sparknlp_tx.cli.commands.common import Explained
from sparknlp_tx.cli.commands.gate import add_gate_flags, gate_options, say_gates
from sparknlp_tx.cli.flags import make_parser
from sparknlp_tx.progress import say


def parser() -> argparse.ArgumentParser:
    """Flags of `promote`: its own and those of the gate."""
    parser = make_parser("promote", __doc__)
    parser.add_argument("--candidate", required=True, metavar="URI", help="models:/NAME/VERSION, or a logged model to register")
    parser.add_argument("--model", required=True, metavar="NAME", help="registered model whose champion it is to be")
    add_gate_flags(parser)
    parser.add_argument("--log-table", metavar="TABLE", help="Delta table of promotions, by name or folder")
    return parser


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Call `plan_promote` and `run_promote` with the flags' values."""
    from sparknlp_tx.lifecycle.promotion.promote import plan_promote, run_promote

    plan = plan_promote(
        spark, candidate=options.candidate, model=options.model, log_table=options.log_table, **gate_options(options)
    )
    if options.explain:
        return Explained("promote", plan.as_dict()).as_dict()
    result = run_promote(plan)
    if result.gate is not None:
        say_gates(result.gate)
    if result.moved is not None:
        say(f"version {result.moved.version} of {options.model} is the champion")
    return {"job": "promote", **result.as_dict()}
