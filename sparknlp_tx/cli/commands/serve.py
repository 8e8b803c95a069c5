"""Serve a model over HTTP, for programs and people: requests are gathered into batches, and an alias is followed.

  sparknlp-tx serve --model ./my-model
  sparknlp-tx serve --model models:/tickets@champion --host 0.0.0.0 --port 8000 --requests-per-second 50
  sparknlp-tx serve --model models:/tickets@champion --traffic champion=90,challenger=10
  sparknlp-tx serve --model models:/tickets@champion --docker image
  curl localhost:8000/invocations -H 'Content-Type: application/json' -d '{"inputs": ["my card was stolen"]}'

POST /invocations takes and answers what MLflow's server does, POST /predict what text-embeddings-inference does; /docs has examples,
/metrics is for Prometheus, /ready for balancers. Clients send `Authorization: Bearer TOKEN` where the environment has
SPARKNLP_TX_TOKEN. SIGTERM ends it: what has come in is answered. Exit code 2: the port is taken, or there is no such model.
"""

import argparse
import os
from typing import Any

from sparknlp_tx.cli.commands.common import Explained
from sparknlp_tx.cli.flags import make_parser
from sparknlp_tx.errors import InputError

NEEDS_SPARK = False
TOKEN = "SPARKNLP_TX_TOKEN"


def parser() -> argparse.ArgumentParser:
    """Flags of `serve`."""
    parser = make_parser("serve", __doc__)
    add = parser.add_argument
    add("--model", required=True, help="a model directory, runs:/..., models:/name/version or models:/name@alias")
    add("--host", default="127.0.0.1", help="address to listen at; default 127.0.0.1, this machine alone")
    add("--port", type=int, default=8000, help="default 8000; 0 for any")
    add("--traffic", metavar="ALIAS=PERCENT,...", help="answer by several aliases; the same X-Sticky-Key or text by the same")
    add("--shadow", metavar="ALIAS", help="score by this alias too, count where it differs, never answer by it")
    add("--poll-seconds", type=float, default=30.0, help="between two looks at an alias; default 30, 0 for never")
    add("--drain-seconds", type=float, default=2.0, help="after SIGTERM, in which requests are still answered; default 2")
    add("--timeout", type=float, default=60.0, help="seconds for an answer, then 504; default 60")
    add("--body-timeout", type=float, default=30.0, help="seconds for a request's body, then 408; default 30")
    add("--max-body", type=int, default=16 * 2**20, help="bytes of a request's body; default 16 MiB")
    add("--max-rows", type=int, default=10_000, help="of a request; default 10,000")
    add("--max-characters", type=int, default=10_000_000, help="of a request; default 10,000,000")
    add("--max-waiting", type=int, default=20_000, help="texts in the queue, more get 429; default 20,000")
    add("--requests-per-second", type=float, default=0.0, help="of a client, by its address; default any number")
    add("--threads", type=int, help="of the engine; default all cores")
    add("--device", help="auto, cpu, cuda or cuda:N; default the model's own")
    add("--precision", help="auto, float32, bfloat16, float16 or int8; default the model's own")
    add("--telemetry", metavar="FOLDER", help="keep what was answered there, as Parquet files, without texts")
    add("--telemetry-texts", action="store_true", help="keep the texts, too")
    add("--docker", metavar="FOLDER", help="write a Dockerfile and what it needs there, and end")
    return parser


def run(spark: None, options: argparse.Namespace) -> dict[str, Any]:
    """Serve until SIGTERM."""
    _check_installed()
    from sparknlp_tx.serving.settings import ServerSettings, read_traffic

    names = [name for name in ServerSettings.__dataclass_fields__ if hasattr(options, name) and name != "traffic"]
    settings = ServerSettings(
        **{name: getattr(options, name) for name in names},
        traffic=read_traffic(options.traffic),
        token=os.environ.get(TOKEN) or None,
    )
    settings.check()
    _check_tracking(options.model)
    if options.docker:
        from sparknlp_tx.serving.image import write_image

        return {"job": "serve", "docker": str(write_image(options.docker, options.model, settings))}
    if options.explain:
        from sparknlp_tx.serving.served_model import find

        source = find(options.model)
        found = {"model": source.version, "host": settings.host, "port": settings.port, "token": settings.token is not None}
        return Explained("serve", found).as_dict()
    from sparknlp_tx.serving.server import serve

    return {"job": "serve", **serve(options.model, settings)}


def _check_installed() -> None:
    import importlib.util

    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError("the extra `serve`", f"no {', no '.join(missing)}", "pip install 'sparknlp_tx[serve]'")


def _check_tracking(model: str) -> None:
    if model.startswith(("models:", "runs:", "mlflow-artifacts:")):
        from sparknlp_tx.tracking.runs import check_tracking

        check_tracking(None, None)
