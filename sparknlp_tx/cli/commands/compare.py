"""Compare models on the same rows: quality with its intervals, speed on this machine, size, cost; a table, a picture, a page.

  sparknlp-tx compare --experiment tickets --on data/test --report compare.html
  sparknlp-tx compare --models models:/tickets/1 models:/tickets/2 ./my-model --on data/test --price-per-hour 0.40 --csv models.csv
  sparknlp-tx compare --experiment tickets --hardware

The models are those that the runs of --experiment have logged (--runs takes some of them), or --models. Speed is measured now, in turn, in
this process, on texts of the table. Two models differ beyond chance where the paired bootstrap says so, after Holm's correction. --hardware
compares trainings instead: seconds an epoch on each kind of machine, from the runs. The last line of standard output is a JSON object.
"""

import argparse
from dataclasses import asdict
from typing import Any

from pyspark.sql import SparkSession

from sparknlp_tx.cli.commands.common import Explained
from sparknlp_tx.cli.flags import make_parser
from sparknlp_tx.errors import InputError
from sparknlp_tx.progress import say


def parser() -> argparse.ArgumentParser:
    """Flags of `compare`."""
    parser = make_parser("compare", __doc__)
    parser.add_argument("--experiment", help="MLflow experiment: its models are compared, and the results are logged to it")
    parser.add_argument("--runs", nargs="+", default=[], metavar="RUN", help="runs of the experiment; default all with a model")
    parser.add_argument("--models", nargs="+", default=[], metavar="MODEL", help="model directories or MLflow URIs")
    parser.add_argument("--on", metavar="TABLE", help="labelled table; default the test table that all runs have logged")
    parser.add_argument("--metric", help="quality of the picture; default accuracy, micro_f1 or pearson")
    parser.add_argument("--label-col", help="column of the true labels; default the first model's")
    parser.add_argument(
        "--precisions", nargs="+", default=["auto"], metavar="P", help="auto, float32, bfloat16, int8; default auto"
    )
    parser.add_argument("--price-per-hour", type=float, metavar="P", help="of this machine: says what a million rows cost")
    parser.add_argument("--report", metavar="FILE", help="write the page there as well")
    parser.add_argument("--csv", metavar="FILE", help="write a line for each model")
    parser.add_argument("--hardware", action="store_true", help="compare trainings on different machines instead")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    return parser


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Call `plan_compare` and `run_compare`, or `compare_hardware`, with the flags' values."""
    from sparknlp_tx.lifecycle.comparison.compare import plan_compare, run_compare
    from sparknlp_tx.lifecycle.comparison.page import text_table

    if options.hardware:
        return _hardware(options)
    names = (
        "experiment",
        "runs",
        "models",
        "on",
        "metric",
        "label_col",
        "precisions",
        "price_per_hour",
        "report",
        "csv",
        "seed",
    )
    plan = plan_compare(spark, **{name: getattr(options, name) for name in names})
    if options.explain:
        return Explained("compare", plan.as_dict()).as_dict()
    result = run_compare(plan)
    say(text_table(result))
    return {"job": "compare", **result.as_dict()}


def _hardware(options: argparse.Namespace) -> dict[str, Any]:
    from sparknlp_tx.lifecycle.comparison.hardware import compare_hardware
    from sparknlp_tx.lifecycle.comparison.page import write_lines
    from sparknlp_tx.tracking.runs import check_tracking

    if options.experiment is None:
        raise InputError("an experiment whose trainings are compared (--experiment)", "none", "Name it.")
    check_tracking(options.experiment)
    rows = [asdict(row) for row in compare_hardware(options.experiment, options.runs)]
    if options.explain:
        return Explained("compare", {"experiment": options.experiment, "kinds": len(rows)}).as_dict()
    if options.csv:
        write_lines(rows, options.csv)
    for row in rows:
        say("  ".join(f"{name} {value:,.4g}" if isinstance(value, float) else f"{value}" for name, value in row.items()))
    return {"job": "compare", "hardware": rows}
