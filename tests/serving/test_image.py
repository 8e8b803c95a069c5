"""The folder for an image, and a served model's requirements: an environment of them alone, without torch and Spark, answers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from helpers.servers import started

from sparknlp_tx.cli import main as cli
from sparknlp_tx.files import directory_bytes
from sparknlp_tx.tracking.models import engine_requirements

UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@pytest.mark.slow
def test_an_image_s_environment_answers_without_torch(model, tmp_path):
    if UV is None:
        pytest.skip("uv is not installed (make installs it beside the project)")
    model.save(str(tmp_path / "saved"))
    folder = tmp_path / "image"
    flags = ["serve", "--model", str(tmp_path / "saved")]
    assert cli.main([*flags, "--docker", str(folder)]) == 0
    assert cli.main([*flags, "--docker", str(folder)]) == 2  # it is not empty any more
    dockerfile = (folder / "Dockerfile").read_text()
    assert "USER serving" in dockerfile
    assert "HEALTHCHECK" in dockerfile
    assert "torch" not in (folder / "requirements.txt").read_text()
    python = tmp_path / "environment" / "bin" / "python"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(tmp_path / "environment")], check=True)
    logged = [line for line in engine_requirements(model) if not line.startswith("mlflow")]
    install = [UV, "pip", "install", "--quiet", "--python", str(python), "-r", str(folder / "requirements.txt"), *logged]
    subprocess.run(install, check=True)
    assert directory_bytes(tmp_path / "environment") < 1e9
    command = [str(python), str(folder / "serve.py"), "--model", "model", "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SPARK_HOME")}
    with started(command, folder, environment) as running:
        answer = requests.post(f"{running.url}/invocations", json={"inputs": ["please block my stolen card"]}, timeout=30)
        assert answer.json()["predictions"][0]["predictedLabel"] == "card"
        assert running.end() == 0
