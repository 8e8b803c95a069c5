"""A model scored on a labelled DataFrame, once, and measured."""

import logging
from collections.abc import Callable
from typing import Any, Protocol

from pyspark.ml.functions import vector_to_array
from pyspark.ml.param import Param
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.data.label_columns import label_name, label_names, row_weight, true_labels
from sparknlp_tx.data.label_counts import bad_weight, check_weights
from sparknlp_tx.data.text_columns import text_column
from sparknlp_tx.errors import InputError
from sparknlp_tx.evaluation.curves import Curve, measured_curve
from sparknlp_tx.evaluation.measure import Evaluation, counted, is_unknown, measured
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, DecisionRule
from sparknlp_tx.spark.named_columns import column_of

log = logging.getLogger(__name__)
SHOWN_CHARACTERS = 300
COLLECTED_NUMBERS = 2_000_000  # rows times labels that are evaluated on the driver


class LabelledModel(Protocol):
    """What evaluating asks of a model."""

    @property
    def decision(self) -> DecisionRule: ...
    @property
    def text_columns(self) -> tuple[str, ...]: ...
    @property
    def weight_column(self) -> str | None: ...
    def getLabelCol(self) -> str: ...
    def getParam(self, paramName: str) -> Param: ...
    def copy(self, extra: Any) -> Any: ...


def evaluate_rows(model: LabelledModel, dataset: DataFrame, texts: bool = False) -> Evaluation:
    """Score labelled rows on the executors, once, and measure; rows without a text, and of weight 0, are left out.

    Args:
        dataset: has the model's text columns and its label column; rows count as `weightCol` says, where that is set and there.
        texts: whether the rows' texts are wanted, too; of each the first 300 characters.

    Returns:
        The metrics of the model's kind of task, see `metrics_of`, and `rows`, how many were evaluated; and what they were measured
        from. Where rows times labels are more than 2,000,000, the metrics that Spark can count: accuracy, precision, recall, F1,
        Matthews, Pearson, the errors.

    Raises:
        InputError: no row has a label that the model knows, or weights are null, NaN or negative.
    """
    decision = model.decision
    outputs = {"rawPredictionCol": "", "probabilityCol": "", "predictedLabelCol": "", "predictionCol": "__prediction"}
    weight = row_weight(dataset, model.weight_column)
    small = _count(dataset, weight) * max(1, len(decision.labels)) <= COLLECTED_NUMBERS
    if small and decision.problem_type != REGRESSION:
        outputs["rawPredictionCol"] = "__raw"
    quiet = model.copy({model.getParam(name): value for name, value in outputs.items()})
    truth = true_labels(dataset, model.getLabelCol(), decision)
    columns = [column_of(dataset, name).alias(name) for name in model.text_columns]
    scored = quiet.transform(dataset.select(*columns, truth.alias("__truth"), weight.alias("__weight")).filter("__weight > 0"))
    scored = scored.filter(F.col("__prediction").isNotNull() & F.col("__truth").isNotNull())
    if not small:
        found = counted(scored, decision)
        return told_unknown(found, model, dataset)
    raw = F.array("__prediction") if decision.problem_type == REGRESSION else vector_to_array(F.col("__raw"))
    shown = F.concat_ws(" | ", *(text_column(scored, name) for name in model.text_columns))
    text = F.substring(shown, 1, SHOWN_CHARACTERS) if texts else F.lit("")
    found = measured(scored.select("__truth", raw.alias("__raw"), text.alias("__text"), "__weight"), decision)
    return told_unknown(found, model, dataset)


def told_unknown(found: Evaluation, model: LabelledModel, dataset: DataFrame) -> Evaluation:
    """Say how many rows have a label that the model does not know: every figure leaves them out.

    Raises:
        InputError: there is no row with a label that it knows.
    """
    unknown = found.metrics.get("unknown_labels", 0)
    if not unknown:
        return found
    column, labels = model.getLabelCol(), model.decision.labels
    truth = true_labels(dataset, column, model.decision)
    if model.decision.problem_type == MULTI:
        named = F.explode(F.array_except(label_names(column, dataset), F.array(*map(F.lit, labels))))
    else:
        named = label_name(column, dataset)
    others = dataset.filter(is_unknown(truth, model.decision)).select(named.alias("name")).distinct().limit(3)
    names = ", ".join(repr(row[0]) for row in others.collect())
    if not found.metrics["rows"]:
        known = ", ".join(map(repr, labels[:5])) + ", ..." * (len(labels) > 5)
        remedy = "Spell them the same way (case, spaces, leading zeros), or set labelCol."
        raise InputError(f"labels of the model in column {column!r}: {known}", f"none of them, but {names}", remedy)
    log.warning("%d rows have labels that the model does not know (%s): every figure leaves them out", unknown, names)
    return found


def _count(df: DataFrame, weight: Column) -> int:
    """The rows, once their weights are known to be good."""
    bad = bad_weight(weight)
    found = df.agg(F.count(F.lit(1)).alias("rows"), F.count(F.when(bad, 1)).alias("bad")).collect()[0]
    check_weights(found["bad"])
    return found["rows"]


OUTPUTS = {"rawPredictionCol": "", "probabilityCol": "__probability", "predictionCol": "", "predictedLabelCol": ""}


def curve_of(model: LabelledModel, dataset: DataFrame) -> Callable[[], Curve]:
    """What gives the curve of a model of two labels on labelled rows: scores them when it is called first, and then no more."""
    found: list[Curve] = []

    def curve() -> Curve:
        if not found:
            truth = true_labels(dataset, model.getLabelCol(), model.decision)
            rows = dataset.withColumns({"__truth": truth, "__weight": row_weight(dataset, model.weight_column)})
            quiet = model.copy({model.getParam(name): value for name, value in OUTPUTS.items()})
            scored = quiet.transform(rows.filter("__weight > 0"))
            score = vector_to_array(F.col("__probability"))[1]
            found.append(measured_curve(scored.select("__truth", score.alias("__score"), "__weight")))
        return found[0]

    return curve
