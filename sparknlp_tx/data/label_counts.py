"""The labels of a training table and how often each occurs, in one aggregation."""

import math
from dataclasses import dataclass, replace
from decimal import Decimal

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from sparknlp_tx.data.label_columns import NAMES, _element, label_name, label_names, nominal_names
from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, SINGLE
from sparknlp_tx.spark.named_columns import column_of, named

MAX_LABELS = 10_000
LEAST_WEIGHT, MOST_WEIGHT = 1e-12, 1e30  # of a row that counts, and of any; training adds them up in float32


@dataclass(frozen=True)
class LabelCounts:
    """What one aggregation says of a training table.

    Attributes:
        labels: the labels in order; none for regression.
        rows: how many rows with a text there are; invalid: rows left out for want of one.
        counts: training rows of each label, validation rows left out.
        train: training rows.
        mean: of the training rows' targets, for regression.
        characters: of all texts together.
    """

    labels: list[str]
    rows: int
    invalid: int
    counts: list[int]
    train: int
    mean: float = 0.0
    characters: int = 0

    def continuing(self, known: list[str]) -> "LabelCounts":
        """Reorder the labels: those of a checkpoint first, in its order, then new ones; unchanged if it knows none of them."""
        if not set(known) & set(self.labels):
            return self
        count = dict(zip(self.labels, self.counts, strict=True))
        labels = known + [label for label in self.labels if label not in known]
        return replace(self, labels=labels, counts=[count.get(label, 0) for label in labels])

    def start_bias(self, problem_type: str) -> list[float]:
        """Where the logits of a new head begin: log-priors, log-odds (each count and a half), or the mean target."""
        if problem_type == REGRESSION:
            return [self.mean]
        if problem_type == MULTI:
            return [math.log((count + 0.5) / (self.train - count + 0.5)) for count in self.counts]
        return [math.log(max(count, 0.5) / self.train) for count in self.counts]

    def balanced_weights(self, problem_type: str) -> list[float]:
        """Of one label a row: rows / (labels x rows of the label), scikit-learn's `balanced`; of several: negatives / positives."""
        if problem_type == MULTI:
            return [max(self.train - count, 1) / max(count, 1) for count in self.counts]
        return [self.train / (len(self.counts) * max(count, 1)) for count in self.counts]


def learn_labels(
    df: DataFrame,
    column: str,
    problem_type: str,
    invalid: Column,
    held_out: Column,
    weight: Column,
    characters: Column,
) -> LabelCounts:
    """The labels of a table, in one aggregation: names sorted as text, numbers by value, false before true.

    Args:
        column: the label column.
        problem_type: what `problem_type_of` gave.
        invalid: whether a row has no text; held_out: whether it is a validation row; weight: how much it counts, a double.
        characters: of its texts.

    Raises:
        InputError: an empty table, null labels, labels that Spark cannot tell apart, bad weights; says what to do.
    """
    flags = {"invalid": invalid, "held_out": held_out, "characters": characters}
    flags |= {"bad_weight": bad_weight(weight), "counts": weight >= LEAST_WEIGHT}
    df = df.select(column_of(df, column).alias(column), *(flag.alias(f"__{name}") for name, flag in flags.items()))
    find = {SINGLE: _of_one, MULTI: _of_several, REGRESSION: _of_numbers}[problem_type]
    return find(df, column, f"labelCol {column!r}")


def _totals() -> list[Column]:
    """Of a group of rows: all, those without a text, those to train on, among them those that count, those whose weight is none; characters."""
    usable = ~F.col("__invalid")
    return [
        F.count(F.lit(1)).alias("rows"),
        F.sum(F.col("__invalid").cast("long")).alias("invalid"),
        F.sum((usable & ~F.col("__held_out")).cast("long")).alias("train"),
        F.sum((usable & ~F.col("__held_out") & F.col("__counts")).cast("long")).alias("counted"),
        F.sum((usable & F.col("__bad_weight")).cast("long")).alias("bad_weights"),
        F.sum(F.when(usable, F.col("__characters")).otherwise(0).cast("long")).alias("characters"),
    ]


