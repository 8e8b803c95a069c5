"""Serve a registered version on an endpoint of Databricks Model Serving: built, smoke tested, given 10 %, then all of the traffic.

  sparknlp-tx deploy --model models:/main.support.tickets@champion --endpoint tickets
  sparknlp-tx deploy --model models:/main.support.tickets/7 --endpoint tickets --smoke rows.jsonl --workload-size Medium

The new version is built beside the one that serves and gets no traffic before it has answered the smoke rows: those of --smoke, else the
input example that was logged with it. Where it does not answer, the version before it serves again, and the exit code is 1; so it is for
a failed build, which changes nothing. Exit code 2: an update in progress, or other input that was refused; nothing was changed. A run
that was killed is gone on with by the next. DATABRICKS_HOST and DATABRICKS_TOKEN, or any other login of Databricks, name the workspace.
"""

import argparse
from dataclasses import asdict
from typing import Any

from sparknlp_tx.cli.commands.common import Explained
from sparknlp_tx.cli.flags import make_parser
from sparknlp_tx.progress import say

NEEDS_SPARK = False


def parser() -> argparse.ArgumentParser:
    """Flags of `deploy`."""
    parser = make_parser("deploy", __doc__)
    add = parser.add_argument
    add("--model", required=True, metavar="URI", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    add("--endpoint", required=True, metavar="NAME", help="made where there is none of that name")
    served = "; default that of the version that serves, else"
    add("--workload-size", metavar="SIZE", help=f"Small, Medium or Large{served} Small")
    add("--workload-type", metavar="TYPE", help=f"CPU, GPU_SMALL, ...{served} CPU")
    scale = f"stop it while nobody asks{served} not"
    add("--scale-to-zero", action=argparse.BooleanOptionalAction, default=None, help=scale)
    add("--smoke", metavar="FILE", help="rows to test it with: CSV, or JSON lines; default the logged input example")
    add("--canary-percent", type=int, default=10, metavar="N", help="share of the traffic before it gets all; default 10")
    add("--timeout-minutes", type=float, default=60, metavar="N", help="for all of it; default 60")
    return parser


def run(spark: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Call `plan_deploy` and `run_deploy` with the flags' values; no session is needed."""
    from sparknlp_tx.serving.deployment.deploy import plan_deploy, run_deploy
    from sparknlp_tx.tracking.runs import check_tracking

    check_tracking(None)
    names = (
        "model",
        "endpoint",
        "workload_size",
        "workload_type",
        "scale_to_zero",
        "smoke",
        "canary_percent",
        "timeout_minutes",
    )
    plan = plan_deploy(**{name: getattr(options, name) for name in names})
    if options.explain:
        return Explained("deploy", plan.as_dict()).as_dict()
    done = run_deploy(plan)
    say(f"{done.endpoint} serves version {done.version} of {done.model}, as {done.served_entity}")
    return {"job": "deploy", **asdict(done)}
