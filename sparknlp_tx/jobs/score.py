"""Score a Delta table with a model: Delta table in, Delta table out.

  sparknlp-tx score --model models:/banking77@champion --input main.support.tickets --output main.support.scored
  sparknlp-tx score --model demo/model --input demo/delta/test --output demo/delta/scored --keep-cols text label
  sparknlp-tx score --model demo/model --input demo/delta/test --explain

MODEL is a model directory, runs:/RUN/model, models:/name/version or models:/name@alias. The output has the input's columns
(those of --keep-cols) and rawPrediction, probability, prediction, predictedLabel; it appears in one transaction. Params of the
model can be set for this run by flags in kebab-case. The last line of standard output is a JSON object with the results: rows,
seconds, and under "metrics" rows and tokens a second, padding, duplicates, models loaded and where the time went; with --experiment
they are logged to MLflow, too. --explain says beforehand, and writes nothing: devices, engine, memory, lengths, duration, advice.
"""

import argparse
import time
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession

from sparknlp_tx import tables
from sparknlp_tx.classification import TransformerClassificationModel
from sparknlp_tx.cli import add_param_flags, make_parser, set_params
from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.params import SCORING_PARAMS
from sparknlp_tx.progress import say, since

if TYPE_CHECKING:
    from sparknlp_tx.explain import ScoringPlan
    from sparknlp_tx.explain_training import TrainingPlan


def parser() -> argparse.ArgumentParser:
    """Flags of `score`: its own, and the Params that scoring hangs on."""
    parser = make_parser("score", __doc__)
    add_model_flags(parser, "Delta table to score")
    parser.add_argument("--output", help="Delta table to write")
    parser.add_argument("--mode", choices=("overwrite", "append"), default="overwrite")
    parser.add_argument("--keep-cols", nargs="+", metavar="COLUMN", help="input columns to keep; default all")
    parser.add_argument("--experiment", help="MLflow experiment; the run's data, Params and metrics are logged there")
    return parser


def add_model_flags(parser: argparse.ArgumentParser, input_help: str) -> None:
    """`--model`, `--input`, and the Params that scoring hangs on."""
    parser.add_argument(
        "--model", required=True, help="a model directory, runs:/..., models:/name/version or models:/name@alias"
    )
    parser.add_argument("--input", required=True, help=input_help)
    add_param_flags(parser, [param for param in TransformerClassificationModel().params if param.name in SCORING_PARAMS])


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Score a Delta table into another, or explain how that would be done."""
    from sparknlp_tx.tracking import load_model

    begin = time.monotonic()
    df = _input(spark, options)
    model = set_params(load_model(options.model), options.params)
    if options.explain:
        return explained("score", model.explain(df))
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
    if version is not None:
        result |= _log(options, model, version, metrics)
    return result | {"metrics": metrics}


def explained(job: str, plan: "ScoringPlan | TrainingPlan") -> dict[str, Any]:
    """Say a plan; a job's result that tells it."""
    say(str(plan))
    return {"job": job, "explain": plan.as_dict(), "problems": getattr(plan, "problems", [])}


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
