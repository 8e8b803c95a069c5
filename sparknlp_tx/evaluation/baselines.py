"""What fine-tuning has to beat, on the same rows: TF-IDF and a linear model, with Spark ML; a model that was never trained for it."""

from typing import Any

import numpy as np
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import IDF, HashingTF, RegexTokenizer
from pyspark.ml.functions import vector_to_array
from pyspark.ml.regression import LinearRegression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.data.label_columns import row_weight, true_labels
from sparknlp_tx.data.text_columns import text_column
from sparknlp_tx.errors import InputError
from sparknlp_tx.evaluation.measure import measured
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, SINGLE, DecisionRule, indicators
from sparknlp_tx.inference.transformers_compat import quiet_transformers
from sparknlp_tx.metrics.compute import metrics_of

FEATURES = 2**15
REGULARISATION = 1e-3


def tfidf_baseline(
    train: DataFrame,
    test: DataFrame,
    decision: DecisionRule,
    text_columns: tuple[str, ...],
    label_col: str,
    weight_col: str | None = None,
) -> dict[str, float]:
    """Fit TF-IDF of words, hashed to 32,768 features, with logistic or linear regression, and measure it.

    Args:
        train, test: have the text columns and the label column; `test` is collected and so has to be small.
        decision: the kind of task, the labels and their thresholds.
        text_columns: the text column, and for pairs the second one; both are read as one text.
        weight_col: how much each row counts, in a table that has it.

    Returns:
        The metrics that `model.evaluate` gives.
    """
    words = RegexTokenizer(inputCol="text", outputCol="words", pattern=r"\W+")
    counts = HashingTF(inputCol="words", outputCol="counts", numFeatures=FEATURES)
    known, asked = (_rows(df, text_columns, label_col, decision, weight_col) for df in (train, test))
    features = Pipeline(stages=[words, counts, IDF(inputCol="counts", outputCol="features")]).fit(known)
    known, asked = (features.transform(df) for df in (known, asked))
    weight = F.col("weight").alias("__weight")
    if decision.problem_type == REGRESSION:
        model = LinearRegression(labelCol="truth", weightCol="weight", regParam=0.1).fit(known)
        scored = model.transform(asked).select(F.col("truth").alias("__truth"), F.array("prediction").alias("__raw"), weight)
    elif decision.problem_type == MULTI:
        scored = _one_by_one(known, asked, len(decision.labels))
    else:
        model = LogisticRegression(labelCol="truth", weightCol="weight", regParam=REGULARISATION).fit(
            known.filter("truth >= 0")
        )
        log_probability = F.transform(vector_to_array(F.col("probability")), lambda p: F.log(F.greatest(p, F.lit(1e-12))))
        scored = model.transform(asked).select(F.col("truth").alias("__truth"), log_probability.alias("__raw"), weight)
    return measured(scored.withColumn("__text", F.lit("")), decision).metrics


def check_tfidf(
    train: DataFrame, decision: DecisionRule, text_columns: tuple[str, ...], label_col: str, weight_col: str | None = None
) -> None:
    """Check that `tfidf_baseline` can be fitted on a table; one small job.

    Raises:
        InputError: it has no rows, or, with one label a row, fewer than two of the model's labels.
    """
    rows = _rows(train, text_columns, label_col, decision, weight_col)
    if decision.problem_type == SINGLE:
        rows = rows.filter("truth >= 0")
    if len(rows.select("truth").distinct().limit(2).collect()) < (2 if decision.problem_type == SINGLE else 1):
        expected = "rows of two labels" if decision.problem_type == SINGLE else "rows"
        raise InputError(f"{expected} to fit TF-IDF on (--tfidf)", "fewer", "Name the training table.")


