"""The HTTP server over loopback, in a process of its own: what it answers, refuses and survives."""

import contextlib
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import uvicorn
from helpers.servers import served
from mlflow.pyfunc import scoring_server

from sparknlp_tx import log_model
from sparknlp_tx.cli import main as cli

PLANTED, TOKEN = "zebrafish-4711", "s3cr3t-t0k3n"
TEXTS = ["please block my stolen card", "what is the rate of the euro", "my transfer has not arrived", "café \U0001f600 naïve"]
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def name(registry, model):
    """A registered model of three equal versions; `champion` is the first."""
    for _ in range(3):
        log_model(model, registered_model_name="served")
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("served", "champion", "1")
    client.set_registered_model_alias("served", "challenger", "2")
    return "served"


@pytest.fixture(scope="module")
def server(name, tmp_path_factory):
    """A server of the champion, with a token, small limits and a quick look at the alias."""
    flags = ["--max-body", "200000", "--max-rows", "500", "--body-timeout", "2", "--poll-seconds", "0.2"]
    folder = tmp_path_factory.mktemp("server")
    with served(f"models:/{name}@champion", *flags, folder=folder, SPARKNLP_TX_TOKEN=TOKEN) as running:
        yield running
        assert PLANTED not in "".join(running.lines)
        assert TOKEN not in "".join(running.lines)


@pytest.fixture(scope="module")
def post(server):
    """A function that posts a body, a JSON object or bytes, to a path, and gives the answer."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"

    def post(body, path="/invocations", headers=JSON):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return session.post(server.url + path, data=data, headers=headers, timeout=30)

    return post


@pytest.fixture(scope="module")
def mlflows(name):
    """The address of MLflow's own server of the same model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = scoring_server.init(mlflow.pyfunc.load_model(f"models:/{name}/1"))
    own = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=own.run, daemon=True)
    thread.start()
    while not own.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    own.should_exit = True
    thread.join(10)


