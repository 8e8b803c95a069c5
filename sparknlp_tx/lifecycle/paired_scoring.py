"""Several models on the same labelled rows, scored once: one aggregation of Spark, whose result is small, holds all that is compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from sparknlp_tx.data.label_columns import true_labels
from sparknlp_tx.data.text_columns import text_column
from sparknlp_tx.errors import InputError
from sparknlp_tx.evaluation.measure import collected
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, SINGLE, indicators
from sparknlp_tx.metrics.compute import CALIBRATION_BINS
from sparknlp_tx.metrics.paired import Outcomes
from sparknlp_tx.spark.named_columns import column_of

if TYPE_CHECKING:
    import pandas as pd

    from sparknlp_tx.ml.model import TransformerClassificationModel

SHOWN_CHARACTERS = 300
NUMBERS = 20_000  # rows of regression that are compared: each is a group of its own


@dataclass
class PairedScores:
    """What several models say of the same rows.

    Attributes:
        outcomes: the rows in groups; the models under their names.
        slices: by column, the value of each group, str [groups].
        calibration_error: by model, over 15 bins; empty but for one label a row.
        disagreements: `text`, `truth`, each model's prediction under its name, and `gap`, how far they are apart: the rows on which the
            first two models differ most, at most one of each kind of difference.
        without_text, without_label: rows that are left out.
    """

    outcomes: Outcomes
    slices: dict[str, np.ndarray] = field(default_factory=dict)
    calibration_error: dict[str, float] = field(default_factory=dict)
    disagreements: list[dict[str, Any]] = field(default_factory=list)
    without_text: int = 0
    without_label: int = 0


def score_together(
    models: Mapping[str, "TransformerClassificationModel"], df: DataFrame, slices: Sequence[str] = ()
) -> PairedScores:
    """Score a labelled table with each model, once, on the executors.

    Args:
        models: by name; `check_comparable` and `check_truth` have passed. The first one's label column is the truth.
        df: the table; rows without a text or a label are left out. Of regression at most 20,000 rows are taken, chosen by their hash.
        slices: columns whose values make slices; see `check_slices`.

    Raises:
        InputError: no row is left to compare.
    """
    scored, dropped = _scored(models, df, slices)
    first = next(iter(models.values()))
    kind = first.decision.problem_type
    keys = [f"__slice{n}" for n in range(len(slices))]
    grouped = _numbers(scored, models, keys) if kind == REGRESSION else _groups(scored, len(models), keys, kind)
    rows = collected(grouped)
    if not rows:
        raise InputError("rows with a text and a label", "none that every model scores", "Check the table's texts and labels.")
    found = _paired(rows, models, list(slices), kind)
    found.without_text, found.without_label = dropped
    return found


def _scored(
    models: Mapping[str, "TransformerClassificationModel"], df: DataFrame, slices: Sequence[str]
) -> tuple[DataFrame, tuple[int, int]]:
    """The rows to compare with each model's columns; and how many lack a text, and a label."""
    first = next(iter(models.values()))
    texts = dict.fromkeys(name for model in models.values() for name in model.text_columns)
    missing = F.lit(False)
    for name in texts:
        missing = missing | text_column(df, name).isNull() | (F.length(text_column(df, name)) == 0)
    truth = true_labels(df, first.getLabelCol(), first.decision)
    lacking = df.agg(F.count_if(missing), F.count_if(truth.isNull() & ~missing)).collect()[0]
    own = [column_of(df, name).alias(name) for name in texts]
    groups = [
        F.coalesce(column_of(df, name).cast("string"), F.lit("null")).alias(f"__slice{n}") for n, name in enumerate(slices)
    ]
    shown = F.substring(F.concat_ws(" | ", *(text_column(df, name) for name in first.text_columns)), 1, SHOWN_CHARACTERS)
    rows = df.filter(~missing & truth.isNotNull()).select(*own, *groups, truth.alias("__truth"), shown.alias("__text"))
    for n, model in enumerate(models.values()):
        outputs = {"rawPredictionCol": "", "predictedLabelCol": "", "predictionCol": f"__predicted{n}", "handleInvalid": "keep"}
        outputs["probabilityCol"] = "" if model.decision.problem_type == REGRESSION else f"__probability{n}"
        quiet = model.copy({model.getParam(name): value for name, value in outputs.items()})
        rows = quiet.transform(rows)
    return rows, (lacking[0], lacking[1])


def _groups(scored: DataFrame, models: int, keys: list[str], kind: str) -> DataFrame:
    """Rows counted by slices, truth, predictions and bins of confidence; the text on which the first two models are surest, and differ."""
    keyed, sums = [*(F.col(key) for key in keys)], []
    truth = F.array_sort("__truth") if kind == MULTI else F.col("__truth")
    keyed.append(truth.alias("__truth"))
    for n in range(models):
        label = F.col(f"__predicted{n}")
        keyed.append((F.array_sort(label) if kind == MULTI else label).alias(f"__predicted{n}"))
        if kind == SINGLE:
            confidence = F.array_max(vector_to_array(F.col(f"__probability{n}")))
            last = F.lit(CALIBRATION_BINS - 1)
            keyed.append(F.least(F.floor(confidence * CALIBRATION_BINS).cast("int"), last).alias(f"__bin{n}"))
            sums.append(F.sum(confidence).alias(f"__confidence{n}"))
    differ = F.struct(_gap(kind, models).alias("gap"), F.col("__text").alias("text"))
    return scored.groupBy(*keyed).agg(F.count(F.lit(1)).alias("__rows"), F.max(differ).alias("__differ"), *sums)


