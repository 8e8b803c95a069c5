"""Each kind of Spark session that a user may have: classic, Spark Connect with a server of its own, a cluster of several processes.

As a program it is the Connect server: it says its address, and serves until its standard input is closed.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

KINDS = ("classic", "connect", "local-cluster")
JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # many short-lived JVMs: optimising their code costs more than it gains


@contextlib.contextmanager
def session(kind: str, folder: Path, conf: dict[str, str]) -> Iterator:
    """A session of a kind; `folder` takes its tables, `conf` is Spark's configuration."""
    from sparknlp_tx import local_session

    if kind == "connect":
        with connect_server(folder, conf) as address:
            from pyspark.sql import SparkSession

            spark = SparkSession.builder.remote(address).getOrCreate()
            yield spark
            spark.stop()
        return
    if kind == "local-cluster":
        import pyspark

        root = str(Path(__file__).parents[2])
        os.environ["SPARK_HOME"] = os.path.dirname(pyspark.__file__)
        conf |= {"spark.executorEnv.PYTHONPATH": root, "spark.stage.maxConsecutiveAttempts": "2"}
        conf |= {"spark.executor.extraJavaOptions": JVM}
    master = {"classic": "local[2]", "local-cluster": "local-cluster[2,2,1024]"}[kind]
    spark = local_session("tests", master=master, warehouse=folder, conf=conf)
    yield spark
    spark.stop()


@contextlib.contextmanager
def connect_server(folder: Path, conf: dict[str, str]) -> Iterator[str]:
    """The address of a Spark Connect server in a process and a working directory of its own."""
    home = folder / "server"
    home.mkdir(parents=True)
    command = [sys.executable, str(Path(__file__).resolve()), str(folder), json.dumps(conf)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with open(home / "log", "w") as log, subprocess.Popen(command, cwd=home, stderr=log, **pipes) as server:
        address = next((line.strip() for line in server.stdout if line.startswith("sc://")), None)
        assert address, (home / "log").read_text()[-3000:]
        try:
            yield address
        finally:
            server.stdin.close()
            server.wait(timeout=60)


def serve(folder: str, conf: str) -> None:
    """Be a Spark Connect server."""
    from sparknlp_tx import local_session

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
    }
    spark = local_session("server", master="local[2]", warehouse=folder, conf=json.loads(conf) | own)
    print(f"sc://127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    spark.stop()


if __name__ == "__main__":
    serve(*sys.argv[1:])
