"""This server beside MLflow's: the same model, the same clients, the same cores, in one run, in turn.

  python benchmarks/serving.py --model MODEL_DIR --input FILE.parquet [--clients 32] [--seconds 10] [--rounds 2] [--rows 1 100]

MODEL_DIR is what model.save wrote; FILE has a column `text`. Servers:
  sparknlp-tx serve        this library's
  mlflow, our pyfunc       `mlflow models serve` of the model as log_model logs it
  mlflow, transformers     `mlflow models serve` of MLflow's transformers flavour of the same weights
Each client sends its next request when it has the answer to the last; they run in a process of their own on the same cores. Prints
requests/s, rows/s and the 50th, 95th and 99th percentile of the seconds of a request, then one lone client beside the bare engine's call.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import quantiles

import pandas as pd

from sparknlp_tx import InferenceEngine
from sparknlp_tx.inference.backends.devices import processor

ROOT = Path(__file__).parents[1]
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


def made(model_dir: str, folder: Path) -> dict[str, list[str]]:
    """The models as MLflow's servers take them, and each server's command."""
    import mlflow
    from mlflow.models import infer_signature
    from transformers import pipeline

    from sparknlp_tx import load_model, local_session, log_model

    spark = local_session(warehouse=folder / "warehouse")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_experiment("serving")
    own = log_model(load_model(model_dir)).model_uri
    pyfunc = mlflow.artifacts.download_artifacts(own, dst_path=str(folder / "pyfunc"))
    spark.stop()
    classifier = pipeline("text-classification", model=f"{model_dir}/model")
    signature = infer_signature(["a"], pd.DataFrame({"label": ["a"], "score": [0.5]}), {"batch_size": 32})
    path = str(folder / "transformers")
    mlflow.transformers.save_model(classifier, path, signature=signature, pip_requirements=["transformers"])
    mlflows = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-m"]
    start = "import sys; from sparknlp_tx.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return {
        "sparknlp-tx serve": [sys.executable, "-c", start, "serve", "--model", model_dir, "--port"],
        "mlflow, our pyfunc": [*mlflows, pyfunc, "-p"],
        "mlflow, transformers": [*mlflows, path, "-p"],
    }


@contextlib.contextmanager
def running(command: list[str], folder: Path) -> Iterator[int]:
    """A server; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(
            [*command, str(port)], env=variables, stdout=log, stderr=log, start_new_session=True, cwd=folder
        )
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "server.log").read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            time.sleep(0.2)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def load(port: int, bodies: list[bytes], clients: int, seconds: float) -> list[float]:
    """The seconds of each request that clients have sent in turn. Runs in a process of its own."""

    async def client(number: int, until: float, took: list[float]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        place = number
        while time.perf_counter() < until:
            body = bodies[place % len(bodies)]
            place += clients
            begin = time.perf_counter()
            head = f"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            status = await reader.readline()
            assert b" 200 " in status, status
            length = 0
            while (line := await reader.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            await reader.readexactly(length)
            took.append(time.perf_counter() - begin)
        writer.close()

    async def all_clients() -> list[float]:
        took: list[float] = []
        until = time.perf_counter() + seconds
        await asyncio.gather(*(client(number, until, took) for number in range(clients)))
        return took

    return asyncio.run(all_clients())


def lone(port: int, bodies: list[bytes], seconds: float) -> list[float]:
    """The seconds of each request of one client with a blocking socket, which costs the least on the client's side."""
    took: list[float] = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            body = bodies[len(took) % len(bodies)]
            head = f"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            begin = time.perf_counter()
            connection.sendall(head.encode() + body)
            found = b""
            while b"\r\n\r\n" not in found:
                found += connection.recv(2**16)
            lines, _, rest = found.partition(b"\r\n\r\n")
            length = int(lines.lower().partition(b"content-length:")[2].split()[0])
            while len(rest) < length:
                rest += connection.recv(2**16)
            took.append(time.perf_counter() - begin)
    return took


def line(name: str, clients: int, rows: int, took: list[float], seconds: float) -> None:
    """Print a row of the table."""
    cut = quantiles(took, n=100)
    rate = len(took) / seconds
    shown = [f"{1000 * cut[place - 1]:.1f}" for place in (50, 95, 99)]
    print(f"| {name} | {clients} | {rows} | {rate:.0f} | {rate * rows:.0f} | {' | '.join(shown)} |", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 100])
    options = parser.parse_args()
    model = str(Path(options.model).absolute())
    texts = pd.read_parquet(options.input)["text"].tolist()
    folder = Path(tempfile.mkdtemp())
    commands = made(model, folder)
    print(f"{processor()}\n")
    print("| server | clients | rows a request | requests/s | rows/s | p50 ms | p95 ms | p99 ms |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    with ProcessPoolExecutor(1) as pool:
        for rows in options.rows:
            bodies = [json.dumps({"inputs": texts[at : at + rows]}).encode() for at in range(0, len(texts) - rows, rows)]
            for _ in range(options.rounds):
                for name, command in commands.items():
                    with running(command, folder) as port:
                        for clients in (options.clients, 1) if rows == 1 else (options.clients,):
                            client = (load, port, bodies, clients) if clients > 1 else (lone, port, bodies)
                            pool.submit(*client, 3).result()
                            took = pool.submit(*client, options.seconds).result()
                            line(name, clients, rows, took, options.seconds)
    engine = InferenceEngine.from_pretrained(f"{model}/model")
    took = []
    for number in range(600):
        begin = time.perf_counter()
        engine.predict_logits([texts[number % len(texts)]])
        took.append(time.perf_counter() - begin)
    line("the bare engine's call", 1, 1, took[100:], sum(took[100:]))


if __name__ == "__main__":
    main()
