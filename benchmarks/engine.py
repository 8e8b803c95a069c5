"""Scoring beside itself: what duplicates, small partitions and Spark cost or save, and how far the core is used.

  python benchmarks/engine.py --model MODEL_DIR --input FILE.parquet [--rounds 3] [--cases duplicates partitions ...]

Cases, each a ratio measured in turn in one run, two slots (`local[2]`):
  duplicates   half of the rows repeated, against as many distinct ones                     (fresh workers, loading included)
  partitions   200 partitions of 15 rows against the same 3,000 rows in 2 partitions        (fresh workers, loading included)
  spark        transform of 50,000 rows against two processes that run the engine alone     (both started fresh, loading included)
  peak         float32 on one core against the same core's matrix multiplication, GFLOP/s of the model's matrices, padding not counted
  worker       seconds until a worker has its engine, and the most memory it takes over a partition of 1,540 rows
"""

import argparse
import multiprocessing
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from typing import Any

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame

from sparknlp_tx import InferenceEngine, TransformerClassificationModel, local_session
from sparknlp_tx.scoring.executor import score_arrow

SLOTS = 2
WARMING = 3


def seconds_of(model: Any, df: DataFrame) -> float:
    """Seconds to score a DataFrame in Python workers that this starts, as a nightly job does."""
    import psutil

    df.sparkSession.sparkContext.environment["RUN"] = uuid.uuid4().hex  # Spark keeps workers by their environment
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it may end meanwhile
            if "pyspark.worker" in " ".join(process.cmdline()):
                process.kill()
    begin = time.monotonic()
    model.transform(df).write.format("noop").mode("overwrite").save()
    return time.monotonic() - begin


def distinct(texts: list[str], rows: int) -> pd.DataFrame:
    """So many distinct texts: a number before those that come again."""
    again = rows // len(texts) + 1
    return pd.DataFrame({"text": [text if n == 0 else f"{n} {text}" for n in range(again) for text in texts][:rows]})


