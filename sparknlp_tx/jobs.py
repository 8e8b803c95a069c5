"""What the jobs do, from their flags to their results: prepare, train, score. `jobs/*.py` are their command lines."""

import argparse
import difflib
import sys
import time
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknlp_tx import tables
from sparknlp_tx.artifact import check_absent
from sparknlp_tx.classification import TransformerClassificationModel, TransformerClassifier
from sparknlp_tx.cli import add_param_flags, flag, make_parser, set_params
from sparknlp_tx.errors import InputError, nearest

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

VALIDATION_COLUMN = "is_validation"
SCORING_PARAMS = (
    *("textCol", "textPairCol", "rawPredictionCol", "probabilityCol", "predictionCol", "predictedLabelCol"),
    *("threshold", "thresholds", "maxLength", "precision", "tokensPerBatch", "device", "handleInvalid"),
)


def prepare_parser(description: str) -> argparse.ArgumentParser:
    """Flags of `prepare`."""
    parser = make_parser("prepare.py", description)
    parser.add_argument("--source", required=True, help="what to read; see above")
    parser.add_argument("--output", required=True, help="a folder (has a /), or catalog.schema")
    parser.add_argument("--name", help="prefix of the tables in a schema; default from the source")
    parser.add_argument("--path", help="with a known name: read this file or folder instead of the hub")
    parser.add_argument("--config", help="configuration of a hub data set")
    parser.add_argument("--text-col")
    parser.add_argument("--text-pair-col")
    parser.add_argument("--label-col")
    parser.add_argument("--checkpoint", help="profile the lengths in its sub-words, too")
    parser.add_argument("--limit", type=int, default=1_500, help="docstrings: rows of each library (default %(default)s)")
    parser.add_argument("--seed", type=int, default=42)
    return parser


