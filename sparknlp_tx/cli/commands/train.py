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
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession

from sparknlp_tx.cli.commands.common import CommandResult, Explained, draw
from sparknlp_tx.cli.flags import add_param_flags, make_parser, set_params
from sparknlp_tx.errors import InputError, JobError, input_error_in, reason_of
from sparknlp_tx.files import check_space, local_path
from sparknlp_tx.inference.model_directory import check_absent
from sparknlp_tx.ml.estimator import TransformerClassifier
from sparknlp_tx.ml.model import TransformerClassificationModel
from sparknlp_tx.spark import tables

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

    from sparknlp_tx.tracking.runs import LoggedRun

LEAST_BYTES = 16 * 1024 * 1024  # free at --model-dir: the smallest models take as much


def parser(name: str = "train", doc: str = __doc__) -> argparse.ArgumentParser:
    """Flags of `train`: its own, every Param, and any other as a field of TrainingArguments; `tune` has them, too."""
    parser = make_parser(name, doc, extra=True)
    parser.add_argument("--train", required=True, help="Delta table of the training rows")
    parser.add_argument("--validation", help="Delta table; the epoch that is best on it is kept")
    parser.add_argument("--test", help="Delta table to evaluate the model on")
    parser.add_argument("--model-dir", required=True, help="where the model goes")
    parser.add_argument("--overwrite", action="store_true", help="replace what is at --model-dir")
    parser.add_argument("--experiment", help="MLflow experiment")
    parser.add_argument("--registered-model", help="register the model under this name")
    add_param_flags(parser, TransformerClassifier().params)
    return parser


@dataclass(kw_only=True)
class TrainResult(CommandResult):
    """What `train` did.

    Attributes:
        model_dir: where the model lies.
        model_uri: of the logged model; None if MLflow did not take it.
        registered_model, registered_version: None if the model was not registered.
        labels: how many; train_rows, train_seconds, rows_per_second, device: of the training.
        metrics: of the tables that were evaluated, as `test.accuracy`; and `seconds_per_1000_rows`.
    """

    command = "train"
    model_dir: str
    model_uri: str | None
    registered_model: str | None
    registered_version: str | None
    labels: int
    train_rows: int
    train_seconds: float
    rows_per_second: float
    device: str
    metrics: dict[str, float]


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Call `train` with the flags' values."""
    return train(
        spark,
        train=options.train,
        model_dir=options.model_dir,
        validation=options.validation,
        test=options.test,
        overwrite=options.overwrite,
        experiment=options.experiment,
        registered_model=options.registered_model,
        params=options.params,
        training_args=options.extra,
        explain=options.explain,
    ).as_dict()


def train(
    spark: SparkSession,
    *,
    train: str,
    model_dir: str,
    validation: str | None = None,
    test: str | None = None,
    overwrite: bool = False,
    experiment: str | None = None,
    registered_model: str | None = None,
    params: dict[str, Any] | None = None,
    training_args: dict[str, Any] | None = None,
    explain: bool = False,
) -> TrainResult | Explained:
    """Check all that can be known, fit on a table, save, evaluate, log it all to MLflow.

    The model is saved before all else that could fail; pictures and logging do not fail the command.

    Args:
        train, validation, test: names or folders of tables; the epoch that is best on `validation` is kept.
        model_dir: where the model goes; overwrite: replace what is there.
        experiment: of MLflow; default MLflow's own choice. registered_model: the name to register the model under; default none.
        params: Params of `TransformerClassifier` by name.
        training_args: other fields of `transformers.TrainingArguments`.

    Raises:
        InputError: what was given is refused; nothing was touched.
        JobError: the training had begun; says what stands and what does not.
    """
    from sparknlp_tx.tracking.runs import check_tracking, logged_run

    model_dir = check_model_dir(model_dir, overwrite)
    named = {"train": train, "validation": validation, "test": test}
    splits = {split: table for split, table in named.items() if table}
    read = {split: tables.open_table(spark, table) for split, table in splits.items()}
    frames = {split: opened.df for split, opened in read.items()}
    estimator, rows = training_rows(frames, estimator_of(params or {}, training_args or {}))
    if explain:
        return Explained.plan("train", estimator.explain(rows))
    tracking = check_tracking(experiment, registered_model)
    estimator.check(rows)
    with logged_run(tracking, (training_args or {}).get("run_name")) as run:
        _log_inputs(run, splits, {split: opened.version for split, opened in read.items()})
        model = estimator.fit(rows)
        _save(model, model_dir, overwrite)
        metrics, pictures = _evaluated(model, frames, model_dir)
        logged = _log(run, model, metrics, pictures, registered_model)
        result = _result(model_dir, registered_model, model, metrics, logged)
        _check_registered(result, run)
    result.run = run.result()
    return result


def check_model_dir(model_dir: str, overwrite: bool) -> str:
    """The folder to save the model at; a link is followed to where it points.

    Raises:
        InputError: a model cannot be saved there.
    """
    given = local_path(model_dir)
    target = Path(os.path.realpath(given))
    check_absent(target, overwrite)
    above = next(folder for folder in target.parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"a folder for {given}", f"a file at {above}", "Give another --model-dir.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(
            f"a folder that can be written, for {given}", f"none, {above} is read-only", "Give another --model-dir."
        )
    check_space(above, LEAST_BYTES, "the model")
    return str(target) if given.is_symlink() else model_dir