def forms():
    frame = pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS})
    parquet = io.BytesIO()
    frame.to_parquet(parquet)
    bodies = {
        "split": {"dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]}},
        "split with an index": {"dataframe_split": frame.to_dict(orient="split")},
        "records": {"dataframe_records": [{"text": text, "id": 1} for text in TEXTS]},
        "a record without a text": {"dataframe_records": [{"text": TEXTS[0]}, {"text": None}]},
        "instances": {"instances": [{"text": text} for text in TEXTS]},
        "instances of texts": {"instances": TEXTS},
        "inputs": {"inputs": TEXTS},
    }
    for title, body in bodies.items():
        yield pytest.param(json.dumps(body).encode(), JSON, id=title)
    yield pytest.param(parquet.getvalue(), {"Content-Type": "application/vnd.apache.parquet"}, id="parquet")


@pytest.mark.parametrize(("body", "headers"), forms())
def test_it_answers_what_mlflows_server_answers_byte_for_byte(post, mlflows, body, headers):
    theirs = requests.post(f"{mlflows}/invocations", data=body, headers=headers, timeout=30)
    assert theirs.status_code == 200, theirs.text
    ours = post(body, headers=headers)
    assert ours.status_code == 200, ours.text
    assert ours.content == theirs.content
    assert ours.headers["content-type"] == theirs.headers["content-type"]


def test_other_forms_and_what_may_be_asked(post, model):
    [row] = post({"data": {"sentence": TEXTS[0]}}).json()["predictions"]
    assert row["predictedLabel"] == "card"
    assert len(post({"data": [{"text": TEXTS[0]}, {"text": TEXTS[1]}]}).json()["predictions"]) == 2
    assert len(post({"inputs": {"text": TEXTS}}).json()["predictions"]) == 4  # MLflow's server refuses it
    lines = pd.DataFrame({"text": [*TEXTS, 'one, "two"']}).to_csv(index=False).encode()  # nor does that take it of this model
    rows = post(lines, headers={"Content-Type": "text/csv; charset=utf-8"}).json()["predictions"]
    assert [row["predictedLabel"] for row in rows[:3]] == ["card", "rate", "transfer"]
    labels = post({"inputs": TEXTS[:2], "params": {"return": "labels"}}).json()["predictions"]
    assert labels == [{"predictedLabel": "card"}, {"predictedLabel": "rate"}]
    [row] = post({"inputs": TEXTS[:1], "params": {"top_k": 2}}).json()["predictions"]
    assert row["top"][0]["label"] == "card"
    assert row["top"][0]["score"] > row["top"][1]["score"]
    alone = post({"inputs": TEXTS[0]}, "/predict").json()
    assert alone[0]["label"] == "card"
    assert sum(each["score"] for each in alone) == pytest.approx(1)
    batch = post({"inputs": [[TEXTS[0]], [TEXTS[1]]], "raw_scores": True}, "/predict").json()
    expected = np.stack(model.predict(TEXTS[:2])["rawPrediction"])
    assert np.allclose([[each["score"] for each in row] for row in batch], -np.sort(-expected), atol=1e-4)


REFUSED = {
    "no JSON": (b"{", 400, "JSON"),
    "nothing": (b"", 400, "empty"),
    "other bytes": (b"\xff\xfe{}", 400, "UTF-8"),
    "nested": (b'{"inputs": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, "nested"),
    "NaN": (b'{"inputs": [NaN]}', 400, "NaN"),
    "a huge number": (b'{"inputs": [' + b"9" * 9_000 + b"]}", 400, "longer"),
    "a list": ([PLANTED], 400, "JSON object"),
    "no form": ({"texts": [PLANTED]}, 400, "instances"),
    "two forms": ({"inputs": [PLANTED], "instances": ["b"]}, 400, "one"),
    "another column": ({"dataframe_records": [{"txt": PLANTED}]}, 400, "Did you mean"),
    "numbers": ({"inputs": [1, 2]}, 400, "a number in row 0"),
    "no rows": ({"inputs": []}, 400, "row"),
    "ragged rows": ({"dataframe_split": {"columns": ["text"], "data": [["a"], ["b", "c"]]}}, 400, "columns"),
    "unknown params": ({"inputs": [PLANTED], "params": {"topk": 3}}, 400, "top_k"),
    "a large top_k": ({"inputs": [PLANTED], "params": {"top_k": 99}}, 400, "3"),
    "a threshold for three labels": ({"inputs": [PLANTED], "params": {"threshold": 0.2}}, 400, "two labels"),
    "too many rows": ({"inputs": ["a"] * 501}, 413, "500"),
    "too large": (b'{"inputs": ["' + b"a" * 200_000 + b'"]}', 413, "200,000"),
}


@pytest.mark.parametrize(("body", "status", "words"), REFUSED.values(), ids=REFUSED)
def test_bad_requests_get_a_sentence_that_repeats_nothing(post, body, status, words):
    answer = post(body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["message"]
    assert PLANTED not in answer.text
    assert "Traceback" not in answer.text


def test_who_asks_how_and_how_slowly(server, post):
    body = json.dumps({"inputs": [PLANTED]}).encode()
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": f"Basic {TOKEN}"}):
        assert requests.post(f"{server.url}/invocations", data=body, headers=JSON | headers, timeout=30).status_code == 401
    assert post(body, headers={"Content-Type": "text/plain"}).status_code == 415
    assert post(body, headers=JSON | {"Content-Encoding": "gzip"}).status_code == 415
    assert post(body, "/elsewhere").status_code == 404
    assert requests.get(f"{server.url}/invocations", timeout=30).status_code == 405
    assert post({"inputs": ["a", "b\ud800"]}).status_code == 200  # a lone surrogate is a text of U+FFFD
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:  # a body without an end
        head = f"POST /predict HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
        slow.sendall(head.encode())
        assert slow.recv(1000).split()[1] == b"408"
    with socket.create_connection((host, int(port)), timeout=10) as endless:
        endless.sendall(head.encode() + b"ffff\r\n" + b"a" * 0xFFFF + b"\r\n")
        with contextlib.suppress(OSError):  # it has answered, and closed
            for _ in range(20):
                endless.sendall(b"ffff\r\n" + b"a" * 0xFFFF + b"\r\n")
        assert endless.recv(1000).split()[1] == b"413"
    metrics = requests.get(f"{server.url}/metrics", timeout=30).text
    assert 'status="401"' in metrics
    assert PLANTED not in metrics
    assert TOKEN not in metrics


def test_the_alias_moves_under_load_and_no_request_is_lost(server, post, name):
    client, stop, found = mlflow.MlflowClient(), threading.Event(), []

    def ask():
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        while not stop.is_set():
            answer = session.post(f"{server.url}/invocations", json={"inputs": TEXTS[:2]}, timeout=30)
            found.append((answer.status_code, answer.headers.get("X-Model-Version")))

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(ask) for _ in range(4)]
        for version in ("2", "3", "1", "2"):
            client.set_registered_model_alias(name, "champion", version)
            deadline = time.monotonic() + 60
            while requests.get(f"{server.url}/ready", timeout=30).json()["versions"]["main"] != f"{name}/{version}":
                assert time.monotonic() < deadline
                time.sleep(0.1)
        stop.set()
        for each in clients:
            each.result()
    assert {status for status, _ in found} == {200}
    assert {version for _, version in found} == {f"{name}/{version}" for version in "123"}
    assert "sparknlp_tx_reloads_total" in requests.get(f"{server.url}/metrics", timeout=30).text


def test_a_version_that_does_not_load_leaves_the_old_one(server, name, registry):
    class Other(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input

    before = requests.get(f"{server.url}/version", timeout=30).json()["models"]["main"]
    info = mlflow.pyfunc.log_model(name="other", python_model=Other(), registered_model_name=name)
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", info.registered_model_version)
    deadline = time.monotonic() + 60
    while "failed" not in (state := requests.get(f"{server.url}/ready", timeout=30).json()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert state == {"ready": True, "versions": {"main": before}, "failed": {"main": f"{name}/{info.registered_model_version}"}}
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", "1")


def test_sigterm_under_load_loses_no_request(name, tmp_path):
    with served(f"models:/{name}/1", "--telemetry", str(tmp_path / "answered"), folder=tmp_path) as running:
        found, refused = [], []

        def ask(number):
            session = requests.Session()
            while True:
                try:
                    answer = session.post(f"{running.url}/invocations", json={"inputs": TEXTS[:2]}, timeout=30)
                except requests.ConnectionError as error:
                    refused.append(str(error))
                    return
                found.append(answer.status_code)

        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(ask, number) for number in range(8)]
            time.sleep(1)
            running.process.terminate()
            time.sleep(0.5)
            assert requests.get(f"{running.url}/ready", timeout=30).status_code == 503
            for each in clients:
                each.result()
        assert running.process.wait(30) == 0
        assert set(found) == {200}
        assert len(found) > 50
        assert all("refused" in error for error in refused), refused  # none was cut off
        answered = pd.read_parquet(tmp_path / "answered")
        assert len(answered) == 2 * len(found)
        assert set(answered["model_id"]) == {f"{name}/1"}
        assert set(answered["prediction"]) == {"card", "rate"}
        assert "text" not in answered


def test_traffic_is_sticky_and_a_shadow_is_counted(name, tmp_path):
    traffic = ["--traffic", "champion=70,challenger=30", "--shadow", "challenger", "--requests-per-second", "100000"]
    with served(f"models:/{name}@champion", *traffic, folder=tmp_path) as running:

        def version(key):
            answer = requests.post(
                f"{running.url}/invocations", json={"inputs": TEXTS[:1]}, headers={"X-Sticky-Key": key}, timeout=30
            )
            return answer.headers["X-Model-Version"]

        found = [version(f"user {number}") for number in range(60)]
        assert [version(f"user {number}") for number in range(10)] == found[:10]
        assert 30 < found.count(f"{name}/1") < 55
        assert set(found) == {f"{name}/1", f"{name}/2"}
        deadline = time.monotonic() + 10
        while 'shadow_rows_total{outcome="agree"} 70.0' not in (
            page := requests.get(f"{running.url}/metrics", timeout=30).text
        ):
            assert time.monotonic() < deadline, page
            time.sleep(0.1)


def test_what_cannot_be_served_is_refused_before_the_port_opens(name, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for flags, words in (
            (["--model", f"models:/{name}/1", "--port", port], "in use"),
            (["--model", f"models:/{name}@champio", "--port", "0"], "Did you mean 'champion'"),
            (["--model", "models:/servd/1", "--port", "0"], "Did you mean 'served'"),
            (["--model", str(tmp_path), "--port", "0"], "saved model"),
            (["--model", f"models:/{name}/1", "--traffic", "a=50,b=40"], "100"),
            (["--model", f"models:/{name}/1", "--shadow", "challenger", "--port", "0"], "@ALIAS"),
            (["--model", f"models:/{name}/1", "--max-rows", "0"], "--max-rows"),
        ):
            assert cli.main(["serve", *flags]) == 2
            assert words in capsys.readouterr().err
    assert cli.main(["serve", "--model", f"models:/{name}/1", "--explain"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["explain"]["model"] == f"{name}/1"


def test_importing_the_server_loads_no_torch_and_no_spark():
    import subprocess
    import sys

    program = "import sys, sparknlp_tx.cli.commands.serve, sparknlp_tx.serving.server; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for module in ("torch", "transformers", "pyspark", "mlflow", "pandas"):
        assert f"'{module}'" not in loaded