def _of_one(df: DataFrame, column: str, where: str) -> LabelCounts:
    label = named(column)
    grouped = df.groupBy(label.alias("value"), label_name(column, df).alias("name")).agg(*_totals())
    found = grouped.limit(MAX_LABELS + 1).collect()
    _check_rows(found, where)
    names = nominal_names(column, df)
    for row in found:
        if row["name"] is None:
            raise _null_labels(row["rows"], where)
        if isinstance(row["value"], float | Decimal) and row["value"] % 1 != 0:
            remedy = "Round it, turn it into names, or set problemType='regression'."
            raise InputError(f"whole numbers or names in {where}", f"{row['value']}", remedy)
        if names and row["name"] not in names:
            remedy = "Run its StringIndexer over these rows too, or take the column that it was made from."
            raise InputError(
                f"0 to {len(names) - 1} in {where}, the places of its {len(names)} names", f"{row['value']}", remedy
            )
    found.sort(key=lambda row: row["value"])
    trained = [row for row in found if row["train"]]
    unknown = [row["name"] for row in found if row["rows"] > row["invalid"] and not row["train"]]
    _check_known(trained, unknown)
    if len(trained) < 2:
        only = f"only {trained[0]['name']!r}" if trained else "validation rows only" if unknown else "no row with a text"
        raise InputError(f"at least two labels in {where}", only, "Check the column and the table's filters.")
    _check_rare([row["name"] for row in trained if row["train"] < 2], where)
    rows, invalid = sum(row["rows"] for row in found), sum(row["invalid"] for row in found)
    counts = [row["train"] for row in trained]
    characters = sum(row["characters"] for row in found)
    return LabelCounts([row["name"] for row in trained], rows - invalid, invalid, counts, sum(counts), characters=characters)


def _of_several(df: DataFrame, column: str, where: str) -> LabelCounts:
    """One aggregation over (kind, value): `row` for every row, `null`, and `label` for each label that a row has."""
    label = named(column)
    indicators = not isinstance(_element(column, df), NAMES)

    def entry(kind: str, value: Column) -> Column:
        return F.struct(F.lit(kind).alias("kind"), value.cast("string").alias("value"))

    names = F.transform(label_names(column, df), lambda name: entry("label", name))
    row = entry("row", F.size(label) if indicators else F.lit(None))
    wrong = (
        ~label.isNull() & F.exists(label, lambda value: ~value.cast("double").isin(0.0, 1.0)) if indicators else F.lit(False)
    )
    entries = (
        F.when(label.isNull() | F.exists(label, lambda value: value.isNull()), F.array(row, entry("null", F.lit(None))))
        .when(wrong, F.array(row, entry("wrong", label.cast("string"))))
        .otherwise(F.concat(F.array(row), names))
    )
    exploded = df.select(
        F.explode(entries).alias("entry"), "__invalid", "__held_out", "__bad_weight", "__counts", "__characters"
    )
    grouped = exploded.groupBy("entry.kind", "entry.value").agg(*_totals()).limit(2 * MAX_LABELS + 2).collect()
    found = {kind: [row for row in grouped if row["kind"] == kind] for kind in ("row", "null", "wrong", "label")}
    _check_rows(found["row"], where)
    if found["null"]:
        raise _null_labels(found["null"][0]["rows"], where)
    if found["wrong"]:
        raise InputError(f"0 and 1 in the arrays of {where}", found["wrong"][0]["value"], "Give one 0 or 1 for each label.")
    if indicators and len(found["row"]) > 1:
        sizes = ", ".join(sorted((row["value"] for row in found["row"]), key=int)[:5])
        raise InputError(f"arrays of one length in {where}", f"lengths {sizes}", "Give one 0 or 1 for each label.")
    return _counts_of_several(found["row"], {row["value"]: row for row in found["label"]}, indicators, where)