def prepare(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Write a corpus as Delta tables and profile it."""
    from sparknlp_tx import corpora, preparation

    begin = time.monotonic()
    source = corpora.Source(
        source=options.source,
        path=options.path,
        config=options.config,
        text=options.text_col,
        text_pair=options.text_pair_col,
        label=options.label_col,
        limit=options.limit,
    )
    name = options.name or _short_name(options.source)
    _check_output(spark, options)
    if options.checkpoint:
        from sparknlp_tx.training import check_checkpoint

        check_checkpoint(options.checkpoint)
    splits = corpora.read_corpus(spark, source)
    written = preparation.prepare(spark, splits, options.output, name, options.seed)
    read = {split: tables.read_table(spark, table) for split, table in written.items() if split != "labels"}
    report = preparation.profile(read, options.checkpoint)
    kept = preparation.save_profile(spark, report, options.output, name)
    print_profile(report)
    rows = {split: part["rows"] for split, part in report["splits"].items()}
    return {"job": "prepare", "tables": written, "rows": rows, "profile": kept, "seconds": _since(begin)}


def _short_name(source: str) -> str:
    """`data/tickets.csv`, `main.raw.tickets` and `org/tickets` to `tickets`."""
    last = source.rstrip("/").rpartition("/")[2]
    last = last.partition(".")[0] if tables.is_path(source) or last.endswith((".csv", ".tsv", ".json", ".jsonl")) else last
    return last.rpartition(".")[2].replace("-", "_")


def _check_output(spark: SparkSession, options: argparse.Namespace) -> None:
    """Raise InputError where the output is no place for tables, or is what is read."""
    if not tables.is_path(options.output):
        if not spark.catalog.databaseExists(options.output):
            remedy = f"Create it: CREATE SCHEMA {options.output}. For a folder write ./{options.output}."
            raise InputError(f"a schema {options.output!r}", "none of that name", remedy)
        target = options.output + "."
    else:
        target = tables.full_path(options.output) + "/"
    read = options.path or options.source
    read = tables.full_path(read) + "/" if tables.is_path(read) else read
    if read.startswith(target):
        raise InputError("an output that is not what is read", options.output, "Name another folder or schema.")


def print_profile(report: dict[str, Any]) -> None:
    """A profile as a person reads it, on standard error."""
    for split, part in report["splits"].items():
        size = part["characters"]
        say(
            f"{split}: {part['rows']:,} rows, {part['null_or_empty_texts']:,} without text, {part['duplicate_texts']:,} "
            f"duplicates; characters: mean {size['mean']}, 95 % under {size['p95']}, longest {size['max']}"
        )
        labels = sorted(part.get("labels", {}).items(), key=lambda item: -item[1])
        if labels:
            most = ", ".join(f"{label} {rows:,}" for label, rows in labels[:12])
            say(f"  {len(labels)} labels: {most}" + (f", ... {labels[-1][0]} {labels[-1][1]:,}" if len(labels) > 12 else ""))
    if report.get("test_rows_also_in_train"):
        say(f"{report['test_rows_also_in_train']:,} rows of test have texts that stand in train, too")
    if "tokens" in report:
        cut = ", ".join(f"{100 * share:.1f} % at {limit}" for limit, share in report["tokens"]["share_cut_at"].items())
        say(f"sub-words: mean {report['tokens']['mean']}, 95 % under {report['tokens']['p95']}; texts cut: {cut}")


def train_parser(description: str) -> argparse.ArgumentParser:
    """Flags of `train`: its own, every Param, and any other as a field of TrainingArguments."""
    parser = make_parser("train.py", description, extra=True)
    parser.add_argument("--train", required=True, help="Delta table of the training rows")
    parser.add_argument("--validation", help="Delta table; the epoch that is best on it is kept")
    parser.add_argument("--test", help="Delta table to evaluate the model on")
    parser.add_argument("--model-dir", required=True, help="where the model goes")
    parser.add_argument("--overwrite", action="store_true", help="replace what is at --model-dir")
    parser.add_argument("--experiment", help="MLflow experiment")
    parser.add_argument("--registered-model", help="register the model under this name")
    add_param_flags(parser, TransformerClassifier().params)
    return parser


def train(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Fit on a Delta table, save, evaluate, log it all to MLflow."""
    import mlflow

    from sparknlp_tx import tracking

    check_absent(options.model_dir, options.overwrite)
    splits = {name: getattr(options, name) for name in ("train", "validation", "test") if getattr(options, name)}
    frames = {split: tables.read_table(spark, table) for split, table in splits.items()}
    versions = {split: tables.latest_version(spark, table) for split, table in splits.items()}
    estimator = _estimator(options)
    rows = _training_rows(frames, estimator)
    estimator.check(rows)
    if options.experiment:
        mlflow.set_experiment(options.experiment)
    with mlflow.start_run() as run:
        for split, table in splits.items():
            tracking.log_data(table, versions[split], "training" if split == "train" else split)
        model = estimator.fit(rows)
        model.write().overwrite().save(options.model_dir) if options.overwrite else model.save(options.model_dir)
        tracking.log_training(model)
        metrics = _evaluate(model, frames)
        mlflow.log_metrics(metrics, step=model.summary["history"][-1]["step"])  # beside the last of those logged on the way
        logged = tracking.log_model(model, registered_model_name=options.registered_model)
    return _train_result(options, run.info, model, metrics, logged)


def _estimator(options: argparse.Namespace) -> TransformerClassifier:
    estimator = TransformerClassifier()
    set_params(estimator, options.params)
    own = set(vars(train_parser("").parse_known_args(["--train=", "--model-dir="])[0]))
    known = [name.removeprefix("param:") for name in own]
    for name in options.extra:
        near = difflib.get_close_matches(name, [flag(other)[2:].replace("-", "_") for other in known], n=1, cutoff=0.8)
        if near:
            raise InputError("flags of this job or TrainingArguments", flag(name), f"Did you mean {flag(near[0])!r}?")
    twice = set(estimator.getTrainingArgs()) & set(options.extra)
    if twice:
        raise InputError(
            "each training setting once", f"{min(twice)} as a flag and in --training-args", "Take one of them out."
        )
    return estimator.setTrainingArgs(estimator.getTrainingArgs() | options.extra)


def _training_rows(frames: dict[str, DataFrame], estimator: TransformerClassifier) -> DataFrame:
    """The training rows, and marked among them the validation rows where they have a table of their own.

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
        return frames["train"]
    if estimator.isDefined("validationIndicatorCol"):
        raise InputError("--validation or --validation-indicator-col", "both", "Take one of them out.")
    label = estimator.getLabelCol()
    types = {split: frames[split].schema[label].dataType.simpleString() for split in ("train", "validation")}
    if len(set(types.values())) > 1:
        found = f"{types['train']} and {types['validation']}"
        raise InputError(f"one type of {label!r} in the training and the validation table", found, "Cast one of them.")
    params = ("textCol", "textPairCol", "labelCol", "weightCol")
    names = [estimator.getOrDefault(param) for param in params if estimator.isDefined(param)]
    marked = []
    for split in ("train", "validation"):
        there = [F.col(f"`{name}`") for name in names if name in frames[split].columns]  # validation rows need no weight
        marked.append(frames[split].select(*there, F.lit(split == "validation").alias(VALIDATION_COLUMN)))
    estimator.setValidationIndicatorCol(VALIDATION_COLUMN)
    return marked[0].unionByName(marked[1], allowMissingColumns=True)


def _evaluate(model: TransformerClassificationModel, frames: dict[str, DataFrame]) -> dict[str, float]:
    """Metrics of the splits that were not trained on, as `test.accuracy`; and how long scoring takes."""
    from sparknlp_tx.evaluation import evaluate

    metrics: dict[str, float] = {}
    if not model.getPredictedLabelCol():
        model = model.copy({model.predictedLabelCol: "__predictedLabel"})
    splits = [split for split in ("validation", "test") if split in frames] or ["train"]
    for split in splits:
        begin = time.monotonic()
        found = evaluate(model.transform(frames[split]), model.getLabelCol(), model.getPredictedLabelCol())
        seconds = time.monotonic() - begin
        metrics |= {f"{split}.{name}": value for name, value in found.items()}
        if found["rows"]:
            metrics["seconds_per_1000_rows"] = 1000 * seconds / found["rows"]
    return metrics


def _train_result(
    options: argparse.Namespace, run: Any, model: TransformerClassificationModel, metrics: dict[str, float], logged: "ModelInfo"
) -> dict[str, Any]:
    return {
        "job": "train",
        "model_dir": options.model_dir,
        "run_id": run.run_id,
        "experiment_id": run.experiment_id,
        "model_uri": logged.model_uri,
        "registered_model": options.registered_model,
        "registered_version": logged.registered_model_version,
        "labels": model.numClasses,
        "train_rows": model.summary["train_rows"],
        "train_seconds": round(model.summary["train_seconds"], 1),
        "rows_per_second": round(model.summary["rows_per_second"], 1),
        "device": model.summary["device"],
        "metrics": metrics,
    }


def score_parser(description: str) -> argparse.ArgumentParser:
    """Flags of `score`: its own, and every Param."""
    parser = make_parser("score.py", description)
    parser.add_argument(
        "--model", required=True, help="a model directory, runs:/..., models:/name/version or models:/name@alias"
    )
    parser.add_argument("--input", required=True, help="Delta table to score")
    parser.add_argument("--output", required=True, help="Delta table to write")
    parser.add_argument("--mode", choices=("overwrite", "append"), default="overwrite")
    parser.add_argument("--keep-cols", nargs="+", metavar="COLUMN", help="input columns to keep; default all")
    add_param_flags(parser, [param for param in TransformerClassificationModel().params if param.name in SCORING_PARAMS])
    return parser


def score(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Score a Delta table into another."""
    from sparknlp_tx.tracking import load_model

    begin = time.monotonic()
    if tables.sql_name(options.input) == tables.sql_name(options.output):
        raise InputError("an output other than the input", options.output, "Name another table.")
    df = tables.read_table(spark, options.input)
    for name in options.keep_cols or []:
        if name not in df.columns:
            raise InputError(f"column {name!r} (--keep-cols)", f"columns {', '.join(df.columns)}", nearest(name, df.columns))
    model = set_params(load_model(options.model), options.params)
    scored = model.transform(df)
    kept = options.keep_cols or df.columns
    tables.write_table(scored.select(*kept, *scored.columns[len(df.columns) :]), options.output, options.mode)
    version, rows = tables.last_write(spark, options.output)
    seconds = _since(begin)
    say(
        f"scored {rows:,} rows in {seconds} s, {rows / max(seconds, 1e-9):,.0f} rows/s, to {options.output} (version {version})"
    )
    return {"job": "score", "output": options.output, "version": version, "rows": rows, "seconds": seconds}


def say(line: str) -> None:
    """Progress and summaries go to standard error: standard output is the result's."""
    print(line, file=sys.stderr, flush=True)


def _since(begin: float) -> float:
    return round(time.monotonic() - begin, 1)
