"""The server's paths: FastAPI over a batcher and the models it has. Every error is a sentence that repeats nothing of the request."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.tokenization import Text
from sparknlp_tx.serving import answers, openapi
from sparknlp_tx.serving.batcher import Batcher, ClientGone, FullQueue, UnscorableText
from sparknlp_tx.serving.limits import Limits, Refused
from sparknlp_tx.serving.metrics import ServerMetrics
from sparknlp_tx.serving.models import SHADOW, Models
from sparknlp_tx.serving.payloads import Payload, UnsupportedMedia, read_invocation, read_predict
from sparknlp_tx.serving.served_model import ServedModel
from sparknlp_tx.serving.settings import ServerSettings
from sparknlp_tx.serving.telemetry import Telemetry
from sparknlp_tx.version import __version__

log = logging.getLogger(__name__)
CODES = {  # MLflow's words for HTTP's numbers
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    404: "ENDPOINT_NOT_FOUND",
    405: "BAD_REQUEST",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
STICKY = "x-sticky-key"
Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """The state of a server, and what its paths do."""

    def __init__(self, models: Models, settings: ServerSettings):
        self.models, self.settings = models, settings
        self.metrics, self.limits = ServerMetrics(), Limits(settings)
        self.batcher = Batcher(settings.max_waiting, self._batch)
        self.telemetry = Telemetry(settings.telemetry, settings.telemetry_texts) if settings.telemetry else None
        self.draining = False
        self._shadows: set[asyncio.Task] = set()
        models.reloaded = self._reloaded
        self.metrics.serves(models.versions)

    def app(self) -> FastAPI:
        """The application."""
        app = FastAPI(title="sparknlp_tx", version=__version__, lifespan=self._lifespan, redoc_url=None)
        for path, handler, words in (
            ("/invocations", self.invocations, openapi.INVOCATIONS),
            ("/predict", self.predict, openapi.PREDICT),
        ):
            app.add_api_route(
                path, self._measured(path, handler), methods=["POST"], openapi_extra=words, summary=words["summary"]
            )
        for path, page in (
            ("/health", self.health),
            ("/ping", self.health),
            ("/ready", self.ready),
            ("/version", self.version),
        ):
            app.add_api_route(path, page, methods=["GET"], summary=(page.__doc__ or "").strip())
        app.add_api_route("/metrics", self.page_of_metrics, response_class=PlainTextResponse, summary="Metrics for Prometheus.")
        app.add_exception_handler(404, _unknown)
        app.add_exception_handler(405, _unknown)
        return app

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self.models.watch()
        yield
        self.models.close()
        await asyncio.to_thread(self.batcher.close)
        if self.telemetry is not None:
            await asyncio.to_thread(self.telemetry.close)

    async def health(self) -> Response:
        """Whether the process answers."""
        return Response("\n", media_type="application/json")

    async def ready(self) -> Response:
        """Whether the model is loaded and no end was asked for; which version, and which did not load."""
        found: dict[str, Any] = {"ready": not self.draining, "versions": self.models.versions}
        if self.models.failed:
            found["failed"] = dict(self.models.failed)
        return Response(json.dumps(found), 503 if self.draining else 200, media_type="application/json")

    async def version(self) -> Response:
        """The version of this library and those of the models."""
        found = {"sparknlp_tx": __version__, "models": self.models.versions}
        return Response(json.dumps(found), media_type="application/json")

    async def page_of_metrics(self) -> Response:
        dropped = self.telemetry.dropped if self.telemetry is not None else 0
        return Response(self.metrics.page(self.batcher.waiting, dropped), media_type="text/plain; version=0.0.4")

    async def invocations(self, request: Request) -> Response:
        body = await self.limits.read_body(request)
        names = self.models.one_for("").names
        payload = read_invocation(body, request.headers.get("content-type", ""), names)
        self.limits.check_rows(payload.columns)
        model = self._model_for(request, payload.columns)
        answers.check_asked(payload.asked, model.scoring)
        texts = model.texts(payload.columns)
        logits = await self._score(request, model, texts)
        skip = [text is None for text in texts] if model.scoring.handle_invalid == "skip" else []
        rows = answers.Decisions(logits, answers.decided(model.scoring.decision, payload.asked))
        answer = answers.invocation(rows, model.scoring, payload.asked, skip)
        self._answered(request, model, payload, rows)
        return self._response(answer, model)

    async def predict(self, request: Request) -> Response:
        body = await self.limits.read_body(request)
        width = len(self.models.one_for("").names)
        columns, alone, raw_scores = read_predict(body, width)
        self.limits.check_rows(columns)
        model = self._model_for(request, columns)
        logits = await self._score(request, model, model.texts(columns))
        rows = answers.Decisions(logits, model.scoring.decision)
        self._answered(request, model, Payload(columns), rows)
        return self._response(answers.predict(rows, alone, raw_scores), model)

    def _model_for(self, request: Request, columns: list[list[str | None]]) -> ServedModel:
        key = request.headers.get(STICKY) or (columns[0][0] or "" if self.settings.traffic else "")
        return self.models.one_for(key)

    async def _score(self, request: Request, model: ServedModel, texts: list[Text | None]) -> np.ndarray:
        """Logits of a request's texts; given up when the client hangs up."""
        gone = asyncio.ensure_future(_hung_up(request))
        try:
            return await self.batcher.score(model, texts, self.settings.timeout, gone)
        finally:
            gone.cancel()

    def _answered(self, request: Request, model: ServedModel, payload: Payload, rows: answers.Decisions) -> None:
        """Keep what is answered; as soon as the answer is written, so that nobody waits for it."""
        asyncio.get_running_loop().call_soon(self._keep, request, model, payload, rows)

    def _keep(self, request: Request, model: ServedModel, payload: Payload, rows: answers.Decisions) -> None:
        """Count what was answered, keep it, and have the shadow score it too."""
        labels, confidence = rows.predicted, rows.confidence
        self.metrics.predicted(model.version, labels, confidence)
        if self.telemetry is not None:
            request_id = request.headers.get("x-request-id", "")[:100] or uuid.uuid4().hex
            self.telemetry.add(request_id, model.version, payload.columns, labels, confidence)
        shadow = self.models.by_role(SHADOW)
        if shadow is None:
            return
        if self.batcher.waiting > self.settings.max_waiting // 4:  # it is never waited for
            self.metrics.shadow.labels("dropped").inc(payload.rows)
            return
        task = asyncio.ensure_future(self._score_shadow(shadow, payload, labels))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _score_shadow(self, shadow: ServedModel, payload: Payload, labels: list) -> None:
        try:
            logits = await self.batcher.score(shadow, shadow.texts(payload.columns), self.settings.timeout)
        except Exception:
            self.metrics.shadow.labels("dropped").inc(payload.rows)
            return
        found = answers.Decisions(logits, shadow.scoring.decision).predicted
        agree = sum(one == other for one, other in zip(labels, found, strict=True))
        self.metrics.shadow.labels("agree").inc(agree)
        self.metrics.shadow.labels("differ").inc(len(labels) - agree)

    def _response(self, answer: str, model: ServedModel) -> Response:
        return Response(answer, media_type="application/json", headers={"X-Model-Version": model.version})

    def _measured(self, path: str, handler: Handler) -> Handler:
        """A handler whose errors are sentences, and which is counted."""

        async def measured(request: Request) -> Response:
            begin = time.perf_counter()
            try:
                self.limits.check_client(request)
                answer = await handler(request)
            except Exception as error:
                answer = _refusal(error, path)
            if self.draining:
                answer.headers["Connection"] = "close"
            self.metrics.requests.labels(path, str(answer.status_code)).inc()
            self.metrics.latency.labels(path).observe(time.perf_counter() - begin)
            return answer

        return measured

    def _batch(self, scorer: Any, rows: int, requests: int) -> None:
        self.metrics.batch(scorer.engine.take_stats(), rows)

    def _reloaded(self, role: str, done: bool) -> None:
        self.metrics.reloads.labels("loaded" if done else "failed").inc()
        self.metrics.serves(self.models.versions)