def _counts_of_several(rows: list[Row], labels: dict[str, Row], indicators: bool, where: str) -> LabelCounts:
    """What the totals of all rows, and of those with each label, say of a table."""
    _check_count(len(labels), where)
    every = [str(n) for n in range(int(rows[0]["value"]))] if indicators else sorted(labels)
    counts = [labels[name]["train"] if name in labels else 0 for name in every]
    trained = [name for name, count in zip(every, counts, strict=True) if count]
    if not indicators:  # an indicator vector keeps its places, whether the training rows have the label or not
        _check_known(
            trained, [name for name in every if name not in trained and labels[name]["rows"] > labels[name]["invalid"]]
        )
        every, counts = trained, [count for count in counts if count]
    if not trained:
        remedy = "Check the column and the table's filters."
        raise InputError(f"at least one label in {where}", "none in any row with a text", remedy)
    total, invalid, train, characters = (sum(row[name] for row in rows) for name in ("rows", "invalid", "train", "characters"))
    return LabelCounts(every, total - invalid, invalid, counts, train, 0.0, characters)


def _of_numbers(df: DataFrame, column: str, where: str) -> LabelCounts:
    target = named(column).cast("double")
    bad = target.isNull() | F.isnan(target) | (F.abs(target) == math.inf)
    trained = ~F.col("__invalid") & ~F.col("__held_out") & ~bad
    sums = [F.sum(bad.cast("long")).alias("bad"), F.mean(F.when(trained, target)).alias("mean")]
    row = df.agg(*_totals(), *sums).collect()[0]
    if row["rows"] and row["bad"]:
        found = f"{row['bad']} rows with null, NaN or infinity"
        raise InputError(f"a finite number in every row of {where}", found, "Filter them out.")
    _check_rows([row] if row["rows"] else [], where)
    rows = row["rows"] - row["invalid"]
    return LabelCounts([], rows, row["invalid"], [], row["train"], row["mean"] or 0.0, row["characters"])


def _check_rows(found: list, where: str) -> None:
    if not found:
        raise InputError("rows to train on", "an empty table", "Check the table and its filters.")
    _check_count(len(found), where)
    check_weights(sum(row["bad_weights"] for row in found))
    if sum(row["train"] for row in found) and not sum(row["counted"] for row in found):
        expected = f"a weight of {LEAST_WEIGHT:g} or more in some training row"
        raise InputError(expected, "weights of 0 only", "Mend weightCol, or unset it.")


def bad_weight(weight: Column) -> Column:
    """Whether a weight, a double, is none: null, no number, negative, infinite, or too large for float32 to add up a batch of them."""
    return weight.isNull() | F.isnan(weight) | (weight < 0) | (weight > MOST_WEIGHT)


def check_weights(bad: int) -> None:
    """Raise InputError where rows have a weight that is none."""
    if bad:
        found = f"{bad} rows with a weight that is negative, infinite (above {MOST_WEIGHT:g}), NaN or null"
        raise InputError("a weight of 0 or more in every row", found, "Mend weightCol.")


def _check_count(number: int, where: str) -> None:
    if number > MAX_LABELS:
        raise InputError(f"at most {MAX_LABELS:,} labels in {where}", "more than that", "Is it the text or an identifier?")


def _check_known(trained: list, unknown: list[str]) -> None:
    if trained and unknown:
        remedy = "Filter them out, or put some of their rows among the training rows."
        raise InputError("validation rows with labels of the training rows", f"{', '.join(unknown[:5])} as well", remedy)


def _check_rare(rare: list[str], where: str) -> None:
    if rare:
        remedy = "Filter it out, join it with another label, or find more rows of it."
        raise InputError(
            f"at least two training rows of each label in {where}", f"one of {', '.join(map(repr, rare[:5]))}", remedy
        )


def _null_labels(rows: int, where: str) -> InputError:
    return InputError(f"a label in every row of {where}", f"{rows} rows with null", "Fill them in, or filter them out.")
