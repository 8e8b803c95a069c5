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
from pyspark.sql import functions as F

from sparknlp_tx.cli.commands.common import add_model_flags, explained
from sparknlp_tx.cli.flags import make_parser, set_params
from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.ml.model import TransformerClassificationModel
from sparknlp_tx.progress import say, since
from sparknlp_tx.spark import tables
from sparknlp_tx.spark.outputs import Output

if TYPE_CHECKING:
    from sparknlp_tx.tracking.runs import Tracking


def parser() -> argparse.ArgumentParser:
    """Flags of `score`: its own, and the Params that scoring hangs on."""
    parser = make_parser("score", __doc__)
    add_model_flags(parser, "Delta table to score")
    parser.add_argument("--output", help="Delta table to write")
    parser.add_argument("--mode", choices=("overwrite", "append"), default="overwrite")
    parser.add_argument("--keep-cols", nargs="+", metavar="COLUMN", help="input columns to keep; default all")
    parser.add_argument("--experiment", help="MLflow experiment; the run's data, Params and metrics are logged there")
    return parser


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Score a Delta table into another, or explain how that would be done.

    Raises:
        InputError: the input, the output or the model is refused; nothing was touched.
        JobError: scoring or writing has failed; the output is as it was.
    """
    from sparknlp_tx.tracking.models import load_model
    from sparknlp_tx.tracking.runs import check_tracking

    begin = time.monotonic()
    if not options.output and not options.explain:
        raise InputError("--output TABLE, or --explain", "neither", "Name the table to write.")
    read = tables.open_table(spark, options.input)
    kept = _kept(read.df, options.keep_cols)
    output = Output(spark, options.output, options.mode) if options.output else None
    if output is not None:
        output.check_apart(read)
    model = set_params(load_model(options.model), options.params)
    scored, observation = model.observe(read.df)
    scores = scored.columns[len(read.df.columns) :]
    rows = scored.select(*(F.col(tables.quoted(name)) for name in [*kept, *scores]))
    rows = _without_labels(rows, scores)
    if output is not None:
        output.check_columns(rows.schema)
    tracking = check_tracking(options.experiment) if options.experiment is not None else None
    if options.explain or output is None:
        return explained("score", model.explain(read.df))
    model.check_executors(spark)
    output.check_constraints(read.df)
    output.create(rows.schema)
    output.write(rows)
    metrics = observation.metrics
    result = _result(options, output, metrics, begin)
    return result | (_log(tracking, options, model, read, metrics) if tracking else {}) | {"metrics": metrics}


def _result(options: argparse.Namespace, output: Output, metrics: dict[str, float], begin: float) -> dict[str, Any]:
    """What was done; nothing in it can make a job fail whose table is written."""
    version, rows = output.written()
    rows = int(metrics["rows"]) if rows is None and metrics else rows
    seconds = since(begin)
    amount = "the rows" if rows is None else f"{rows:,} rows in {seconds} s, {rows / max(seconds, 1e-9):,.0f} rows/s,"
    say(f"scored {amount} to {options.output} (version {version})")
    return {"job": "score", "output": options.output, "version": version, "rows": rows, "seconds": seconds}


def _kept(df: DataFrame, names: list[str] | None) -> list[str]:
    """The input's columns to keep, as they are spelt there.

    Raises:
        InputError: a column is not there, or named twice.
    """
    kept: list[str] = []
    for name in df.columns if names is None else names:
        close = [other for other in df.columns if other == name] or [o for o in df.columns if o.lower() == name.lower()]
        if len(close) != 1:
            raise InputError(f"column {name!r} (--keep-cols)", f"columns {', '.join(df.columns)}", nearest(name, df.columns))
        if close[0] in kept:
            raise InputError("each column once (--keep-cols)", f"{name!r} twice", "Take one of them out.")
        kept.append(close[0])
    return kept


def _without_labels(df: DataFrame, scores: list[str]) -> DataFrame:
    """Scores without the names of the labels that Spark ML keeps with a column: a table outlives its model, and may have rows of several."""
    for name in scores:
        if df.schema[name].metadata:
            df = df.withMetadata(name, {})
    return df


def _log(
    found: "Tracking",
    options: argparse.Namespace,
    model: TransformerClassificationModel,
    read: tables.OpenedTable,
    metrics: dict[str, float],
) -> dict[str, Any]:
    """Log a finished job to MLflow, as far as it takes it."""
    import mlflow

    from sparknlp_tx.tracking.run_data import log_data, log_scoring
    from sparknlp_tx.tracking.runs import logged_run

    with logged_run(found) as run:
        run.log("how it was scored", log_scoring, model, options.model, metrics)
        run.log("the input", log_data, options.input, read.version, "scoring")
        run.log("the output", mlflow.set_tag, "output", options.output)
    return run.result()