def _save(model: TransformerClassificationModel, model_dir: str, overwrite: bool) -> None:
    """Save the model at --model-dir; where that fails by now, in a folder of the temporary one that is kept.

    Raises:
        JobError: it is not at --model-dir; says where it is.
    """
    try:
        model.write().overwrite().save(model_dir) if overwrite else model.save(model_dir)
    except Exception as error:
        kept = Path(tempfile.mkdtemp(prefix="sparknlp_tx-kept-")) / "model"
        try:
            model.save(str(kept))
        except Exception as other:
            what = f"The model was trained, but could be saved neither at {model_dir} ({reason_of(error)}) nor at {kept} ({reason_of(other)})."
            raise JobError(f"{what} Free some space and train again.") from error
        what = f"The model was trained, but could not be saved at {model_dir} ({reason_of(error)})."
        raise JobError(f"{what} It is whole at {kept}: copy it from there. Nothing was evaluated or logged of it.") from error


def _log_inputs(run: "LoggedRun", splits: dict[str, str], versions: dict[str, int | None]) -> None:
    from sparknlp_tx.tracking.run_logging import log_data

    for split, table in splits.items():
        context = "training" if split == "train" else split
        run.log(f"the {split} table", log_data, table, versions[split], context)


def _evaluated(
    model: TransformerClassificationModel, frames: dict[str, DataFrame], model_dir: str
) -> tuple[dict[str, float], Path]:
    """The metrics, and the folder of the pictures.

    Raises:
        JobError: scoring failed; the model stands.
    """
    pictures = local_path(model_dir) / "pictures"
    try:
        return _evaluate(model, frames, pictures), pictures
    except Exception as error:
        what = f"The model was trained and is whole at {model_dir}, but could not be evaluated: {input_error_in(error) or reason_of(error)}"
        raise JobError(f"{what} Evaluate it with: sparknlp-tx evaluate --model {model_dir} --input TABLE.") from error


def _log(
    run: "LoggedRun",
    model: TransformerClassificationModel,
    metrics: dict[str, float],
    pictures: Path,
    registered_model: str | None,
) -> "ModelInfo | None":
    """Log what came of the training; the model last, as it takes longest. Returns what MLflow says of the model."""
    import mlflow

    from sparknlp_tx.ml.live_metrics import log_missed_metrics
    from sparknlp_tx.tracking.models import log_model
    from sparknlp_tx.tracking.run_logging import log_training

    run.log("metrics of the training", log_missed_metrics)
    run.log("the training's Params and history", log_training, model)
    if pictures.is_dir():
        run.log("pictures", mlflow.log_artifacts, str(pictures), "pictures")
    last = model.summary["history"][-1]["step"] if model.summary["history"] else 0  # beside the last of those on the way
    run.log("metrics", mlflow.log_metrics, metrics, step=last)
    return run.log_once("the model", log_model, model, registered_model_name=registered_model)


def _check_registered(result: TrainResult, run: "LoggedRun") -> None:
    """Raise JobError where the model was to be registered and is not."""
    if result.registered_model is not None and result.registered_version is None:
        raise JobError(
            f"The model is whole at {result.model_dir} (MLflow run {run.run_id}), but is not registered as "
            f"{result.registered_model!r}; not logged: {', '.join(run.not_logged) or 'nothing else'}. Load it with "
            "TransformerClassificationModel.load and log it with sparknlp_tx.log_model when MLflow answers."
        )


def estimator_of(params: dict[str, Any], training_args: dict[str, Any]) -> TransformerClassifier:
    """An estimator with Params and training arguments.

    Raises:
        InputError: one does not exist, does not take its value, or is given twice.
    """
    estimator = TransformerClassifier()
    set_params(estimator, params)
    twice = set(estimator.getTrainingArgs()) & set(training_args)
    if twice:
        raise InputError(
            "each training setting once", f"{min(twice)} as a flag and in --training-args", "Take one of them out."
        )
    return estimator.setTrainingArgs(estimator.getTrainingArgs() | training_args)


def training_rows(frames: dict[str, DataFrame], estimator: TransformerClassifier) -> tuple[TransformerClassifier, DataFrame]:
    """What to fit and on what: the training rows, and marked among them the validation rows where they have a table of their own.

    Raises:
        InputError: a table is empty, or lacks a column, or the labels' types differ.
    """
    for split, frame in frames.items():
        estimator.check_labelled(frame)
        if split != "train":
            estimator.check_outputs(frame)
        if frame.isEmpty():
            raise InputError(f"rows in the {split} table", "none", f"Check it, or leave --{split} out.")
    if "validation" not in frames:
        return estimator, frames["train"]
    return estimator.joined(frames["train"], frames["validation"])


def _evaluate(model: TransformerClassificationModel, frames: dict[str, DataFrame], pictures: Path) -> dict[str, float]:
    """Metrics of the splits that were not trained on, as `test.accuracy`; how long scoring takes; pictures of the last of them."""
    from sparknlp_tx.metrics.plots import draw_learning_curves, draw_scores
    from sparknlp_tx.ml.evaluate import evaluate_rows

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
    draw(draw_learning_curves, model.summary["history"], pictures, metric.removeprefix("eval_"))
    if found.texts and found.logits is not None:
        draw(draw_scores, model.decision, found.logits, found.truth, found.texts, pictures)
    return metrics


def _result(
    model_dir: str,
    registered_model: str | None,
    model: TransformerClassificationModel,
    metrics: dict[str, float],
    logged: "ModelInfo | None",
) -> TrainResult:
    return TrainResult(
        model_dir=model_dir,
        model_uri=logged.model_uri if logged else None,
        registered_model=registered_model,
        registered_version=logged.registered_model_version if logged else None,
        labels=model.numClasses,
        train_rows=model.summary["train_rows"],
        train_seconds=round(model.summary["train_seconds"], 1),
        rows_per_second=round(model.summary["rows_per_second"], 1),
        device=model.summary["device"],
        metrics=metrics,
    )
