"""Fine-tune on real data through the three jobs: prepare, train, score; accuracy on the test split and seconds.

  python benchmarks/real_data.py --data FOLDER --checkpoint FOLDER [--corpora banking77 sms_spam] [--output FOLDER]

FOLDER of --data holds a folder for each corpus with its Parquet files. Prints a table.
"""

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import mlflow

from sparknlp_tx import local_session
from sparknlp_tx.cli import main as cli

SETTINGS = ["--num-train-epochs", "3", "--learning-rate", "3e-4", "--batch-size", "32", "--warmup-steps", "50", "--seed", "42"]


def run(job, *argv) -> dict:
    """A job's result."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = cli.main([job, *map(str, argv)])
    if code:
        sys.exit(code)
    return json.loads(output.getvalue().splitlines()[-1])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--corpora", nargs="+", default=["banking77", "sms_spam"])
    parser.add_argument("--output", type=Path, default=Path(tempfile.mkdtemp()))
    options = parser.parse_args()
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{options.output.absolute()}/mlflow.db"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    mlflow.create_experiment("real data", artifact_location=f"{options.output.absolute()}/mlartifacts")
    spark = local_session(warehouse=options.output / "warehouse")
    print(
        "| corpus | training rows | labels | test accuracy | macro-F1 | training s | rows/s | scoring rows/s, loading included |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for corpus in options.corpora:
        folder = options.output / corpus
        run("prepare", "--source", corpus, "--path", options.data / corpus, "--output", folder)
        splits = [word for split in ("train", "validation", "test") for word in (f"--{split}", folder / split)]
        model = ["--checkpoint", options.checkpoint, "--model-dir", folder / "model", "--overwrite"]
        trained = run("train", *splits, *model, *SETTINGS, "--experiment", "real data")
        scored = run("score", "--model", folder / "model", "--input", folder / "test", "--output", folder / "scored")
        metrics = trained["metrics"]
        print(
            f"| {corpus} | {trained['train_rows']:,} | {trained['labels']} | {metrics['test.accuracy']:.2%} "
            f"| {metrics['test.macro_f1']:.3f} | {trained['train_seconds']:.0f} | {trained['rows_per_second']:.0f} "
            f"| {scored['rows'] / scored['seconds']:.0f} |",
            flush=True,
        )
    spark.stop()


if __name__ == "__main__":
    main()
