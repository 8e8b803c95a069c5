"""Score a Delta table with a model: Delta table in, Delta table out.

  sparknlp-tx score --model models:/banking77@champion --input main.support.tickets --output main.support.scored
  sparknlp-tx score --model demo/model --input demo/delta/test --output demo/delta/scored --keep-cols text label
  sparknlp-tx score --model demo/model --input demo/delta/test --explain

MODEL is a model directory, runs:/RUN/model, models:/name/version or models:/name@alias. The output has the input's columns
(those of --keep-cols) and rawPrediction, probability, prediction, predictedLabel; it appears in one transaction. Params of the
model can be set for this run by flags in kebab-case. The last line of standard output is a JSON object with the results: rows,
seconds, and under "metrics" rows and tokens a second, padding, duplicates, models loaded and where the time went; with --experiment
they are logged to MLflow, too. --explain prints a plan and writes nothing: devices, engine, memory, lengths, duration, advice.
"""

import argparse
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknlp_tx.cli.commands.common import CommandResult, Explained, add_model_flags
from sparknlp_tx.cli.flags import make_parser, set_params
from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.ml.model import TransformerClassificationModel
from sparknlp_tx.progress import say, since
from sparknlp_tx.spark import tables
from sparknlp_tx.spark.outputs import Output
from sparknlp_tx.spark.table_names import quoted

if TYPE_CHECKING:
    from sparknlp_tx.tracking.runs import Tracking


def parser() -> argparse.ArgumentParser:
    """Flags of `score`: its own, and the Params that change scoring."""
    parser = make_parser("score", __doc__)
    add_model_flags(parser, "Delta table to score")
    parser.add_argument("--output", help="Delta table to write")
    parser.add_argument("--mode", choices=("overwrite", "append"), default="overwrite")
    parser.add_argument("--keep-cols", nargs="+", metavar="COLUMN", help="input columns to keep; default all")
    parser.add_argument("--experiment", help="MLflow experiment; the run's data, Params and metrics are logged there")
    return parser


@dataclass(kw_only=True)
class ScoreResult(CommandResult):
    """What `score` did.

    Attributes:
        output: the table; version: the one that was written, None where its history does not tell.
        rows: how many were written; seconds: the whole command.
        metrics: the counters of `ScoringObservation.metrics`; empty where Spark does not tell them.
    """

    command = "score"
    output: str
    version: int | None
    rows: int | None
    seconds: float
    metrics: dict[str, float]


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Call `score` with the flags' values."""
    return score(
        spark,
        model=options.model,
        input=options.input,
        output=options.output,
        mode=options.mode,
        keep_cols=options.keep_cols,
        experiment=options.experiment,
        params=options.params,
        explain=options.explain,
    ).as_dict()


def score(
    spark: SparkSession,
    *,
    model: str,
    input: str,
    output: str | None = None,
    mode: str = "overwrite",
    keep_cols: list[str] | None = None,
    experiment: str | None = None,
    params: dict[str, Any] | None = None,
    explain: bool = False,
) -> ScoreResult | Explained:
    """Score a table into another, or explain how that would be done.

    Args:
        model: a model directory or an MLflow URI.
        input, output: names or folders of tables, see `spark.table_names`; the output may be left out to explain.
        mode: `overwrite` or `append`.
        keep_cols: input columns to keep; default all.
        experiment: of MLflow, to log to; default none.
        params: Params by name.

    Raises:
        InputError: the input, the output or the model is refused; nothing was touched.
        JobError: scoring or writing has failed; the output is as it was.
    """
    from sparknlp_tx.tracking.models import load_model
    from sparknlp_tx.tracking.runs import check_tracking

    begin = time.monotonic()
    if not output and not explain:
        raise InputError("--output TABLE, or --explain", "neither", "Name the table to write.")
    read = tables.open_table(spark, input)
    kept = _kept(read.df, keep_cols)
    target = Output(spark, output, mode) if output else None
    if target is not None:
        target.check_apart(read)
    loaded: TransformerClassificationModel = set_params(load_model(model), params or {})
    scored, observation = loaded.observe(read.df)
    scores = scored.columns[len(read.df.columns) :]
    rows = scored.select(*(F.col(quoted(name)) for name in [*kept, *scores]))
    rows = _without_labels(rows, scores)
    if target is not None:
        target.check_columns(rows.schema)
    tracking = check_tracking(experiment) if experiment is not None else None
    if explain or target is None:
        return Explained.plan("score", loaded.explain(read.df))
    loaded.check_executors(spark)
    target.check_constraints(read.df)
    target.create(rows.schema)
    target.write(rows)
    metrics = observation.metrics
    result = _result(target, metrics, begin)
    if tracking is not None:
        result.run = _log(tracking, loaded, model, read, result)
    return result


def _result(target: Output, metrics: dict[str, float], begin: float) -> ScoreResult:
    """What was done; nothing in it can make a command fail whose table is written."""
    version, rows = target.written()
    rows = int(metrics["rows"]) if rows is None and metrics else rows
    seconds = since(begin)
    amount = "the rows" if rows is None else f"{rows:,} rows in {seconds} s, {rows / max(seconds, 1e-9):,.0f} rows/s,"
    say(f"scored {amount} to {target.text} (version {version})")
    return ScoreResult(output=target.text, version=version, rows=rows, seconds=seconds, metrics=metrics)


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
    tracking: "Tracking", model: TransformerClassificationModel, uri: str, read: tables.OpenedTable, result: ScoreResult
) -> dict[str, Any]:
    """Log a finished command to MLflow, as far as it takes it."""
    import mlflow

    from sparknlp_tx.tracking.run_logging import log_data, log_scoring
    from sparknlp_tx.tracking.runs import logged_run

    with logged_run(tracking) as run:
        run.log("how it was scored", log_scoring, model, uri, result.metrics)
        run.log("the input", log_data, read.name.text, read.version, "scoring")
        run.log("the output", mlflow.set_tag, "output", result.output)
    return run.result()
