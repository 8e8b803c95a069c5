"""Which rows are held out: one rule, so that each row is in exactly one part, whatever the partitions and the order."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FractionalType

from sparknlp_tx.data import splits
from sparknlp_tx.data import splits as splits_of
from sparknlp_tx.data.training_rows import TrainingColumns
from sparknlp_tx.inference.decision_rules import SINGLE
from sparknlp_tx.spark.named_columns import column_of, find_column

VALIDATION = "__validation"


def carve_validation(df: DataFrame, columns: TrainingColumns, fraction: float, seed: int) -> tuple[DataFrame, TrainingColumns]:
    """Mark a part of the rows for validation, of each label the same part where a row has one.

    The choice depends only on texts, label and seed; equal texts of a label stay on one side.
    """
    drawn = splits.draw(seed, [column_of(df, name) for name in columns.texts])
    place = splits.place(drawn, column_of(df, columns.label) if columns.problem_type == SINGLE else None)
    return df.withColumn(VALIDATION, place <= fraction), columns._replace(validation=VALIDATION)


def joined_validation(train: DataFrame, validation: DataFrame, columns: Sequence[str]) -> DataFrame:
    """The rows of two tables, the second one's marked for validation; validation rows may lack a weight.

    Args:
        columns: those to train on; both tables have them.
    """
    marked = []
    for df, held_out in ((train, False), (validation, True)):
        there = [column_of(df, name).alias(name) for name in columns if find_column(df, name)]
        marked.append(df.select(*there, F.lit(held_out).alias(VALIDATION)))
    return marked[0].unionByName(marked[1], allowMissingColumns=True)


PLACES = 1_000_000


def draw(seed: int, texts: Sequence[Column]) -> Column:
    """A number for each row that its texts and the seed decide: equal texts have the same."""
    return F.xxhash64(F.lit(seed), *(F.coalesce(text, F.lit("")) for text in texts))


def place(drawn: Column, label: Column | None = None) -> Column:
    """Where a row stands, above 0 and at most 1: among the rows of its label, or, without one, among all.

    Args:
        drawn: what `draw` gives.
        label: rows of each label are spread evenly.
    """
    if label is not None:
        return F.cume_dist().over(Window.partitionBy(label).orderBy(drawn))
    return (F.pmod(drawn, F.lit(PLACES)) + 1) / PLACES


HELD_OUT = 0.1  # the part of the training rows that a missing validation or test split takes


def carve_splits(splits: dict[str, DataFrame], seed: int) -> dict[str, DataFrame]:
    """Keep the splits there are; take `validation` and `test`, where missing, out of `train`: 10 % of it each.

    Stratified by label. Which rows are taken depends on the texts and the seed alone, not on partitions or order, and equal
    texts of a label stay on one side.
    """
    missing = [split for split in ("validation", "test") if split not in splits]
    if not missing or "train" not in splits:
        return splits
    train = splits["train"]
    label = train.schema["label"].dataType
    drawn = splits_of.draw(seed, [F.col(name) for name in train.columns if name != "label"])
    spread = not isinstance(label, ArrayType | FractionalType)  # else there is nothing to stratify by
    place = splits_of.place(drawn, F.col("label") if spread else None)
    placed = train.withColumn("__place", place).withColumn("__part", F.lit(HELD_OUT))
    if spread:  # of a label of a few rows a part is one text, as long as train keeps one
        first = F.min("__place").over(Window.partitionBy("label"))
        placed = placed.withColumn("__part", F.when(first <= 1 / (len(missing) + 1), F.greatest(F.lit(HELD_OUT), first)))
        placed = placed.withColumn("__part", F.coalesce("__part", F.lit(HELD_OUT)))
    carved = {}
    for number, split in enumerate(missing):
        inside = (F.col("__place") > number * F.col("__part")) & (F.col("__place") <= (number + 1) * F.col("__part"))
        carved[split] = placed.filter(inside).drop("__place", "__part")
    carved["train"] = placed.filter(F.col("__place") > len(missing) * F.col("__part")).drop("__place", "__part")
    return splits | carved
