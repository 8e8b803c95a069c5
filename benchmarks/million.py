"""A million short texts through a cluster of several processes: every row once, in its place, in workers that do not grow.

  python benchmarks/million.py [--rows 1000000]

Master `local-cluster[2,2,1024]` with made-up GPUs (two an executor), a tiny model made on the spot. Prints rows/s, which GPU each
task would take if the GPUs were there, how many rows came back wrong, and the workers' memory from their first window to their last.
"""

import argparse
import os
import stat
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa
import pyspark
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassifier, local_session
from sparknlp_tx.scoring import udf
from sparknlp_tx.scoring.executor import score_arrow
from sparknlp_tx.testing import make_checkpoint

WORDS = [
    "card",
    "lost",
    "stolen",
    "blocked",
    "pin",
    "wallet",
    "exchange",
    "rate",
    "currency",
    "euro",
    "dollar",
    "convert",
    "transfer",
    "money",
    "account",
    "bank",
]


def noting(path: str) -> Callable:
    """`score_arrow` that notes the process and its resident memory after each window."""

    def make(scoring: Any, observed: bool = False) -> Callable:
        def score(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
            for scores in score_arrow(scoring, observed)(batches):
                pages = int(Path("/proc/self/statm").read_text().split()[1])
                with open(path, "a") as file:
                    file.write(f"{os.getpid()} {pages * os.sysconf('SC_PAGE_SIZE') // 10**6}\n")
                yield scores

        return score

    return make


def devices(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The device of a task, were there as many GPUs as Spark has been told."""
    from pyspark import TaskContext

    from sparknlp_tx.scoring import executor as worker

    worker.gpu_count = lambda: 2
    for _ in batches:
        pass
    yield pa.RecordBatch.from_pydict({"device": [worker.task_device("auto", TaskContext.get())]})


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    folder = Path(mkdtemp())
    found = folder / "gpus.sh"
    found.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["0", "1"]}\'\n')
    found.chmod(found.stat().st_mode | stat.S_IEXEC)
    os.environ |= {
        "SPARK_HOME": os.path.dirname(pyspark.__file__),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    gpus = {
        f"spark.{owner}.resource.gpu.{what}": value
        for owner in ("worker", "executor")
        for what, value in (("amount", "2"), ("discoveryScript", str(found)))
    }
    conf = gpus | {"spark.task.resource.gpu.amount": "1", "spark.executorEnv.PYTHONPATH": str(Path(__file__).parent.parent)}
    spark = local_session(master="local-cluster[2,2,1024]", conf=conf)
    texts = [(f"{a} {b}", "money" if a < b else "card") for a in WORDS for b in WORDS]
    checkpoint = make_checkpoint([text for text, _ in texts], folder / "checkpoint", vocab_size=200, hidden_size=32)
    model = TransformerClassifier(checkpoint=checkpoint, maxLength=32, numTrainEpochs=1.0).fit(
        spark.createDataFrame(texts, "text string, label string")
    )
    udf.score_arrow = noting(str(folder / "memory"))
    n = len(WORDS)
    pick = F.array(*map(F.lit, WORDS))
    word = lambda step: pick[((F.col("id") * step) % n).cast("int")]  # noqa: E731
    df = spark.range(0, rows, 1, 8).select("id", F.concat_ws(" ", word(1), word(7), F.col("id").cast("string")).alias("text"))
    seen = spark.range(0, 8, 1, 8).mapInArrow(devices, "device string").groupBy("device").count().collect()
    print("devices:", {row["device"]: row["count"] for row in seen})
    begin = time.monotonic()
    model.transform(df).select("id", "text", "prediction", "predictedLabel").write.format("delta").save(str(folder / "scored"))
    seconds = time.monotonic() - begin
    scored = spark.read.format("delta").load(str(folder / "scored"))
    counted = scored.agg(
        F.count("*").alias("rows"), F.count_distinct("id").alias("ids"), F.count("prediction").alias("scored")
    ).collect()[0]
    sample = scored.join(df.withColumnRenamed("text", "own"), "id").filter(F.col("id") % max(1, rows // 2_000) == 0).collect()
    expected = model.predict([row["own"] for row in sample])["predictedLabel"].tolist()
    wrong = sum(
        row["text"] != row["own"] or row["predictedLabel"] != label for row, label in zip(sample, expected, strict=True)
    )
    memory = defaultdict(list)
    for line in (folder / "memory").read_text().splitlines():
        process, megabytes = map(int, line.split())
        memory[process].append(megabytes)
    print(
        f"{rows:,} rows in {seconds:.0f} s, {rows / seconds:,.0f} rows/s; {counted.asDict()}; wrong of {len(sample):,} looked at: {wrong}"
    )
    for process, values in memory.items():
        print(
            f"worker {process}: {len(values)} windows, {values[0]} MB after the first, {values[len(values) // 2]} half way, {values[-1]} at the end"
        )
    spark.stop()


if __name__ == "__main__":
    main()
