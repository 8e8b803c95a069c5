"""A stand-in for Databricks Model Serving on the loopback: its requests are read, and its answers written, by databricks-sdk's own types."""

import json
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from databricks.sdk.service.serving import (
    AutoCaptureConfigOutput,
    DataframeSplitInput,
    EndpointCoreConfigInput,
    EndpointCoreConfigOutput,
    EndpointPendingConfig,
    EndpointState,
    EndpointStateConfigUpdate,
    EndpointStateReady,
    QueryEndpointResponse,
    Route,
    ServedEntityOutput,
    ServedModelState,
    ServedModelStateDeployment,
    ServingEndpointDetailed,
    TrafficConfig,
)

API = "/api/2.0/serving-endpoints"


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status, code, message, headers=None):
        super().__init__(message)
        self.status, self.body, self.headers = status, {"error_code": code, "message": message}, headers or {}


class StandIn:
    """The state of a workspace, and how it is to behave.

    Attributes:
        endpoints: descriptions by name. requests: what came, as (method, path).
        unbuildable: versions whose build fails. looks: how often an update is looked at until it has ended.
        wrong: what a version's answer of predictions is, by (version, how often its rows came before): a status, or a count of rows.
        throttled: answers still to give before any other: (status, Retry-After).
        unready: for how many looks an endpoint is not ready after an update has ended; it answers no rows then.
        lost: whether the next update is taken and answered with an error.
    """

    def __init__(self):
        self.endpoints, self.requests, self.predicted, self.throttled = {}, [], {}, []
        self.unbuildable, self.wrong, self.looks, self._left, self.times = set(), {}, 2, {}, []
        self.lost, self.unready = False, 0

    def configs(self):
        """What was asked for, one after another: shares by entity."""
        return [asked for _, _, asked in self.requests if asked is not None]

    def shares(self, name):
        """What an endpoint serves."""
        routes = self.endpoints[name].config.traffic_config.routes
        return {route.served_model_name: route.traffic_percentage for route in routes}

    def put(self, name, shares, **fields):
        """An endpoint that is there already: entities of versions of `tickets` by their names."""
        entities = [{"name": each, "entity_name": "tickets", "entity_version": each[-1], **fields} for each in shares]
        routes = [{"served_model_name": each, "traffic_percentage": share} for each, share in shares.items()]
        config = {"served_entities": entities, "traffic_config": {"routes": routes}}
        self._begin(name, config)
        self._end(name)

    def answer(self, method, path, body):
        """An answer's body; Refusal for an error."""
        self.times.append(time.monotonic())
        if self.throttled:
            status, after = self.throttled.pop(0)
            raise Refusal(status, "REQUEST_LIMIT_EXCEEDED", "too many", {"Retry-After": str(after)})
        if invoked := re.fullmatch(r"/serving-endpoints/([\w-]+)(?:/served-models/([\w-]+))?/invocations", path):
            return self._predict(*invoked.groups(), body)
        if method == "POST" and path.rstrip("/") == API:
            assert set(body) == {"name", "config"}
            if body["name"] in self.endpoints:
                raise Refusal(400, "RESOURCE_ALREADY_EXISTS", "there is one")
            return self._begin(body["name"], body["config"])
        name, _, rest = path.removeprefix(f"{API}/").partition("/")
        if not path.startswith(API) or name not in self.endpoints:
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", f"no {path}")
        if method == "GET" and not rest:
            return self._look(name)
        assert (method, rest) == ("PUT", "config")
        if self._state(name).config_update == EndpointStateConfigUpdate.IN_PROGRESS:
            raise Refusal(409, "RESOURCE_CONFLICT", "an update is in progress")
        begun = self._begin(name, body)
        if self.lost:
            self.lost = False
            raise Refusal(500, "INTERNAL_ERROR", "lost")
        return begun

    def _begin(self, name, body):
        asked = EndpointCoreConfigInput.from_dict(body)
        assert {key: value for key, value in asked.as_dict().items() if key != "name"} == body  # no field that there is not
        shares = {route.served_model_name: route.traffic_percentage for route in asked.traffic_config.routes}
        assert sum(shares.values()) == 100
        assert list(shares) == [entity.name for entity in asked.served_entities]
        entities = [ServedEntityOutput.from_dict(entity.as_dict()) for entity in asked.served_entities]
        for entity in entities:
            entity.state = _built("CREATING", "Creating resources")
        old = self.endpoints.setdefault(name, ServingEndpointDetailed(name=name, state=EndpointState()))
        captured = asked.auto_capture_config
        old.pending_config = EndpointPendingConfig(
            auto_capture_config=AutoCaptureConfigOutput.from_dict(captured.as_dict()) if captured else None,
            served_entities=entities,
            traffic_config=TrafficConfig(
                [Route(traffic_percentage=share, served_model_name=each) for each, share in shares.items()]
            ),
        )
        old.state.config_update, self._left[name] = EndpointStateConfigUpdate.IN_PROGRESS, self.looks
        old.state.ready = EndpointStateReady.READY if old.config else EndpointStateReady.NOT_READY
        return old.as_dict()

    def _look(self, name):
        if self._state(name).config_update == EndpointStateConfigUpdate.IN_PROGRESS:
            self._left[name] -= 1
            if self._left[name] < 0:
                self._end(name)
        elif self._state(name).ready == EndpointStateReady.NOT_READY:
            self._left[name] -= 1
            if self._left[name] < 0:
                self._state(name).ready = EndpointStateReady.READY
        return self.endpoints[name].as_dict()

    def _end(self, name):
        endpoint = self.endpoints[name]
        built = endpoint.pending_config
        failed = [entity for entity in built.served_entities if entity.entity_version in self.unbuildable]
        for entity in built.served_entities:
            entity.state = _built("READY")
        for entity in failed:
            entity.state = _built("FAILED", "no such package: torhc")
        if failed:
            endpoint.state.config_update = EndpointStateConfigUpdate.UPDATE_FAILED
            return
        endpoint.config = EndpointCoreConfigOutput.from_dict(built.as_dict())
        endpoint.pending_config, self._left[name] = None, self.unready
        endpoint.state = EndpointState(
            config_update=EndpointStateConfigUpdate.NOT_UPDATING,
            ready=EndpointStateReady("NOT_READY" if self.unready else "READY"),
        )

    def _state(self, name):
        return self.endpoints[name].state

    def _predict(self, name, entity, body):
        sent = DataframeSplitInput.from_dict(body["dataframe_split"])
        if self._state(name).ready == EndpointStateReady.NOT_READY:
            raise Refusal(400, "BAD_REQUEST", "not ready")
        shares = self.shares(name)
        served = {each.name: each for each in self.endpoints[name].config.served_entities}
        version = served[entity or max(shares, key=shares.get)].entity_version
        before = self.predicted.setdefault(version, 0)
        self.predicted[version] += 1
        wrong = self.wrong.get((version, before), self.wrong.get(version))
        if wrong is not None and wrong >= 400:
            code = "BAD_REQUEST" if wrong == 400 else "INTERNAL_ERROR"
            raise Refusal(wrong, code, f"Failed to predict: {json.dumps(sent.data)}")
        count = len(sent.data) if wrong is None else wrong
        answer = QueryEndpointResponse(predictions=[{"prediction": 0.0}] * count, served_model_name=f"{name}-{version}")
        return answer.as_dict()


def _built(state, message=""):
    return ServedModelState(deployment=ServedModelStateDeployment(f"DEPLOYMENT_{state}"), deployment_state_message=message)


@contextmanager
def model_serving():
    """A stand-in that listens; its address, and its state."""
    state, lock = StandIn(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"null")
            path = self.path.partition("?")[0]
            if not path.lstrip("/").startswith((API[1:], "serving-endpoints/")):  # the client looks for more of a workspace
                return self._send(404, {"error_code": "NOT_FOUND", "message": "no such page"}, {})
            with lock:
                try:
                    asked = (body or {}).get("config", body or {}).get("traffic_config")
                    shares = asked and {route["served_model_name"]: route["traffic_percentage"] for route in asked["routes"]}
                    answer = state.answer(self.command, path, body)
                    state.requests.append((self.command, path, shares))
                    return self._send(200, answer, {})
                except Refusal as refusal:
                    return self._send(refusal.status, refusal.body, refusal.headers)
                except AssertionError as error:
                    return self._send(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": f"stand-in: {error}"}, {})

        do_POST = do_PUT = do_GET

        def _send(self, status, body, headers):
            text = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", state
    finally:
        server.shutdown()
        server.server_close()
