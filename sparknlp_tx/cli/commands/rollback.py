"""Make the champion before the present one the champion again, at once: nothing is scored.

  sparknlp-tx rollback --model tickets

The version to go back to stands in the present champion's own tag, which its promotion has set. The move is logged as a promotion is.
Exit code 2: there is no champion before it, or a promotion is at work; nothing was changed.
"""

import argparse
from dataclasses import asdict
from typing import Any

from pyspark.sql import SparkSession

from sparknlp_tx.cli.commands.common import Explained
from sparknlp_tx.cli.flags import make_parser
from sparknlp_tx.progress import say


def parser() -> argparse.ArgumentParser:
    """Flags of `rollback`."""
    parser = make_parser("rollback", __doc__)
    parser.add_argument("--model", required=True, metavar="NAME", help="registered model")
    parser.add_argument("--log-table", metavar="TABLE", help="Delta table of promotions; default the one that the model has")
    return parser


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Call `roll_back` with the flags' values."""
    from sparknlp_tx.lifecycle.promotion.champion import plan_rollback, roll_back
    from sparknlp_tx.tracking.runs import check_tracking

    check_tracking(None, options.model)
    if options.explain:
        _, now, target = plan_rollback(spark, options.model, options.log_table)
        found = {"model": options.model, "champion": now.number, "goes_back_to": target.number}
        return Explained("rollback", found).as_dict()
    moved = roll_back(spark, options.model, options.log_table)
    say(f"version {moved.version} of {options.model} is the champion again, in place of version {moved.previous}")
    return {"job": "rollback", **asdict(moved)}
