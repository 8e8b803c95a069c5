"""What a container image of a served model is built from: a Dockerfile, the model, this package's code, the requirements."""

import shutil
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.backends import openvino_runtime
from sparknlp_tx.serving.served_model import fetch, find
from sparknlp_tx.serving.settings import ServerSettings

NAME = __package__.partition(".")[0]
SERVER_PACKAGES = ("fastapi", "numpy", "pandas", "prometheus-client", "pyarrow", "pyyaml", "tokenizers", "uvicorn")
TORCH_PACKAGES = ("safetensors", "torch", "transformers")
DOCKERFILE = """\
# Built by: docker build -t classifier .
# Run by:   docker run --rm -p {port}:{port} -e SPARKNLP_TX_TOKEN=... classifier
# To follow an alias: install mlflow-skinny as well, and run with -e MLFLOW_TRACKING_URI=... and --model models:/NAME@ALIAS
FROM python:3.11-slim
WORKDIR /srv
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt && useradd --system --uid 10001 serving
COPY {name} {name}
COPY serve.py .
COPY model model
USER serving
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE {port}
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \\
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}/ready', timeout=2)"]
ENTRYPOINT ["python", "serve.py", "--host", "0.0.0.0", "--port", "{port}"]
CMD ["--model", "model"]
"""
SCRIPT = """import sys

from {name}.cli.main import main

sys.exit(main(["serve", *sys.argv[1:]]))
"""


def write_image(folder: str, uri: str, settings: ServerSettings) -> Path:
    """Write a folder from which `docker build` makes an image that serves a model; its user is not root.

    Args:
        folder: new, or empty.
        uri: a saved model's folder or an MLflow URI; the version that an alias names now.

    Returns:
        The folder.

    Raises:
        InputError: something is in the folder, or there is no such model.
    """
    target = Path(folder).expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"an empty folder for --docker at {target}", "something in it", "Name another one.")
    model, _ = fetch(find(uri))
    shutil.copytree(model, target / "model")
    _write_package(files(NAME), target / NAME)
    values = {"port": settings.port or 8000, "name": NAME}
    (target / "Dockerfile").write_text(DOCKERFILE.format(**values))
    (target / "serve.py").write_text(SCRIPT.format(**values))
    (target / "requirements.txt").write_text("".join(f"{name}=={version(name)}\n" for name in _packages(target / "model")))
    return target


def _packages(model: Path) -> list[str]:
    """What the server and the engine import."""
    exported = openvino_runtime.is_exported(model / "model")
    return sorted((*SERVER_PACKAGES, *(("openvino",) if exported else TORCH_PACKAGES)))


def _write_package(folder: Any, target: Path) -> None:
    """The package's sources, out of an archive too."""
    for item in folder.iterdir():
        if item.is_dir() and item.name != "__pycache__":
            _write_package(item, target / item.name)
        elif item.is_file() and not item.name.endswith(".pyc"):
            target.mkdir(parents=True, exist_ok=True)
            (target / item.name).write_bytes(item.read_bytes())
