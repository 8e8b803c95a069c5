"""What tuning buys over the defaults: one fit, random search, and the sampler with the pruner, on real data, at equal seconds of training.

  python benchmarks/tuning.py --data FOLDER --checkpoint FOLDER [--corpora banking77 sms_spam] [--trials 12] [--rows 2000] [--seeds 1]

FOLDER of --data holds a folder for each corpus with its Parquet files. A seventh of the rows is for validation. Random search has the
trials to their ends; the sampler with the pruner then has as many seconds, and as many trials as fit into them. Prints a table of validation
and test accuracy, trials, seconds.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import mlflow
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassificationModel, local_session
from sparknlp_tx.cli.commands.train import train
from sparknlp_tx.cli.commands.tune import tune


def tables(spark, folder: Path, output: Path, rows: int) -> dict[str, str]:
    """Delta tables of training, validation and test rows."""
    found = spark.read.parquet(str(folder / "train.parquet")).select("text", "label")
    found = found.orderBy(F.xxhash64("text")).limit(rows)
    held = F.pmod(F.xxhash64("text", F.lit(1)), F.lit(7)) == 0
    test = spark.read.parquet(str(folder / "test.parquet")).select("text", "label")
    splits = {"train": found.filter(~held), "validation": found.filter(held), "test": test}
    for name, df in splits.items():
        df.coalesce(1).write.format("delta").mode("overwrite").save(str(output / name))
    return {name: str(output / name) for name in splits}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--corpora", nargs="+", default=["banking77", "sms_spam"])
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--max-length", type=int, default=64)
    options = parser.parse_args()
    output = Path(tempfile.mkdtemp())
    mlflow.set_tracking_uri(f"sqlite:///{output}/mlflow.db")
    os.chdir(output)
    spark = local_session(warehouse=output / "warehouse")
    print(
        "| corpus | seed | way | trials | pruned | seconds | validation accuracy | test accuracy |\n| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
        flush=True,
    )
    for corpus in options.corpora:
        given = tables(spark, options.data / corpus, output / corpus, options.rows)
        for seed in range(options.seeds):
            params = {"checkpoint": options.checkpoint, "seed": seed, "maxLength": options.max_length}
            begin = time.monotonic()
            one = train(spark, **given, model_dir=str(output / f"{corpus}-{seed}-defaults"), experiment="tuning", params=params)
            line(corpus, seed, "defaults", 1, 0, time.monotonic() - begin, one.metrics)
            seconds = 0.0
            for way, pruner in (("random", "none"), ("tpe", "median")):
                budget = (
                    {"trials": options.trials}
                    if way == "random"
                    else {"trials": 4 * options.trials, "max_hours": seconds / 3600}
                )
                folder = output / f"{corpus}-{seed}-{way}"
                found = tune(
                    spark,
                    **given,
                    model_dir=str(folder),
                    experiment="tuning",
                    params=params,
                    sampler=way,
                    pruner=pruner,
                    **budget,
                )
                trials = found["study"]["trials"]
                seconds = sum(trial["seconds"] for trial in trials)
                pruned = sum(trial["state"] == "pruned" for trial in trials)
                assert TransformerClassificationModel.load(str(folder)).labels
                line(corpus, seed, way, len(trials), pruned, seconds, found["metrics"])


def line(corpus: str, seed: int, way: str, trials: int, pruned: int, seconds: float, metrics: dict[str, float]) -> None:
    found = metrics["validation.accuracy"], metrics["test.accuracy"]
    print(f"| {corpus} | {seed} | {way} | {trials} | {pruned} | {seconds:.0f} | {found[0]:.4f} | {found[1]:.4f} |", flush=True)


if __name__ == "__main__":
    main()
