"""The main job end to end on this machine: prepare -> train -> score -> MLflow, without a download or an account.

  python jobs/demo.py [--checkpoint NAME] [--output demo] [--limit 1200] [--num-train-epochs 6]

The corpus is the docstrings of installed libraries, the label is the library; the checkpoint is a small BERT made on the spot,
with random weights, unless --checkpoint names a model on the Hugging Face hub or a folder. Everything goes through the very
commands that a user runs: prepare, train, score.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from sparknlp_tx.cli import main as cli
from sparknlp_tx.errors import InputError
from sparknlp_tx.spark import tables
from sparknlp_tx.spark.session import local_session
from sparknlp_tx.testing import make_checkpoint


def main(argv: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser("demo.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="default: a small BERT with random weights")
    parser.add_argument("--output", default="demo", help="folder for tables, model and MLflow store (default %(default)s)")
    parser.add_argument("--limit", type=int, default=1_200, help="texts of each library (default %(default)s)")
    parser.add_argument("--num-train-epochs", type=float, default=6, help="passes over the texts (default %(default)s)")
    try:
        options = parser.parse_args(argv)
        folder = fresh_folder(options.output)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    import mlflow

    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    mlflow.create_experiment("demo", artifact_location=f"{folder}/mlartifacts")
    begin = time.monotonic()
    spark = local_session("sparknlp_tx demo", warehouse=folder / "warehouse")
    try:
        results = run(spark, options, folder)
        summary(spark, results, folder, time.monotonic() - begin)
    finally:
        spark.stop()
    return 0


def fresh_folder(output: str) -> Path:
    """An empty folder for the demo; an earlier demo there is removed, anything else is left alone."""
    folder = Path(output).absolute()
    marker = folder / ".sparknlp_tx-demo"
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise InputError("a new or empty folder, or one of an earlier demo", str(folder), "Name another: --output FOLDER.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    marker.touch()
    return folder


def run(spark: Any, options: Any, folder: Path) -> dict[str, dict[str, Any]]:
    """The three jobs, in one session; returns their results."""
    results = {"prepare": step("prepare", "--source", "docstrings", "--output", f"{folder}/delta", "--limit", options.limit)}
    checkpoint, own = options.checkpoint, []
    if checkpoint is None:
        texts = (row["text"] for row in tables.read_table(spark, f"{folder}/delta/train").select("text").toLocalIterator())
        checkpoint = make_checkpoint(texts, folder / "checkpoint", max_length=64)
        own = [
            "--learning-rate",
            "1e-3",
            "--head-learning-rate",
            "1e-3",
            "--warmup-steps",
            "0.1",
        ]  # random weights learn slowly
    results["train"] = step(
        "train",
        *("--train", f"{folder}/delta/train", "--validation", f"{folder}/delta/validation", "--test", f"{folder}/delta/test"),
        *("--checkpoint", checkpoint, "--model-dir", folder / "model", "--max-length", 64),
        *("--num-train-epochs", options.num_train_epochs, "--experiment", "demo", "--registered-model", "demo", *own),
    )
    results["score"] = step(
        "score", "--model", folder / "model", "--input", f"{folder}/delta/test", "--output", f"{folder}/delta/scored"
    )
    return results


def step(job: str, *argv: Any) -> dict[str, Any]:
    """Run a job; its last line of standard output is its result."""
    print(f"\n$ sparknlp-tx {job} {' '.join(map(str, argv))}", file=sys.stderr, flush=True)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = cli.main([job, *map(str, argv)])
    if code:
        sys.exit(code)
    return json.loads(output.getvalue().splitlines()[-1])


def summary(spark: Any, results: dict[str, dict[str, Any]], folder: Path, seconds: float) -> None:
    """What a person wants to see."""
    prepared, trained, scored = (results[name] for name in ("prepare", "train", "score"))
    metrics = trained["metrics"]
    test = {name.removeprefix("test."): value for name, value in metrics.items() if name.startswith("test.")}
    rows = ", ".join(f"{split} {prepared['rows'][split]:,}" for split in ("train", "validation", "test"))
    total = sum(prepared["rows"].values())
    print(f"""
The demo is done in {seconds:.0f} s.

  Data      {rows} rows; {trained["labels"]} labels
  Test      accuracy {test["accuracy"]:.1%}, macro-F1 {test["macro_f1"]:.3f}; most frequent: {test["majority_accuracy"]:.1%}
  Prepare   {prepared["seconds"]:.0f} s, {total / prepared["seconds"]:,.0f} rows/s
  Train     {trained["train_seconds"]:.0f} s, {trained["rows_per_second"]:,.0f} rows/s on {trained["device"]}
  Score     {scored["seconds"]:.0f} s, {scored["rows"] / scored["seconds"]:,.0f} rows/s, loading included

  A few predictions on the test rows:""")
    sample = tables.read_table(spark, scored["output"]).orderBy("text").limit(200).collect()
    for row in sample[:: max(1, len(sample) // 5)][:5]:
        sure = row["probability"][int(row["prediction"])]
        mark = "right" if row["label"] == row["predictedLabel"] else f"it is {row['label']}"
        print(f"    {row['predictedLabel']:<14}{sure:>6.1%}  ({mark})  {row['text'][:70]}")
    shown = Path(os.path.relpath(folder))
    print(f"""
  Delta tables  {", ".join(f"{shown}/delta/{name}" for name in ("train", "validation", "test", "labels", "scored"))}
  Model         {shown}/model
  MLflow page   .venv/bin/mlflow ui --backend-store-uri sqlite:///{shown}/mlflow.db

  Next, in Python (.venv/bin/python):
    from sparknlp_tx import load_model
    model = load_model("{shown}/model")
    model.predict(["Return the eigenvalues of a symmetric matrix."])
""")


if __name__ == "__main__":
    sys.exit(main())
