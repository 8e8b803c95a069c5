"""A corpus written as Delta tables: splits carved out, shuffled, and a table of the labels."""

from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FractionalType, StringType

from sparknlp_tx.data.splits import carve_splits
from sparknlp_tx.spark import tables
from sparknlp_tx.spark.outputs import write_table
from sparknlp_tx.spark.table_names import is_path

FEW_ROWS, FEW_CHARACTERS = 20_000, 20_000_000  # that the driver holds at a time
WRITERS = 4  # tables that are written at the same time: of small ones most of the time is Delta's own


def target_name(output: str, name: str, table: str) -> str:
    """Where a table of a corpus goes: `output/table` in a folder, `output.name_table` in a schema."""
    return f"{output.rstrip('/')}/{table}" if is_path(output) else f"{output}.{name}_{table}"


def shuffled(df: DataFrame, seed: int) -> DataFrame:
    """The rows in an order that the seed decides: the same rows give the same order."""
    return df.orderBy(_order(df, seed))


def _order(df: DataFrame, seed: int) -> Column:
    return F.xxhash64(F.lit(seed), *df.columns)


def label_table(splits: dict[str, DataFrame]) -> list[tuple[int, str]]:
    """(index, label) rows of the training and validation splits, in the order that `TransformerClassifier` gives them; none for regression."""
    found = None
    for name, df in splits.items():
        kind = df.schema["label"].dataType
        if name not in ("train", "validation"):  # the labels are those of the training rows
            continue
        if isinstance(kind, FractionalType):
            return []
        if isinstance(kind, ArrayType) and not isinstance(kind.elementType, StringType):  # 0 and 1 for each label, by place
            longest = df.agg(F.max(F.size("label")).alias("n")).collect()[0]["n"] or 0
            return [(place, str(place)) for place in range(longest)]
        labels = df.select((F.explode("label") if isinstance(kind, ArrayType) else F.col("label")).alias("label"))
        found = labels if found is None else found.union(labels)
    if found is None:
        return []
    values = sorted(row["label"] for row in found.distinct().collect() if row["label"] is not None)
    return [(index, str(value).lower() if isinstance(value, bool) else str(value)) for index, value in enumerate(values)]


def prepare(spark: SparkSession, splits: dict[str, DataFrame], output: str, name: str, seed: int) -> dict[str, str]:
    """Write the splits and `labels` as Delta tables; returns table names or paths by split."""
    return write_corpus(spark, ready(spark, splits, seed), output, name)


class Corpus(NamedTuple):
    """Splits that are ready to be written.

    Attributes:
        splits: each in the order that the seed decides.
        is_small: whether they are held by the driver, so that computing on them again costs nothing.
    """

    splits: dict[str, DataFrame]
    is_small: bool


def ready(spark: SparkSession, splits: dict[str, DataFrame], seed: int) -> Corpus:
    """Carve out missing splits and shuffle each; a small corpus is computed once, and held by the driver."""
    carved = carve_splits(splits, seed)
    if len({df.schema.simpleString() for df in carved.values()}) > 1 or not _are_few(splits):
        return Corpus({split: shuffled(df, seed) for split, df in carved.items()}, is_small=False)
    schema = next(iter(carved.values())).schema
    marked = [df.select(*df.columns, _order(df, seed).alias("__order"), F.lit(s).alias("__split")) for s, df in carved.items()]
    rows = sorted(reduce(DataFrame.union, marked).collect(), key=lambda row: row["__order"])
    held: dict[str, list] = {split: [] for split in carved}
    for row in rows:
        held[row["__split"]].append(tuple(row[name] for name in schema.names))
    return Corpus({s: spark.createDataFrame(part, schema).coalesce(1) for s, part in held.items()}, is_small=True)


def _are_few(splits: dict[str, DataFrame]) -> bool:
    """Whether the rows of all splits together fit on the driver, and into a few megabytes there."""
    rows = characters = 0
    for df in splits.values():
        texts = (F.coalesce(F.length(name), F.lit(0)) for name in df.columns if name != "label")
        few = df.select(reduce(Column.__add__, texts).alias("size")).limit(FEW_ROWS + 1)
        found = few.agg(F.count(F.lit(1)).alias("rows"), F.sum("size").alias("size")).collect()[0]
        rows, characters = rows + found["rows"], characters + (found["size"] or 0)
        if rows > FEW_ROWS or characters > FEW_CHARACTERS:
            return False
    return True


def write_corpus(spark: SparkSession, corpus: Corpus, output: str, name: str) -> dict[str, str]:
    """Write splits, and a table of their labels, as Delta tables, at the same time; returns names or paths by split."""
    written = {split: target_name(output, name, split) for split in corpus.splits}
    with ThreadPoolExecutor(WRITERS) as pool:
        jobs = [pool.submit(write_table, df, written[split]) for split, df in corpus.splits.items()]
        if not corpus.is_small:
            for job in jobs:
                job.result()
        read = corpus.splits if corpus.is_small else {s: tables.read_table(spark, table) for s, table in written.items()}
        labels = spark.createDataFrame(label_table(read), "index int, label string").coalesce(1)
        written["labels"] = target_name(output, name, "labels")
        jobs.append(pool.submit(write_table, labels, written["labels"]))
        for job in jobs:
            job.result()
    return written
