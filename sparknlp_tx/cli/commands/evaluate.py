"""Evaluate a model on a labelled Delta table, and see what fine-tuning has bought.

  sparknlp-tx evaluate --model models:/tickets/1 --input data/tickets/test
  sparknlp-tx evaluate --model demo/model --input demo/delta/test --tfidf demo/delta/train
  sparknlp-tx evaluate --model demo/model --input demo/delta/test --zero-shot facebook/bart-large-mnli

MODEL is a model directory, runs:/RUN/model, models:/name/version or models:/name@alias. --tfidf TABLE fits TF-IDF and a linear model
on that table and measures it on the same rows; --zero-shot CHECKPOINT asks a model for natural language inference, without any
training, about some of them; --pictures FOLDER draws what the model gets right and wrong. The last line of standard output is a
JSON object with all metrics.
"""

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from sparknlp_tx.cli.commands.common import CommandResult, Explained, add_model_flags, draw
from sparknlp_tx.cli.flags import make_parser, set_params
from sparknlp_tx.files import local_path
from sparknlp_tx.ml.evaluate import evaluate_rows
from sparknlp_tx.ml.model import TransformerClassificationModel
from sparknlp_tx.progress import say
from sparknlp_tx.spark import tables

if TYPE_CHECKING:
    from sparknlp_tx.tracking.runs import Tracking

SHOWN = ("accuracy", "micro_f1", "macro_f1", "matthews", "average_precision", "pearson", "spearman", "rmse")


def parser() -> argparse.ArgumentParser:
    """Flags of `evaluate`: its own, and the Params that change scoring."""
    parser = make_parser("evaluate", __doc__)
    add_model_flags(parser, "Delta table with the model's text columns and label column")
    parser.add_argument("--label-col", help="column of the true labels; default the model's")
    parser.add_argument(
        "--tfidf", metavar="TABLE", help="training table: TF-IDF and a linear model are fitted on it and compared"
    )
    parser.add_argument("--zero-shot", metavar="CHECKPOINT", help="a checkpoint for natural language inference to compare")
    parser.add_argument(
        "--zero-shot-rows", type=int, default=200, help="rows it is asked about; it takes a pass for each label"
    )
    parser.add_argument("--pictures", metavar="FOLDER", help="draw pictures and list the worst mistakes there")
    parser.add_argument("--experiment", help="MLflow experiment to log the metrics to")
    return parser


@dataclass(kw_only=True)
class EvaluateResult(CommandResult):
    """What `evaluate` found.

    Attributes:
        input: the table.
        metrics: by way: `model`, and `tfidf` and `zero_shot` where they were asked for; each metrics by name.
    """

    command = "evaluate"
    input: str
    metrics: dict[str, dict[str, float]]

    def as_dict(self) -> dict[str, Any]:
        """A JSON object; each way has its metrics under its own name."""
        return {"job": self.command, "input": self.input, **self.metrics, **self.run}


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Call `evaluate` with the flags' values."""
    return evaluate(
        spark,
        model=options.model,
        input=options.input,
        label_col=options.label_col,
        tfidf=options.tfidf,
        zero_shot=options.zero_shot,
        zero_shot_rows=options.zero_shot_rows,
        pictures=options.pictures,
        experiment=options.experiment,
        params=options.params,
        explain=options.explain,
    ).as_dict()


def evaluate(
    spark: SparkSession,
    *,
    model: str,
    input: str,
    label_col: str | None = None,
    tfidf: str | None = None,
    zero_shot: str | None = None,
    zero_shot_rows: int = 200,
    pictures: str | None = None,
    experiment: str | None = None,
    params: dict[str, Any] | None = None,
    explain: bool = False,
) -> EvaluateResult | Explained:
    """Measure a model on a labelled table, and the baselines that are asked for on the same rows.

    Args:
        model: a model directory or an MLflow URI.
        input: name or folder of the table.
        label_col: column of the true labels; default the model's.
        tfidf: training table for TF-IDF with a linear model; default none.
        zero_shot: a checkpoint for natural language inference, asked about `zero_shot_rows` rows; default none.
        pictures: a folder for pictures and a list of the worst mistakes; default none.
        experiment: of MLflow, to log to; default none.
        params: Params by name.

    Raises:
        InputError: the table, the model or a folder is refused; nothing was touched.
    """
    from sparknlp_tx.evaluation.baselines import check_tfidf, check_zero_shot, tfidf_baseline, zero_shot_baseline
    from sparknlp_tx.metrics.plots import check_pictures_folder, draw_scores
    from sparknlp_tx.tracking.models import load_model
    from sparknlp_tx.tracking.runs import check_tracking

    read = tables.open_table(spark, input)
    if pictures:
        check_pictures_folder(pictures, [input, model])
    loaded: TransformerClassificationModel = set_params(load_model(model), params or {})
    if label_col:
        loaded.setLabelCol(label_col)
    loaded.check_labelled(read.df)
    if explain:
        return Explained.plan("evaluate", loaded.explain(read.df))
    tracking = check_tracking(experiment) if experiment is not None else None
    columns = (loaded.decision, loaded.text_columns, loaded.getLabelCol(), loaded.weight_column)
    trained = tables.read_table(spark, tfidf) if tfidf else None
    if trained is not None:
        loaded.check_labelled(trained)
        check_tfidf(trained, *columns)
    if zero_shot:
        check_zero_shot(loaded.decision, zero_shot, zero_shot_rows)
    scored = evaluate_rows(loaded, read.df, texts=bool(pictures))
    found = {"model": scored.metrics}
    if pictures and scored.texts and scored.logits is not None:
        draw(draw_scores, loaded.decision, scored.logits, scored.truth, scored.texts, local_path(pictures))
    if trained is not None:
        found["tfidf"] = tfidf_baseline(trained, read.df, *columns)
    if zero_shot:
        found["zero_shot"] = zero_shot_baseline(read.df, *columns, zero_shot, zero_shot_rows)
    for way, metrics in found.items():
        figures = ", ".join(f"{name} {metrics[name]:.4f}" for name in SHOWN if name in metrics)
        say(f"{way}: {figures}, {metrics['rows']} rows")
    result = EvaluateResult(input=input, metrics=found)
    if tracking is not None:
        result.run = _log(tracking, {"model": model, **(params or {})}, read, found, pictures)
    return result


def _log(
    tracking: "Tracking",
    params: dict[str, Any],
    read: tables.OpenedTable,
    found: dict[str, dict[str, float]],
    pictures: str | None,
) -> dict[str, Any]:
    """Log the metrics to MLflow, as far as it takes them: `test.accuracy` of the model, `tfidf.accuracy` of a baseline."""
    import mlflow

    from sparknlp_tx.tracking.run_logging import log_data
    from sparknlp_tx.tracking.runs import logged_run

    with logged_run(tracking) as run:
        run.log("params", mlflow.log_params, params)
        run.log("data", log_data, read.name.text, read.version, "test")
        for way, metrics in found.items():
            prefix = "test" if way == "model" else way
            run.log(way, mlflow.log_metrics, {f"{prefix}.{name}": value for name, value in metrics.items()})
        if pictures:
            run.log("pictures", mlflow.log_artifacts, str(local_path(pictures)), "pictures")
    return run.result()