def _gap(kind: str, models: int) -> Column:
    """How far the first two models are apart on a row: 0 where they agree; of one label a row how sure the less sure one is."""
    if models < 2:
        return F.lit(0.0)
    one, other = F.col("__predicted0"), F.col("__predicted1")
    if kind == REGRESSION:
        return F.abs(one - other)
    if kind == MULTI:
        apart = F.size(F.array_except(one, other)) + F.size(F.array_except(other, one))
        return apart.cast("double")
    sure = [F.array_max(vector_to_array(F.col(f"__probability{n}"))) for n in range(2)]
    return F.when(one != other, F.least(*sure)).otherwise(F.lit(0.0))


def _numbers(scored: DataFrame, models: Mapping[str, Any], keys: list[str]) -> DataFrame:
    """Rows of regression, each a group of its own."""
    differ = F.struct(_gap(REGRESSION, len(models)).alias("gap"), F.col("__text").alias("text")).alias("__differ")
    predicted = [F.col(f"__predicted{n}") for n in range(len(models))]
    chosen = scored.orderBy(F.xxhash64("__text", "__truth")).limit(NUMBERS)
    return chosen.select(*keys, "__truth", *predicted, F.lit(1).alias("__rows"), differ)


def _paired(rows: list[Row], models: Mapping[str, Any], slices: list[str], kind: str) -> PairedScores:
    """The groups without the bins of confidence, and what the bins say."""
    import pandas as pd

    frame = pd.DataFrame([row.asDict() for row in rows])
    labels = tuple(next(iter(models.values())).labels)
    for n, model in enumerate(models.values()):  # to the first one's order of the labels
        place = {index: labels.index(name) for index, name in enumerate(model.labels)}
        column = frame[f"__predicted{n}"]
        if kind == SINGLE:
            frame[f"__predicted{n}"] = column.astype(int).map(place)
        elif kind == MULTI:
            frame[f"__predicted{n}"] = [tuple(sorted(place[int(index)] for index in row)) for row in column]
    if kind == MULTI:
        frame["__truth"] = [tuple(row) for row in frame["__truth"]]
    errors = {name: _calibration_error(frame, n) for n, name in enumerate(models)} if kind == SINGLE else {}
    keys = [*(f"__slice{n}" for n in range(len(slices))), "__truth", *(f"__predicted{n}" for n in range(len(models)))]
    grouped = frame.groupby(keys, sort=True)["__rows"].sum().reset_index() if kind != REGRESSION else frame
    outcomes = Outcomes(
        kind,
        labels,
        _array(grouped["__truth"], kind, len(labels)),
        {name: _array(grouped[f"__predicted{n}"], kind, len(labels)) for n, name in enumerate(models)},
        grouped["__rows"].to_numpy(np.int64),
    )
    values = {name: grouped[f"__slice{n}"].to_numpy(str) for n, name in enumerate(slices)}
    return PairedScores(outcomes, values, errors, _disagreements(frame, list(models), labels, kind))


def _array(column: "pd.Series", kind: str, num_labels: int) -> np.ndarray:
    if kind == MULTI:
        return indicators(column.tolist(), num_labels)
    return column.to_numpy(np.float64 if kind == REGRESSION else np.int64)


def _calibration_error(frame: "pd.DataFrame", n: int) -> float:
    """Expected calibration error of model n, as `metrics.compute.calibration_error` defines it, from the sums of its bins."""
    right = frame["__rows"] * (frame[f"__predicted{n}"] == frame["__truth"])
    gaps = (frame[f"__confidence{n}"] - right).groupby(frame[f"__bin{n}"]).sum()
    return float(gaps.abs().sum() / frame["__rows"].sum())


def _disagreements(
    frame: "pd.DataFrame", names: list[str], labels: tuple[str, ...], kind: str, shown: int = 10
) -> list[dict[str, Any]]:
    """The rows on which the first two models differ most."""
    found = sorted(frame.to_dict("records"), key=lambda row: -row["__differ"]["gap"])
    chosen: dict[Any, dict[str, Any]] = {}
    for row in found:
        if row["__differ"]["gap"] > 0:
            kinds = (row["__truth"], row["__predicted0"], row["__predicted1"])
            chosen.setdefault(kinds, row)
    return [
        {"text": row["__differ"]["text"], "truth": _named(row["__truth"], labels, kind)}
        | {name: _named(row[f"__predicted{n}"], labels, kind) for n, name in enumerate(names)}
        | {"gap": round(float(row["__differ"]["gap"]), 4)}
        for row in list(chosen.values())[:shown]
    ]


def _named(value: Any, labels: tuple[str, ...], kind: str) -> Any:
    if kind == SINGLE:
        return labels[int(value)]
    return ", ".join(labels[index] for index in value) if kind == MULTI else round(float(value), 4)
