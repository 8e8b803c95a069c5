"""A model as the server holds it: found by a folder or an MLflow URI, its files checked, its engine loaded, smoke-tested."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sparknlp_tx.errors import InputError
from sparknlp_tx.files import file_hashes, temporary_directory
from sparknlp_tx.inference.backends.selection import unused_files
from sparknlp_tx.inference.engine import InferenceEngine
from sparknlp_tx.inference.model_directory import check_model_files, param_values, read_config, read_metadata
from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.inference.scorer import texts_of
from sparknlp_tx.inference.scoring_settings import ScoringSettings
from sparknlp_tx.inference.tokenization import Text
from sparknlp_tx.serving.payloads import read_invocation

SMOKE_TEXT = "This is a text to classify."
MLFLOW = ("runs:", "models:", "mlflow-artifacts:")


@dataclass(frozen=True)
class Source:
    """Where a model comes from.

    Attributes:
        uri: as it was given. version: what answers name: `tickets/3`, or the hash of a folder's files.
        pinned: the URI of exactly that version.
    """

    uri: str
    version: str
    pinned: str


class ServedModel:
    """A model with its engine. Made by `load`.

    Attributes:
        version: what answers name. scoring: how logits become columns. budget: tokens that are gathered before it is asked.
    """

    def __init__(self, source: Source, scoring: ScoringSettings, engine: InferenceEngine, smoke: list[Text]):
        self.source, self.version = source, source.version
        self.scoring, self.engine, self._smoke = scoring, engine, smoke
        self.budget = engine.batching.tokens_per_batch

    @property
    def names(self) -> tuple[str, ...]:
        """Of the text columns."""
        return self.scoring.text_columns

    def logits(self, texts: Sequence[Text | None]) -> np.ndarray:
        """float32 [n, num_labels]; a row of NaN for None."""
        return self.engine.predict_logits(texts, self.scoring.decision.margin)

    def texts(self, columns: Sequence[Sequence[str | None]]) -> list[Text | None]:
        """The texts of a request's columns.

        Raises:
            InputError: an invalid one, where the model's `handleInvalid` is `error`.
        """
        return texts_of(columns, self.scoring.handle_invalid)

    def smoke_test(self) -> float:
        """Score the stored smoke rows; the seconds it took.

        Raises:
            InputError: the logits are no numbers.
        """
        begin = time.perf_counter()
        logits = self.logits(self._smoke)
        if logits.shape != (len(self._smoke), self.engine.num_labels) or not np.isfinite(logits).all():
            raise InputError(f"logits of {len(self._smoke)} smoke rows", "others, or no numbers", "Train or export it again.")
        return time.perf_counter() - begin


def find(uri: str) -> Source:
    """What a model's URI names now: the version of an alias, say.

    Raises:
        InputError: there is no such model, version or alias, or the registry does not answer.
    """
    if not uri.startswith(MLFLOW):
        read_metadata(uri)
        hashes = file_hashes(Path(uri, "model"))
        return Source(uri, f"{Path(uri).name}/{ModelLocation(uri, hashes).key[:8]}", uri)
    if uri.startswith("models:"):
        from sparknlp_tx.tracking.registry import version_of

        version = version_of(uri)
        if version is not None:
            return Source(uri, f"{version.name}/{version.number}", version.uri)
    return Source(uri, uri.partition(":/")[2].strip("/"), uri)


def load(source: Source, threads: int | None = None, **changes: Any) -> ServedModel:
    """Fetch a model, compare its files with their hashes, load its engine, score the smoke rows.

    Args:
        threads: of the engine; default all cores.
        changes: of `ScoringSettings`: device, precision.

    Raises:
        InputError: no model of this library is there, or it is damaged, or scores no numbers.
    """
    folder, example = fetch(source)
    metadata = read_metadata(folder)
    known = metadata["sparknlpTx"]["files"]
    directory = check_model_files(folder, known)
    location = ModelLocation(str(directory), known)
    scoring = ScoringSettings.from_params(param_values(metadata), read_config(directory), location)
    scoring = replace(scoring, **{name: value for name, value in changes.items() if value is not None})
    path = location.verified(unused_files(directory, scoring.device, scoring.precision))
    settings = (scoring.device, scoring.precision, scoring.max_length, scoring.tokens_per_batch, threads)
    model = ServedModel(source, scoring, InferenceEngine.from_pretrained(path, *settings), _smoke_texts(example, scoring))
    model.smoke_test()
    return model


def fetch(source: Source) -> tuple[str, Any]:
    """The saved model's folder, and the input example that MLflow keeps beside it."""
    if not source.pinned.startswith(MLFLOW):
        return source.pinned, None
    import mlflow

    target = temporary_directory("serve")
    try:
        folder = Path(mlflow.artifacts.download_artifacts(source.pinned, dst_path=str(target)))
    except (mlflow.exceptions.MlflowException, OSError) as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise InputError(
            "a model in MLflow", f"none at {source.uri} ({reason})", "Check the URI and MLFLOW_TRACKING_URI."
        ) from error
    saved = [file.parent.parent for file in folder.glob("artifacts/*/metadata/part-*") if file.is_file()]
    if not saved:
        remedy = "Give the URI of a model that sparknlp_tx logged."
        raise InputError(f"a model of sparknlp_tx at {source.uri}", "one of another library", remedy)
    example = folder / "serving_input_example.json"
    return str(saved[0]), json.loads(example.read_text()) if example.is_file() else None


def _smoke_texts(example: Any, scoring: ScoringSettings) -> list[Text]:
    """The rows of the input example; one made-up text where there is none."""
    columns: list[Any] = [[SMOKE_TEXT] for _ in scoring.text_columns]
    if example is not None:
        with suppress(InputError):  # an example of another kind
            columns = read_invocation(json.dumps(example).encode(), "application/json", scoring.text_columns).columns
    found = [text for text in texts_of(columns, "keep") if text is not None]
    return found or [SMOKE_TEXT if len(columns) == 1 else (SMOKE_TEXT, SMOKE_TEXT)]
