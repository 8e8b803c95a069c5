"""Score: a Delta table and a model to a Delta table of scores."""

import argparse
import time
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from sparknlp_tx import tables
from sparknlp_tx.classification import TransformerClassificationModel
from sparknlp_tx.cli import add_param_flags, make_parser, set_params
from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.params import SCORING_PARAMS
from sparknlp_tx.progress import say, since


def score_parser(description: str) -> argparse.ArgumentParser:
    """Flags of `score`: its own, and the Params that scoring hangs on."""
    parser = make_parser("score.py", description)
    add_model_flags(parser, "Delta table to score")
    parser.add_argument("--output", help="Delta table to write")
    parser.add_argument("--mode", choices=("overwrite", "append"), default="overwrite")
    parser.add_argument("--keep-cols", nargs="+", metavar="COLUMN", help="input columns to keep; default all")
    parser.add_argument("--experiment", help="MLflow experiment; the run's data, Params and metrics are logged there")
    parser.add_argument("--explain", action="store_true", help="say how it would run and how long it would take; write nothing")
    return parser


def add_model_flags(parser: argparse.ArgumentParser, input_help: str) -> None:
    """`--model`, `--input`, and the Params that scoring hangs on."""
    parser.add_argument(
        "--model", required=True, help="a model directory, runs:/..., models:/name/version or models:/name@alias"
    )
    parser.add_argument("--input", required=True, help=input_help)
    add_param_flags(parser, [param for param in TransformerClassificationModel().params if param.name in SCORING_PARAMS])


def score(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Score a Delta table into another, or explain how that would be done."""
    from sparknlp_tx.tracking import load_model

    begin = time.monotonic()
    df = _input(spark, options)
    model = set_params(load_model(options.model), options.params)
    if options.explain:
        plan = model.explain(df)
        say(str(plan))
        return {"job": "score", "explain": plan.as_dict()}
    model.check_executors(spark)
    version = tables.latest_version(spark, options.input) if options.experiment else None
    scored, observation = model.observe(df)
    kept = options.keep_cols or df.columns
    tables.write_table(scored.select(*kept, *scored.columns[len(df.columns) :]), options.output, options.mode)
    metrics = observation.metrics
    written, rows = tables.last_write(spark, options.output)
    seconds = since(begin)
    say(
        f"scored {rows:,} rows in {seconds} s, {rows / max(seconds, 1e-9):,.0f} rows/s, to {options.output} (version {written})"
    )
    result = {"job": "score", "output": options.output, "version": written, "rows": rows, "seconds": seconds}
    if options.experiment:
        result |= _log(options, model, version, metrics)
    return result | {"metrics": metrics}


def _input(spark: SparkSession, options: argparse.Namespace) -> DataFrame:
    """The table to score.

    Raises:
        InputError: there is none, a column to keep is not in it, or there is no place for the output.
    """
    if not options.output and not options.explain:
        raise InputError("--output TABLE, or --explain", "neither", "Name the table to write.")
    if options.output and tables.sql_name(options.input) == tables.sql_name(options.output):
        raise InputError("an output other than the input", options.output, "Name another table.")
    df = tables.read_table(spark, options.input)
    for name in options.keep_cols or []:
        if name not in df.columns:
            raise InputError(f"column {name!r} (--keep-cols)", f"columns {', '.join(df.columns)}", nearest(name, df.columns))
    return df


def _log(
    options: argparse.Namespace, model: TransformerClassificationModel, version: int, metrics: dict[str, float]
) -> dict[str, str]:
    """Log a finished run to MLflow."""
    import mlflow

    from sparknlp_tx import tracking

    mlflow.set_experiment(options.experiment)
    with mlflow.start_run() as run:
        tracking.log_scoring(model, options.model, metrics)
        tracking.log_data(options.input, version, "scoring")
        mlflow.set_tag("output", options.output)
    return {"run_id": run.info.run_id, "experiment_id": run.info.experiment_id}
