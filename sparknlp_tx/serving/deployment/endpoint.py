"""Calls to one endpoint of Databricks Model Serving, through MLflow's client of deployments, and the wait for what they began.

The client asks again on 429, 503 and lost connections, after the seconds that `Retry-After` names, for `RETRY_SECONDS` in all. Nothing
that is said or raised here has an answer's text of a prediction in it: servers echo their input there.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sparknlp_tx.errors import JobError, reason_of
from sparknlp_tx.ml.live_metrics import brief_requests
from sparknlp_tx.progress import say
from sparknlp_tx.serving.deployment.config import Config

RETRY_SECONDS = 300  # for which a call asks again
REQUEST_SECONDS = 60  # for one answer
PREDICT_SECONDS = 120  # for one of predictions, which an entity that is scaled to zero begins with starting up
LIMITS = "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT", "MLFLOW_DEPLOYMENT_PREDICT_TOTAL_TIMEOUT"
ENDED = ("UPDATE_FAILED", "UPDATE_CANCELED")


class CallError(Exception):
    """A call that failed. `status`: of the answer; None where there was none."""

    def __init__(self, message: str, status: int | None):
        super().__init__(message)
        self.status = status


class Endpoint:
    """An endpoint by its name.

    Args:
        poll_seconds: between two looks at an update.
    """

    def __init__(self, name: str, poll_seconds: float = 10.0):
        from mlflow.deployments import get_deploy_client

        self.name, self.poll_seconds = name, poll_seconds
        self._client = get_deploy_client("databricks")

    def describe(self) -> dict[str, Any] | None:
        """What Databricks tells of it; None where there is no such endpoint."""
        try:
            return dict(_call(self._client.get_endpoint, self.name))
        except CallError as error:
            if error.status == 404:
                return None
            raise

    def create(self, config: Config) -> None:
        """Begin to make it."""
        _call(self._client.create_endpoint, config={"name": self.name, "config": config.as_api()})

    def update(self, config: Config) -> None:
        """Begin to change what it serves."""
        _call(self._client.update_endpoint_config, self.name, config.as_api())

    def predict(self, payload: dict[str, Any], entity: str | None = None) -> dict[str, Any]:
        """Predictions: of one entity, whatever its share of the traffic; else as any client gets them.

        Raises:
            CallError: tells the status alone.
        """
        place = f"{self.name}/served-models/{entity}" if entity else self.name
        logger = logging.getLogger("mlflow.utils.rest_utils")  # it tells the whole answer of a call that it gives up
        before, logger.disabled = logger.disabled, True
        try:
            return dict(_call(self._client.predict, endpoint=place, inputs=payload))
        except CallError as error:
            raise CallError(f"status {error.status}" if error.status else "no answer", error.status) from None
        finally:
            logger.disabled = before

    def wait(self, config: Config, until: float) -> None:
        """Wait until it is ready, no update is at work, and it serves what it was told to; says the steps of the build.

        Args:
            until: of `time.monotonic`.

        Raises:
            JobError: the update failed or was cancelled, or the time is over; says no more than that.
        """
        self._wait(config, until)

    def wait_for_any(self, until: float) -> None:
        """Wait until no update is at work, whatever became of it."""
        self._wait(None, until)

    def serves(self) -> str:
        """What serves now, a sentence."""
        try:
            found = self.describe()
        except CallError as error:
            return f"What {self.name} serves now could not be read ({error})."
        config = Config.read(found.get("config")) if found else None
        if not found or config is None or not is_ready(found):
            return f"{self.name} serves nothing."
        return f"{self.name} serves {config}."

    def _wait(self, config: Config | None, until: float) -> None:
        said, trouble = "", ""
        while True:
            try:
                found, trouble = self.describe() or {}, ""
            except CallError as error:  # a look that fails ends nothing
                found, trouble = {}, f"; the last look at it failed ({error})"
            update = _state(found)[1]
            if found and update != "IN_PROGRESS":
                if config is None:
                    return
                if update in ENDED:
                    raise JobError(f"{update}{_message(found)}")
                if is_ready(found) and config.same(Config.read(found.get("config"))):
                    return
            if (line := _message(found)) and line != said:
                said = line
                say(f"{self.name}: {update}{line}")
            if time.monotonic() >= until:
                raise JobError(f"the time is over (--timeout-minutes), and it is {', '.join(_state(found))}{trouble}")
            time.sleep(min(self.poll_seconds, max(until - time.monotonic(), 0.0)))


def in_progress(found: dict[str, Any]) -> bool:
    """Whether an update is at work, by an endpoint's description."""
    return _state(found)[1] == "IN_PROGRESS"


def is_ready(found: dict[str, Any]) -> bool:
    """Whether all that it serves answers, by an endpoint's description."""
    return _state(found)[0] == "READY"


def _state(found: dict[str, Any]) -> tuple[str, str]:
    state = found.get("state") or {}
    return state.get("ready") or "NOT_READY", state.get("config_update") or "NOT_UPDATING"


def _message(found: dict[str, Any]) -> str:
    """What the builds of the entities say, in brackets."""
    entities = (found.get("pending_config") or found.get("config") or {}).get("served_entities") or []
    told = {each.get("name"): (each.get("state") or {}).get("deployment_state_message") for each in entities}
    parts = [f"{name}: {' '.join(text.split())[:300]}" for name, text in told.items() if text]
    return f" ({'; '.join(parts)})" if parts else ""


def _call(what: Any, *args: Any, **kwargs: Any) -> Any:
    """A call of MLflow's client.

    Raises:
        CallError: whatever it raised.
    """
    try:
        with _limits(), brief_requests(timeout=REQUEST_SECONDS, retries=2):
            return what(*args, **kwargs)
    except Exception as error:
        if isinstance(error, TimeoutError) and error.__cause__ is not None:  # of asking again
            said = f"no other answer in {RETRY_SECONDS} s than: {reason_of(error.__cause__)}"
            raise CallError(said, None) from None
        response = getattr(error, "response", None)
        if response is None:
            raise CallError(reason_of(error), None) from None
        raise CallError(_reason(response), response.status_code) from None


def _reason(response: Any) -> str:
    try:
        body = response.json()
        return f"{response.status_code} {body.get('error_code', '')}: {' '.join(str(body.get('message')).split())[:300]}"
    except (ValueError, AttributeError):
        return f"status {response.status_code}"


@contextmanager
def _limits() -> Iterator[None]:
    """Bound how long MLflow's client asks again."""
    values = dict.fromkeys(LIMITS, str(RETRY_SECONDS))
    values["MLFLOW_DEPLOYMENT_PREDICT_TIMEOUT"] = str(min(PREDICT_SECONDS, RETRY_SECONDS))
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