async def _hung_up(request: Request) -> None:
    """Return when the client hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _unknown(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    if status == 405:
        return _error(405, "Expected another method on this path. See /docs.", "")
    return _error(404, "Expected a path of this server; found another. See /docs.", "")


def _refusal(error: Exception, path: str) -> Response:
    """The answer for an error."""
    if isinstance(error, Refused):
        return _error(error.status, error.message, path, error.headers)
    if isinstance(error, UnsupportedMedia):
        return _error(415, str(error), path)
    if isinstance(error, InputError):
        return _error(400, str(error), path)
    if isinstance(error, UnscorableText):
        return _error(422, f"The text of row {error.row} cannot be scored. Leave it out; the others can.", path)
    if isinstance(error, ClientGone):
        return _error(499, "The client has gone.", path)
    if isinstance(error, FullQueue):
        message = "Expected room for the request; found a full queue. Try again in a second, with fewer rows."
        return _error(429, message, path, {"Retry-After": "1"})
    if isinstance(error, TimeoutError):
        return _error(504, "The texts were not scored in time. Send fewer at once, or later.", path)
    log.error("A request to %s failed: %s at %s", path, type(error).__name__, _place(error))
    return _error(500, "The server failed on this request. Its log says where.", path)


def _place(error: BaseException) -> str:
    """Where an error was raised: a file and a line, and nothing of what was in it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "an unknown place"


def _error(status: int, message: str, path: str, headers: dict[str, str] | None = None) -> Response:
    """An error as MLflow's clients read it; on `/predict` as those of text-embeddings-inference do."""
    if path == "/predict":
        kind = {413: "validation", 429: "overloaded"}.get(status, "validation" if status < 500 else "backend")
        found = {"error": message, "error_type": kind}
    else:
        found = {"error_code": CODES.get(status, "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"), "message": message}
    return Response(json.dumps(found), status, headers, media_type="application/json")
