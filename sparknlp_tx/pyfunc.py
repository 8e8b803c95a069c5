"""The MLflow pyfunc of a model, as a model from code: no pickle. MLflow runs this file where the model is loaded; no Spark."""

import warnings
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from sparknlp_tx.artifact import check_model_files, content_key, param_values, read_metadata
from sparknlp_tx.decisions import read_config
from sparknlp_tx.distribution import ModelLocation
from sparknlp_tx.errors import InputError
from sparknlp_tx.scoring import Scoring, score_frame

warnings.filterwarnings("ignore", message=".*Add type hints to the `predict` method")  # it checks its input itself


class TransformerPyfunc(mlflow.pyfunc.PythonModel):
    """Scores as `TransformerClassificationModel.predict` does, from the same directory, through the same engine."""

    def load_context(self, context: Any) -> None:
        folder = context.artifacts["model"]
        directory = check_model_files(folder)
        location = ModelLocation(str(directory), None, content_key(directory))
        self.scoring = Scoring.from_params(param_values(read_metadata(folder)), read_config(directory).labels, location)

    def predict(self, context, model_input, params=None):
        """Score a DataFrame with the text column, a dict of columns, or a list of texts.

        Returns:
            DataFrame with the columns of `transform`, vectors as lists of float64; a row an input row.
        """
        scores = score_frame(self._frame(model_input), self.scoring)
        for field in ("rawPrediction", "probability"):
            if field in self.scoring.columns:
                name = self.scoring.columns[field]
                scores[name] = [None if vector is None else vector.tolist() for vector in scores[name]]
        return scores

    def _frame(self, model_input: Any) -> pd.DataFrame:
        names = list(self.scoring.text_columns)
        if isinstance(model_input, pd.DataFrame):
            frame = model_input
        elif isinstance(model_input, dict):
            frame = pd.DataFrame(model_input)
        else:
            rows = [row if isinstance(row, (list, tuple, dict)) else [row] for row in model_input]
            frame = (
                pd.DataFrame(rows) if rows and isinstance(rows[0], dict) else pd.DataFrame(rows, columns=names, dtype=object)
            )
        missing = [name for name in names if name not in frame.columns]
        if missing:
            found = ", ".join(map(str, frame.columns)) or "none"
            raise InputError(f"column {missing[0]!r}", f"columns {found}", "Rename the text's column, or give a list of texts.")
        return frame


def code_path() -> str:
    """This file, for `mlflow.pyfunc.log_model(python_model=...)`."""
    return str(Path(__file__).resolve())


mlflow.models.set_model(TransformerPyfunc())
