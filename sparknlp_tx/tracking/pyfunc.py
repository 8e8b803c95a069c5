"""The MLflow pyfunc of a model, as a model from code: no pickle, no Spark. What a logged model carries of it: `carried_code`."""

import sys
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.model_directory import check_model_files, param_values, read_config, read_metadata
from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.inference.scorer import score_frame
from sparknlp_tx.inference.scoring_settings import ScoringSettings


class PyfuncInputError(InputError, MlflowException):
    """An InputError that MLflow's server answers in its words, with 400; of others it sends the stack trace."""

    def __init__(self, expected: str, found: str, remedy: str):
        InputError.__init__(self, expected, found, remedy)
        MlflowException.__init__(self, str(self), error_code=INVALID_PARAMETER_VALUE)

    def __reduce__(self) -> tuple:
        return PyfuncInputError, (self.expected, self.found, self.remedy)


class TransformerPyfunc(mlflow.pyfunc.PythonModel):
    """Scores as `TransformerClassificationModel.predict` does, from the same directory, through the same engine."""

    def load_context(self, context: Any) -> None:
        folder = context.artifacts["model"]
        metadata = read_metadata(folder)
        directory = check_model_files(folder, metadata["sparknlpTx"]["files"])
        location = ModelLocation(str(directory), metadata["sparknlpTx"]["files"])
        self.scoring = ScoringSettings.from_params(param_values(metadata), read_config(directory), location)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Score texts: MLflow makes a DataFrame of whatever it is given, a list of texts among it.

        Returns:
            DataFrame with the columns of `transform`, vectors as lists of float64; a row an input row.

        Raises:
            PyfuncInputError: the text columns are not there, or hold something else than texts.
        """
        try:
            frame = text_columns(model_input, self.scoring.text_columns)
            scores = score_frame(frame, self.scoring)
        except InputError as error:
            raise PyfuncInputError(error.expected, error.found, error.remedy) from error
        columns = {name: [_plain(value) for value in scores[name]] for name in scores.columns}
        answer = pd.DataFrame(columns, index=scores.index, dtype=object)
        return _with_null_labels(answer) if _in_a_spark_task() else answer


def text_columns(frame: Any, names: tuple[str, ...]) -> pd.DataFrame:
    """The text columns by their names, whatever else is there; of a list, whose columns have numbers, the leading ones.

    Raises:
        InputError: they are not there, are there in both ways, or hold something else than texts.
    """
    expected = f"{' and '.join(map(repr, names))} as column{'s'[: len(names) - 1]} of a pandas DataFrame, or a list of texts"
    if not isinstance(frame, pd.DataFrame):
        remedy = "For a DataFrame of Spark take sparknlp_tx.load_model(uri).transform(df)."
        raise InputError(expected, f"{type(frame).__module__}.{type(frame).__name__}", remedy)
    given = [column for column in (*names, *range(len(names))) if _is_given(frame, column)]
    if given not in (list(names), list(range(len(names)))):
        found = "columns " + ", ".join(map(repr, given)) if given else "no text column"  # MLflow keeps others back
        parts = ", ".join(map(repr, names))
        raise InputError(expected, found, f"Give df[[{parts}]], or a list that is not empty; to spark_udf a struct({parts}).")
    columns = {name: [_text(value, name) for value in frame[column]] for name, column in zip(names, given, strict=True)}
    return pd.DataFrame(columns, index=frame.index, dtype=object)


def _is_given(frame: pd.DataFrame, column: str | int) -> bool:
    """Whether a column is there, and is not one of NaN that `spark_udf` added: it gives columns numbers first, and fills up the rest."""
    if column not in frame.columns or column == 0 or 0 not in frame.columns:
        return column in frame.columns
    return not (frame[column].dtype == float and bool(frame[column].isna().all()))


def _text(value: Any, name: str) -> str | None:
    """A text as it is; None for what pandas has in place of none.

    Raises:
        InputError: it is something else.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and np.isnan(value):
        return None
    if value is pd.NA:
        return None
    remedy = "Send a list of texts, or records of a text each." if isinstance(value, list) else "Send strings."
    raise InputError(f"texts in column {name!r}", f"{type(value).__name__} {str(value)[:40]!r}", remedy)


def _plain(value: Any) -> Any:
    """A score as JSON takes it: lists for vectors, null where there is none: NaN is no JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if isinstance(value, float) and np.isnan(value) else value


class NullableTexts(pd.arrays.StringArray):
    """Texts and nulls for MLflow's `spark_udf`: it casts to str, which makes a text 'None' of a null elsewhere."""

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        return self.to_numpy(dtype=object, na_value=None) if np.dtype(str) == dtype else super().astype(dtype, copy)


def _with_null_labels(answer: pd.DataFrame) -> pd.DataFrame:
    """Scores whose columns of texts stay null where they are, in a Spark task."""
    for name in answer.columns:
        values = answer[name]
        if values.notna().any() and values.map(lambda value: value is None or isinstance(value, str)).all():
            answer[name] = pd.Series(NullableTexts(values.where(values.notna(), pd.NA).to_numpy(dtype=object)), values.index)
    return answer


def _in_a_spark_task() -> bool:
    """Whether this process is a Python worker of Spark that works on a task. It imports no Spark to tell."""
    pyspark = sys.modules.get("pyspark")
    return pyspark is not None and pyspark.TaskContext.get() is not None
