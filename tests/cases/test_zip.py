"""The package in a zip, as `spark-submit --py-files` has it, with no other one in reach of driver or workers."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from helpers.texts import texts_of_topics

import sparknlp_tx

PROGRAM = """
import json, sys
archive, checkpoint, rows = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
sys.path.insert(0, archive)
import mlflow
import sparknlp_tx
from sparknlp_tx import TransformerClassificationModel, TransformerClassifier, load_model, local_session, log_model

assert sparknlp_tx.__file__.startswith(archive), sparknlp_tx.__file__
spark = local_session("zip", master="local[1]")
df = spark.createDataFrame(rows, "text string, label string").coalesce(1)
model = TransformerClassifier(checkpoint=checkpoint, numTrainEpochs=1.0, batchSize=8, maxLength=32).fit(df)
expected = model.transform(df).select("predictedLabel").collect()
assert len(expected) == len(rows)
model.save("saved")
assert TransformerClassificationModel.load("saved").transform(df).select("predictedLabel").collect() == expected
mlflow.set_tracking_uri("sqlite:///mlflow.db")
logged = log_model(model)
assert load_model(logged.model_uri).transform(df).select("predictedLabel").collect() == expected
spark.stop()
print("URI", logged.model_uri)
"""
SERVED = """
import sys
import mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
print(len(mlflow.pyfunc.load_model(sys.argv[1]).predict(["my card is lost", "the rate"])))
"""


@pytest.mark.slow
def test_a_package_in_a_zip_trains_scores_saves_and_logs(checkpoint, tmp_path):
    package, archive = Path(sparknlp_tx.__file__).parent, tmp_path / "sparknlp_tx.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in package.rglob("*.py"):
            packed.write(file, file.relative_to(package.parent))
    worker = tmp_path / "python"  # -S: without what is installed for development
    worker.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    worker.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"PYTHONPATH": sysconfig.get_paths()["purelib"], "PYSPARK_PYTHON": str(worker)}

    def run(program, *arguments):
        command = [str(worker), "-c", program, *map(str, arguments)]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout.strip().splitlines()

    uri = run(PROGRAM, archive, checkpoint, json.dumps(texts_of_topics(8)))[-1].split()[1]
    archive.unlink()  # what was logged needs it no more
    assert run(SERVED, uri)[-1] == "2"
