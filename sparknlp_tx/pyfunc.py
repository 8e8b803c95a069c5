"""The MLflow pyfunc of a model, as a model from code: no pickle. MLflow runs this file where the model is loaded; no Spark."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from sparknlp_tx.artifact import check_model_files, param_values, read_metadata
from sparknlp_tx.decisions import read_config
from sparknlp_tx.distribution import ModelLocation
from sparknlp_tx.errors import InputError
from sparknlp_tx.scoring import Scoring, score_frame


class TransformerPyfunc(mlflow.pyfunc.PythonModel):
    """Scores as `TransformerClassificationModel.predict` does, from the same directory, through the same engine."""

    def load_context(self, context: Any) -> None:
        folder = context.artifacts["model"]
        metadata = read_metadata(folder)
        directory = check_model_files(folder, metadata["sparknlpTx"]["files"])
        location = ModelLocation(str(directory), None, metadata["sparknlpTx"]["files"])
        self.scoring = Scoring.from_params(param_values(metadata), read_config(directory), location)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Score texts: MLflow makes a DataFrame of whatever it is given, a list of texts among it.

        Returns:
            DataFrame with the columns of `transform`, vectors as lists of float64; a row an input row.

        Raises:
            InputError: the input's leading columns are not the text columns.
        """
        frame = self._named(model_input)
        for name in self.scoring.text_columns:
            frame = frame.assign(**{name: pd.Series([_text(value, name) for value in frame[name]], frame.index, dtype=object)})
        scores = score_frame(frame, self.scoring)
        columns = {name: [_plain(value) for value in scores[name]] for name in scores.columns}
        return pd.DataFrame(columns, index=scores.index, dtype=object)

    def _named(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The text columns under their names.

        The signature names no columns, as MLflow would refuse lists then; so MLflow hands on the leading columns only.
        """
        names = list(self.scoring.text_columns)
        if set(names) <= set(frame.columns):
            return frame
        found = [str(name) for name in frame.columns[: len(names)]]
        if found != [str(position) for position in range(len(names))]:
            expected = f"{' and '.join(map(repr, names))} as the leading column{'s'[: len(names) - 1]}"
            raise InputError(expected, ", ".join(found) or "no column", f"Give df[{names}], or a list.")
        return frame.iloc[:, : len(names)].set_axis(names, axis=1)


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
    raise InputError(f"texts in column {name!r}", f"{type(value).__name__} {str(value)[:40]!r}", "Send strings.")


def _plain(value: Any) -> Any:
    """A score as JSON takes it: lists for vectors, null where there is none: NaN is no JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if isinstance(value, float) and np.isnan(value) else value


def code_path() -> str:
    """This file, for `mlflow.pyfunc.log_model(python_model=...)`."""
    return str(Path(__file__).resolve())


mlflow.models.set_model(TransformerPyfunc())
