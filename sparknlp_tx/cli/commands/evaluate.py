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
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from sparknlp_tx.cli.commands.common import add_model_flags, explained
from sparknlp_tx.cli.flags import make_parser, set_params
from sparknlp_tx.files import local_path
from sparknlp_tx.ml.evaluate import evaluate_rows
from sparknlp_tx.progress import say
from sparknlp_tx.spark import tables

if TYPE_CHECKING:
    from sparknlp_tx.tracking.runs import Tracking

SHOWN = ("accuracy", "micro_f1", "macro_f1", "matthews", "average_precision", "pearson", "spearman", "rmse")


def parser() -> argparse.ArgumentParser:
    """Flags of `evaluate`: its own, and the Params that scoring hangs on."""
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


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a model on a table, and the baselines that are asked for on the same rows."""
    from sparknlp_tx.tracking.models import load_model
    from sparknlp_tx.tracking.runs import check_tracking

    read = tables.open_table(spark, options.input)
    df = read.df
    if options.pictures:
        from sparknlp_tx.metrics.plots import check_pictures_folder

        check_pictures_folder(options.pictures, [options.input, options.model])
    model = set_params(load_model(options.model), options.params)
    if options.label_col:
        model.setLabelCol(options.label_col)
    model.check_labelled(df)
    if options.explain:
        return explained("evaluate", model.explain(df))
    tracking = check_tracking(options.experiment) if options.experiment is not None else None
    trained = tables.read_table(spark, options.tfidf) if options.tfidf else None
    if trained is not None:
        model.check_labelled(trained)
    scored = evaluate_rows(model, df, texts=bool(options.pictures))
    found = {"model": scored.metrics}
    columns = (model.decision, model.text_columns, model.getLabelCol(), model.weight_column)
    if options.pictures and scored.texts and scored.logits is not None:
        from sparknlp_tx.metrics.plots import draw_scores

        draw_scores(model.decision, scored.logits, scored.truth, scored.texts, local_path(options.pictures))
    if trained is not None:
        from sparknlp_tx.evaluation.baselines import tfidf_baseline

        found["tfidf"] = tfidf_baseline(trained, df, *columns)
    if options.zero_shot:
        from sparknlp_tx.evaluation.baselines import zero_shot_baseline

        found["zero_shot"] = zero_shot_baseline(df, *columns, options.zero_shot, options.zero_shot_rows)
    for way, metrics in found.items():
        say(
            f"{way}: "
            + ", ".join(f"{name} {metrics[name]:.4f}" for name in SHOWN if name in metrics)
            + f", {metrics['rows']} rows"
        )
    result = {"job": "evaluate", "model": options.model, "input": options.input, **found}
    return result | (_log(tracking, options, read.version, found) if tracking else {})


def _log(
    place: "Tracking", options: argparse.Namespace, version: int | None, found: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """Log the metrics to MLflow, as far as it takes them: `test.accuracy` of the model, `tfidf.accuracy` of a baseline."""
    import mlflow

    from sparknlp_tx.tracking.run_data import log_data
    from sparknlp_tx.tracking.runs import logged_run

    with logged_run(place) as run:
        run.log("params", mlflow.log_params, {"model": options.model, **options.params})
        run.log("data", log_data, options.input, version, "test")
        for way, metrics in found.items():
            prefix = "test" if way == "model" else way
            run.log(way, mlflow.log_metrics, {f"{prefix}.{name}": value for name, value in metrics.items()})
        if options.pictures:
            run.log("pictures", mlflow.log_artifacts, str(local_path(options.pictures)), "pictures")
    return run.result()
