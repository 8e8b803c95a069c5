"""`mlflow models serve` for real, in an environment without Spark."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

NO_SPARK = """import sys
class NoSpark:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('pyspark', 'delta'):
            raise ImportError('no Spark here')
sys.meta_path.insert(0, NoSpark())
"""


@contextmanager
def served(uri: str, folder: Path):
    """A function that posts a payload to the served model and gives the status and the answer."""
    (folder / "blocked").mkdir()
    (folder / "blocked" / "sitecustomize.py").write_text(NO_SPARK)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri, "-p", str(port), "--env-manager", "local"]
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    environment = os.environ | {"PYTHONPATH": str(folder / "blocked"), "PATH": path}
    log = folder / "server.log"
    with open(log, "w") as stream:
        server = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, start_new_session=True, cwd=folder)
    try:
        _wait_for(f"http://127.0.0.1:{port}/ping", log)
        yield lambda payload, kind="application/json": _post(f"http://127.0.0.1:{port}/invocations", payload, kind)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _post(url: str, payload, kind: str) -> tuple[int, dict]:
    body = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read(), parse_constant=_no_json)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _no_json(constant: str):
    raise AssertionError(f"{constant} is no JSON")


def _wait_for(url: str, log: Path) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())
