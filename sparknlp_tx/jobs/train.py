"""Fine-tune a Hugging Face model on a Delta table; save it, evaluate it, log it to MLflow.

  sparknlp-tx train --train main.support.tickets_train --validation main.support.tickets_validation \\
      --test main.support.tickets_test --checkpoint distilbert-base-uncased --model-dir /Volumes/main/support/models/tickets
  sparknlp-tx train --train demo/delta/train --model-dir my-model --checkpoint ./my-bert \\
      --num-train-epochs 3 --learning-rate 3e-4 --warmup-steps 50

Every Param of TransformerClassifier is a flag in kebab-case; any other flag is a field of transformers.TrainingArguments. MLflow
is reached as its own variables say (MLFLOW_TRACKING_URI, ...). The last line of standard output is a JSON object with the
results: where the model lies, the MLflow run, metrics, seconds.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession

from sparknlp_tx import tables
from sparknlp_tx.artifact import check_absent, check_folder, local_path
from sparknlp_tx.classification import TransformerClassificationModel, TransformerClassifier
from sparknlp_tx.cli import add_param_flags, make_parser, set_params
from sparknlp_tx.errors import InputError, JobError, reason_of
from sparknlp_tx.jobs.score import explained

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

    from sparknlp_tx.runs import RunLog


def parser() -> argparse.ArgumentParser:
    """Flags of `train`: its own, every Param, and any other as a field of TrainingArguments."""
    parser = make_parser("train", __doc__, extra=True)
    parser.add_argument("--train", required=True, help="Delta table of the training rows")
    parser.add_argument("--validation", help="Delta table; the epoch that is best on it is kept")
    parser.add_argument("--test", help="Delta table to evaluate the model on")
    parser.add_argument("--model-dir", required=True, help="where the model goes")
    parser.add_argument("--overwrite", action="store_true", help="replace what is at --model-dir")
    parser.add_argument("--experiment", help="MLflow experiment")
    parser.add_argument("--registered-model", help="register the model under this name")
    add_param_flags(parser, TransformerClassifier().params)
    return parser


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Fit on a Delta table, save, evaluate, log it all to MLflow."""
    import mlflow

    from sparknlp_tx import tracking
    from sparknlp_tx.runs import check_tracking, logged_run

    check_absent(options.model_dir, options.overwrite)
    check_folder(options.model_dir)
    splits = {name: getattr(options, name) for name in ("train", "validation", "test") if getattr(options, name)}
    read = {split: tables.open_table(spark, table) for split, table in splits.items()}
    frames = {split: opened.df for split, opened in read.items()}
    estimator, rows = _training_rows(frames, _estimator(options))
    check_tracking(options.experiment, options.registered_model)
    if options.explain:
        return explained("train", estimator.explain(rows))
    estimator.check(rows)
    with logged_run(options.experiment) as run:
        for split, table in splits.items():
            run("data", tracking.log_data, table, read[split].version, "training" if split == "train" else split)
        model = estimator.fit(rows)
        _save(model, options)
        run("training", tracking.log_training, model)
        metrics = _evaluate(model, frames, local_path(options.model_dir) / "pictures", run)
        # beside the last of those logged on the way
        run("metrics", mlflow.log_metrics, metrics, step=model.summary["history"][-1]["step"])
        logged = run("model", tracking.log_model, model, registered_model_name=options.registered_model)
        if logged is None and options.registered_model:
            remedy = "log it again by mlflow.start_run() and sparknlp_tx.log_model(model, registered_model_name=...)"
            told = (
                f"The model is trained and stands in {options.model_dir}, but is not registered as {options.registered_model!r}"
            )
            raise JobError(f"{told} ({run.missing[-1]}): {remedy}")
    return _train_result(options, run, model, metrics, logged)


def _save(model: TransformerClassificationModel, options: argparse.Namespace) -> None:
    """Save a model at once; where its place fails, elsewhere.

    Raises:
        JobError: its place has failed; says where the model is.
    """
    try:
        model.write().overwrite().save(options.model_dir) if options.overwrite else model.save(options.model_dir)
    except Exception as error:  # a disk that is full, a mount that is gone
        rescue = Path(tempfile.mkdtemp(prefix="sparknlp_tx-model-"), "model")
        model.save(str(rescue))
        raise JobError(
            f"The model is trained, but {options.model_dir} takes it not ({reason_of(error)}): it is in {rescue}."
        ) from error


def _estimator(options: argparse.Namespace) -> TransformerClassifier:
    estimator = TransformerClassifier()
    set_params(estimator, options.params)
    twice = set(estimator.getTrainingArgs()) & set(options.extra)
    if twice:
        raise InputError(
            "each training setting once", f"{min(twice)} as a flag and in --training-args", "Take one of them out."
        )
    return estimator.setTrainingArgs(estimator.getTrainingArgs() | options.extra)


def _training_rows(frames: dict[str, DataFrame], estimator: TransformerClassifier) -> tuple[TransformerClassifier, DataFrame]:
    """What to fit and on what: the training rows, and marked among them the validation rows where they have a table of their own.

    Raises:
        InputError: a table is empty, or lacks a column, or the labels' types differ.
    """
    for split, frame in frames.items():
        estimator.check_columns(frame)
        if split != "train":
            estimator.check_outputs(frame)
        if frame.isEmpty():
            raise InputError(f"rows in the {split} table", "none", f"Check it, or leave --{split} out.")
    if "validation" not in frames:
        return estimator, frames["train"]
    return estimator.joined(frames["train"], frames["validation"])


def _evaluate(
    model: TransformerClassificationModel, frames: dict[str, DataFrame], pictures: Path, run: "RunLog"
) -> dict[str, float]:
    """Metrics of the splits that were not trained on, as `test.accuracy`; how long scoring takes; pictures of the last of them."""
    import mlflow

    from sparknlp_tx.evaluation import evaluate_rows
    from sparknlp_tx.pictures import draw_learning_curves, draw_scores

    metrics: dict[str, float] = {}
    splits: list[str] = [split for split in ("validation", "test") if split in frames] or ["train"]
    for split in splits:
        begin = time.monotonic()
        found = evaluate_rows(model, frames[split], texts=True)
        seconds = time.monotonic() - begin
        metrics |= {f"{split}.{name}": value for name, value in found.metrics.items()}
        if found.metrics["rows"]:
            metrics["seconds_per_1000_rows"] = 1000 * seconds / found.metrics["rows"]
    metric = model.summary["training_args"].get("metric_for_best_model") or "accuracy"

    def draw() -> None:
        draw_learning_curves(model.summary["history"], pictures, metric.removeprefix("eval_"))
        if found.texts and found.logits is not None:
            draw_scores(model.decision, found.logits, found.truth, found.texts, pictures)
        mlflow.log_artifacts(str(pictures), "pictures")

    run("pictures", draw)
    return metrics


def _train_result(
    options: argparse.Namespace,
    run: "RunLog",
    model: TransformerClassificationModel,
    metrics: dict[str, float],
    logged: "ModelInfo | None",
) -> dict[str, Any]:
    return {
        "job": "train",
        "model_dir": options.model_dir,
        **run.result(),
        "model_uri": logged.model_uri if logged else None,
        "registered_model": options.registered_model,
        "registered_version": logged.registered_model_version if logged else None,
        "labels": model.numClasses,
        "train_rows": model.summary["train_rows"],
        "train_seconds": round(model.summary["train_seconds"], 1),
        "rows_per_second": round(model.summary["rows_per_second"], 1),
        "device": model.summary["device"],
        "metrics": metrics,
    }
