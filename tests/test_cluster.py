"""A real cluster of several processes: the model travels, the rows come back once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os
import sys
from pyspark.sql import functions as F
from sparknlp_tx import TransformerClassificationModel, TransformerClassifier, local_session
from sparknlp_tx.evaluation import evaluate

saved, data, root = sys.argv[1:]
spark = local_session(master="local-cluster[2,1,1024]", conf={"spark.executorEnv.PYTHONPATH": root, "spark.stage.maxConsecutiveAttempts": "2"})
try:
    df = spark.read.format("delta").load(data)
    model = TransformerClassificationModel.load(saved)
    rows = model.transform(df.repartition(4)).collect()
    assert sorted(row["id"] for row in rows) == list(range(90)), len(rows)
    predicted = model.predict([row["text"] for row in rows])["predictedLabel"].tolist()
    assert predicted == [row["predictedLabel"] for row in rows]
    params = {p.name: v for p, v in model.extractParamMap().items()}
    two = TransformerClassifier(**params | {"numTrainWorkers": 2, "numTrainEpochs": 20.0})  # the rows reach them by Spark, and so does the model come back
    fitted = two.fit(df)
    metrics = evaluate(fitted, df)
    assert metrics["accuracy"] > 0.9, metrics
    shared = two.copy({two.stagingDir: os.getcwd() + "/staging", two.numTrainEpochs: 1.0, two.learningRate: 1e30})
    try:
        shared.copy({two.trainingArgs: {"logging_steps": 1}}).fit(df)
    except RuntimeError as error:
        assert "Expected a finite loss" in str(error), error
    else:
        raise AssertionError("a loss that is no number")
    scored = fitted.transform(df)
    os.rename(fitted.directory, str(fitted.directory) + ".moved")  # executors do not need the driver's path
    assert scored.filter(F.col("prediction").isNotNull()).count() == 90
finally:
    spark.stop()
print("fine")
"""


@pytest.mark.slow
def test_on_several_processes(spark, model, test_df, tmp_path):
    import pyspark

    test_df.write.format("delta").save(str(tmp_path / "t"))
    model.save(str(tmp_path / "model"))
    environment = os.environ | {"SPARK_HOME": os.path.dirname(pyspark.__file__)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "model"), str(tmp_path / "t"), str(Path(__file__).parent.parent)]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300, check=False)
    told = [line for line in answer.stderr.splitlines() if not line.startswith(("\tat ", "java."))]
    assert answer.returncode == 0, "\n".join(told[-60:])
    assert answer.stdout.splitlines()[-1] == "fine"
