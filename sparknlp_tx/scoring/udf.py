"""The columns of scores on a DataFrame: one UDF that returns one struct, and its fields taken out of it."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.data.text_columns import invalid_text, text_column
from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.decision_rules import SINGLE, DecisionRule
from sparknlp_tx.inference.scoring_settings import ScoringSettings
from sparknlp_tx.scoring.executor import score_arrow, score_pandas
from sparknlp_tx.scoring.observation import ScoringObservation
from sparknlp_tx.spark.compat import has_arrow_udfs, iterator_udf


def add_scores(
    dataset: DataFrame, scoring: ScoringSettings, struct: str, observation: ScoringObservation | None = None
) -> DataFrame:
    """A DataFrame with the columns of scores; starts no job.

    Args:
        struct: a name that no column has, for the struct while it is there.
        observation: counts what is done.
    """
    texts = scoring.text_columns
    if scoring.handle_invalid == "skip":
        dataset = dataset.filter(~invalid_text(dataset, texts))
    score = scoring_udf(scoring, observed=observation is not None)
    scored = dataset.withColumn(struct, score(F.struct(*(text_column(dataset, name) for name in texts))))
    if observation is not None:
        scored = observation.on(scored, struct)
    values = []
    for field, name in scoring.columns.items():
        value = F.col(f"`{struct}`.{field}")
        if field in ("rawPrediction", "probability"):
            value = F.when(value.isNotNull(), array_to_vector(value))
        attributes = _attributes(field, name, scoring.decision)
        # `alias` takes a name literally, dots included; `withMetadata` would look for a field of a struct
        values.append(value.alias(name, metadata={"ml_attr": attributes}) if attributes else value.alias(name))
    return scored.select("*", *values).drop(struct)


def _attributes(field: str, name: str, decision: DecisionRule) -> dict[str, Any]:
    """What Spark ML keeps of a column (`NominalAttribute`, `AttributeGroup`): the labels by index, the length of a vector."""
    if field in ("rawPrediction", "probability"):
        return {"num_attrs": len(decision.labels)}
    if field == "prediction" and decision.problem_type == SINGLE:
        return {"type": "nominal", "name": name, "vals": list(decision.labels)}
    return {}


def function_udf(scoring: ScoringSettings) -> Callable[..., Column]:
    """A UDF of a text, or of a text and its pair, to a struct of scores, whose vectors are arrays.

    Raises:
        InputError: no score is left to give; called with another number of columns.
    """
    if not scoring.columns:
        raise InputError("a score to give", "no name for any column of scores", "Set one of them, e.g. predictionCol.")
    score = scoring_udf(scoring, columns=len(scoring.text_columns), once=False)

    @wraps(score)  # with what Spark wants of a function that is registered
    def classify(*texts: Any) -> Column:
        scoring.check_columns(len(texts))
        return score(*texts)

    return classify


def scoring_udf(scoring: ScoringSettings, columns: int = 0, observed: bool = False, once: bool = True) -> Callable[..., Column]:
    """The UDF that scores texts: an Arrow UDF, or where Spark has none yet a pandas UDF.

    Args:
        columns: of texts that it takes; 0 for one of structs of texts.
        once: nondeterministic, so that Spark never copies it into a filter or a second projection: a row is scored once. SQL
            refuses such functions in aggregates, join conditions, `HAVING`, `UPDATE`, `DELETE` and `MERGE`.
    """
    score = (score_arrow if has_arrow_udfs() else score_pandas)(scoring, observed)
    function = iterator_udf(score, scoring.return_type(observed), columns)
    return function.asNondeterministic() if once else function
