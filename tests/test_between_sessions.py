"""What one kind of session saves, every other loads: the same rows get the same scores."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparknlp_tx import TransformerClassificationModel

# Loads the models at some paths, scores the rows, and saves the first model to others.
PROGRAM = """
import json, sys
from pathlib import Path
from sessions import session
from sparknlp_tx import TransformerClassificationModel

kind, folder, conf, rows, loaded, saved = (json.loads(word) for word in sys.argv[1:])
with session(kind, Path(folder), conf) as spark:
    df = spark.createDataFrame(rows, "id long, text string")
    scores = []
    for path in loaded:
        model = TransformerClassificationModel.load(path)
        scored = model.transform(df).select("id", "predictedLabel", "probability").orderBy("id").collect()
        scores.append([[row["id"], row["predictedLabel"], row["probability"].toArray().tolist()] for row in scored])
    for path in saved:
        model.save(path)
print(json.dumps(scores))
"""


@pytest.mark.slow
def test_a_model_goes_from_each_kind_of_session_to_the_others(spark, model, test_df, tmp_path, tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    store = f"viewfs://store/files/{tmp_path.relative_to(base)}"  # which Python cannot see
    conf = {"spark.hadoop.fs.viewfs.mounttable.store.link./files": base.as_uri()}
    rows = [[row["id"], row["text"]] for row in test_df.collect()]

    def paths(kind):
        return [str(tmp_path / kind), f"{store}/{kind}-remote"]

    def visit(kind, loaded, saved):
        arguments = (kind, str(tmp_path / f"{kind}-session-{len(saved)}"), conf, rows, loaded, saved)
        command = [sys.executable, "-c", PROGRAM, *map(json.dumps, arguments)]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
        answer = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert answer.returncode == 0, answer.stderr[-3000:]
        return json.loads(answer.stdout.splitlines()[-1])

    for path in paths("classic"):
        model.save(path)
    scored = model.transform(test_df).orderBy("id").collect()
    expected = [[row["id"], row["predictedLabel"], pytest.approx(row["probability"].toArray().tolist())] for row in scored]
    for found in (
        *visit("connect", paths("classic"), paths("connect")),
        *visit("local-cluster", [*paths("classic"), *paths("connect")], paths("local-cluster")),
        *visit("connect", paths("local-cluster"), []),
    ):
        assert found == expected
    for path in [*paths("connect"), *paths("local-cluster")]:
        loaded = TransformerClassificationModel.load(path)
        assert loaded.transform(test_df).orderBy("id").collect() == scored