def compare(title: str, rounds: int, ours: Callable[[], float], base: Callable[[], float]) -> None:
    """Print the ratio of two rates, measured in turn; the first rounds, in which the JVM compiles what it runs, do not count."""
    for _ in range(WARMING):
        ours(), base()
    found = [(ours(), base()) for _ in range(rounds)]
    ratios = [a / b for a, b in found]
    rates = median(a for a, _ in found), median(b for _, b in found)
    print(
        f"{title}: {rates[0]:,.0f} against {rates[1]:,.0f}, ratio {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def duplicates(spark: Any, model: Any, texts: list[str], rounds: int) -> None:
    """Half of the rows repeated; 60,000, so that loading is not what is measured."""
    rows = 60_000
    half = distinct(texts, rows // 2)
    plain = spark.createDataFrame(distinct(texts, rows)).repartition(SLOTS).localCheckpoint()
    # each text beside its repeat: what lies in another window or in another partition is not spared
    doubled = (
        spark.createDataFrame(pd.concat([half, half])).repartition(SLOTS, "text").sortWithinPartitions("text").localCheckpoint()
    )
    compare("duplicates, rows/s", rounds, lambda: rows / seconds_of(model, doubled), lambda: rows / seconds_of(model, plain))


def partitions(spark: Any, model: Any, texts: list[str], rounds: int) -> None:
    """Many small partitions."""
    df = spark.createDataFrame(distinct(texts, 3_000))
    small, large = (df.repartition(n).localCheckpoint() for n in (200, SLOTS))
    compare(
        "200 partitions, rows/s", rounds, lambda: 3_000 / seconds_of(model, small), lambda: 3_000 / seconds_of(model, large)
    )


def engine_alone(path: str, max_length: int, texts: list[str]) -> int:
    """In a process of its own: load the engine and score."""
    os.environ["RAYON_NUM_THREADS"] = "1"
    engine = InferenceEngine.from_pretrained(path, "cpu", "auto", max_length, "auto", 1)
    return len(engine.predict_logits(texts))


def against_spark(spark: Any, model: Any, texts: list[str], rounds: int) -> None:
    """Transform, and the engine without Spark in as many processes."""
    rows = 50_000
    table = distinct(texts, rows)
    df = spark.createDataFrame(table).repartition(SLOTS).localCheckpoint()
    shuffled = table["text"].sample(frac=1, random_state=0).tolist()
    parts = [(str(model.directory), model.getMaxLength(), shuffled[n::SLOTS]) for n in range(SLOTS)]

    def alone() -> float:
        begin = time.monotonic()
        with multiprocessing.get_context("spawn").Pool(SLOTS) as pool:
            assert sum(pool.starmap(engine_alone, parts)) == rows
        return rows / (time.monotonic() - begin)

    compare("transform against the engine alone, rows/s", rounds, lambda: rows / seconds_of(model, df), alone)


def peak(spark: Any, model: Any, texts: list[str], rounds: int) -> None:
    """Float32 on one core against the largest rate of a matrix multiplication there."""
    import torch
    from safetensors import safe_open

    torch.set_num_threads(1)
    with safe_open(model.directory / "model.safetensors", "np") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    layers = [shape for name, shape in shapes.items() if len(shape) == 2 and "embeddings" not in name and "layer" in name]
    engine = InferenceEngine.from_pretrained(model.directory, "cpu", "float32", model.getMaxLength(), "auto", 1)
    lengths = engine.encoder.encode(texts).lengths()
    hidden = layers[0][0]
    depth = sum(shape == layers[0] for shape in layers) // 4
    flops = 2 * sum(a * b for a, b in layers) * lengths.sum() + 4 * hidden * depth * (lengths**2).sum()
    last = sum(a * b for a, b in layers) // depth - 2 * hidden**2  # of the last layer's matrices all but keys and values
    spared = 2 * last * (lengths - 1).sum() + 4 * hidden * (lengths**2 - lengths).sum() if engine.backend.packs else 0
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)

    def engine_rate() -> float:
        begin = time.monotonic()
        engine.predict_logits(texts)
        return float(flops) / (time.monotonic() - begin) / 1e9

    def matrix_rate() -> float:
        best = 1e9
        for _ in range(20):
            begin = time.perf_counter()
            a @ b
            best = min(best, time.perf_counter() - begin)
        return 2 * 2048**3 / best / 1e9

    engine.predict_logits(texts[:200])
    compare("float32 on one core, GFLOP/s of matrices", rounds, engine_rate, matrix_rate)
    print(
        f"  counted are all of the model's; {1 - spared / flops:.1%} of them are computed, of the last layer what its head reads"
    )


def worker(spark: Any, model: Any, texts: list[str], rounds: int) -> None:
    """What one worker takes."""
    from sparknlp_tx.scoring import udf

    path = f"{mkdtemp()}/workers"

    def noting(scoring: Any, observed: bool = False) -> Callable:
        def score(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
            begin = time.monotonic()
            from sparknlp_tx.scoring.executor import task_engine
            from sparknlp_tx.scoring.executor_probe import peak_memory

            task_engine(scoring)
            ready = time.monotonic() - begin
            yield from score_arrow(scoring, observed)(batches)
            with open(path, "a") as file:
                file.write(f"{ready} {peak_memory()}\n")

        return score

    udf.score_arrow = noting
    df = spark.createDataFrame(distinct(texts, 3_080)).repartition(SLOTS).localCheckpoint()
    for precision in ("auto", "float32"):
        for _ in range(rounds):
            seconds_of(model.copy({model.precision: precision}), df)
        found = [tuple(map(float, line.split())) for line in Path(path).read_text().splitlines()]
        Path(path).unlink()
        ready, memory = (max(values) for values in zip(*found, strict=True))
        print(
            f"worker, {precision}: engine ready {ready:.2f} s after the first row, {memory / 1e6:.0f} MB, the largest of {len(found)}"
        )
    udf.score_arrow = score_arrow


CASES = {"duplicates": duplicates, "partitions": partitions, "spark": against_spark, "peak": peak, "worker": worker}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    spark = local_session(master=f"local[{SLOTS}]")
    model = TransformerClassificationModel.load(options.model).setMaxLength(options.max_length)
    texts = pd.read_parquet(options.input)["text"].tolist()
    model.transform(
        spark.createDataFrame(distinct(texts, 100))
    ).count()  # exports the model where that was not done; warms Spark
    for case in options.cases:
        CASES[case](spark, model, texts, options.rounds)
    spark.stop()


if __name__ == "__main__":
    main()