def check_zero_shot(decision: DecisionRule, checkpoint: str, rows: int) -> None:
    """Check that a checkpoint can be asked for labels; loads its configuration alone.

    Raises:
        InputError: regression, no rows, or no checkpoint for natural language inference.
    """
    if decision.problem_type == REGRESSION:
        raise InputError("labels, for zero-shot classification", "regression", "Compare with TF-IDF.")
    if rows < 1:
        raise InputError("one row or more to ask about (--zero-shot-rows)", str(rows), "Give some hundreds.")
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        found = f"{checkpoint}: {str(error).strip().splitlines()[0]}"
        raise InputError("a checkpoint for natural language inference (--zero-shot)", found, "Check its spelling.") from error
    if not any(label.lower().startswith("entail") for label in config.label2id):
        found = f"labels {', '.join(config.label2id)}"
        raise InputError(f"a checkpoint for natural language inference, not {checkpoint}", found, "Take one trained on MNLI.")


def _rows(
    df: DataFrame, text_columns: tuple[str, ...], label_col: str, decision: DecisionRule, weight_col: str | None
) -> DataFrame:
    text, truth = F.concat_ws(" ", *(text_column(df, name) for name in text_columns)), true_labels(df, label_col, decision)
    rows = df.select(text.alias("text"), truth.alias("truth"), row_weight(df, weight_col).alias("weight"))
    return rows.filter(F.col("truth").isNotNull() & (F.col("weight") > 0))


def _one_by_one(known: DataFrame, asked: DataFrame, num_labels: int) -> DataFrame:
    """A logistic regression for each label; their log-odds."""
    asked = asked.select("truth", "features", "weight")
    raw = []
    for label in range(num_labels):
        names = {name: f"{name}_{label}" for name in ("rawPrediction", "probability", "prediction")}
        has = F.array_contains("truth", label).cast("double")
        model = LogisticRegression(
            labelCol="has",
            weightCol="weight",
            regParam=REGULARISATION,
            rawPredictionCol=names["rawPrediction"],
            probabilityCol=names["probability"],
            predictionCol=names["prediction"],
        ).fit(known.withColumn("has", has))
        asked = model.transform(asked)
        raw.append(vector_to_array(F.col(names["rawPrediction"]))[1])
    return asked.select(F.col("truth").alias("__truth"), F.array(*raw).alias("__raw"), F.col("weight").alias("__weight"))


def zero_shot_baseline(
    df: DataFrame,
    decision: DecisionRule,
    text_columns: tuple[str, ...],
    label_col: str,
    weight_col: str | None,
    checkpoint: str,
    rows: int,
) -> dict[str, float]:
    """Ask a model for natural language inference which label fits, without any training: Hugging Face's zero-shot pipeline.

    Args:
        df: has the text columns and the label column.
        decision, text_columns, label_col, weight_col: as for `tfidf_baseline`; not for regression.
        checkpoint: a hub name or a directory, whose labels have one that begins with "entail".
        rows: how many to ask about, on this machine: each takes a pass for each label.

    Raises:
        InputError: as `check_zero_shot`.
    """
    check_zero_shot(decision, checkpoint, rows)
    import transformers

    asked = _rows(df, text_columns, label_col, decision, weight_col).orderBy(F.xxhash64("text")).limit(rows).collect()
    several = decision.problem_type == MULTI
    with quiet_transformers():
        classify = transformers.pipeline("zero-shot-classification", model=checkpoint)
        answers = classify([row["text"] for row in asked], candidate_labels=list(decision.labels), multi_label=several)
    scores = np.asarray(
        [[dict(zip(a["labels"], a["scores"], strict=True))[label] for label in decision.labels] for a in answers]
    )
    scores = np.clip(scores, 1e-12, 1 - 1e-12)
    truth: Any = [row["truth"] for row in asked]
    truth = indicators(truth, len(decision.labels)) if several else truth
    logits = np.log(scores / (1 - scores)) if several else np.log(scores)
    return metrics_of(decision, logits, truth, [row["weight"] for row in asked]) | {"rows": len(asked)}
