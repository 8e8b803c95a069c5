"""How much memory the driver's Python takes while a large table is tokenised and staged for training.

  python benchmarks/staging.py --checkpoint FOLDER [--rows 2000000] [--words 80]

Stages a generated table, the JVM limited to 1 GB of heap, and prints rows/s, the size on disk, and by how much the process's own memory rose at its peak (the anonymous
part of its resident set: pages of memory-mapped files are not counted, as the kernel takes them back when it needs them).
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

from pyspark.sql import functions as F

from sparknlp_tx import local_session
from sparknlp_tx.data.staging import stage
from sparknlp_tx.data.training_rows import TrainingColumns
from sparknlp_tx.files import file_hashes
from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.training.tokenizer import save_tokenizer


def own_megabytes() -> float:
    """Anonymous resident memory of this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("no RssAnon in /proc/self/status")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="whose tokenizer is taken; texts are cut at 256 tokens")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--words", type=int, default=80)
    options = parser.parse_args()
    spark = local_session(master="local[2]", conf={"spark.driver.memory": "1g"})
    words = F.array(*[F.lit(word) for word in ["card", "rate", "money", "please", "transfer", "account", "euro", "lost"]])
    text = F.array_join(
        F.transform(F.sequence(F.lit(1), F.lit(options.words)), lambda i: words[(i * F.col("id") % 8).cast("int")]), " "
    )
    df = spark.range(0, options.rows, 1, 32).select(text.alias("text"), (F.col("id") % 10).alias("label"))
    columns = TrainingColumns("text", "label")
    folder = tempfile.mkdtemp()
    save_tokenizer(options.checkpoint, 256, folder)
    tokenizer = ModelLocation(folder, file_hashes(folder))
    warm = df.limit(1000)
    with tempfile.TemporaryDirectory() as folder:
        stage(warm, columns, columns.learn_labels(warm), tokenizer, Path(folder))
    labels = columns.learn_labels(df)
    before, peak, done = own_megabytes(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], own_megabytes())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        train, _ = stage(df, columns, labels, tokenizer, Path(folder))
        seconds = time.monotonic() - begin
        size = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
        assert len(train) == options.rows
        done.set()
        watcher.join()
    text = labels.characters / 1e6
    print(
        f"{options.rows:,} rows, {text:,.0f} MB of text, {size:,.0f} MB of tokens, in {seconds:.0f} s: {options.rows / seconds:,.0f} rows/s"
    )
    print(f"driver's Python: {before:.0f} MB before, at most {peak[0]:.0f} MB: +{peak[0] - before:.0f} MB")
    spark.stop()


if __name__ == "__main__":
    main()
