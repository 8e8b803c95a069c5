"""What one kind of session saves, every other loads: the same rows get the same scores."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparknlp_tx import TransformerClassificationModel

# A session of a kind, with a line of JSON for each wish: loads the models at some paths, scores the rows, saves the first to others.
PROGRAM = """
import json, sys
from pathlib import Path
from helpers.sessions import session
from sparknlp_tx import TransformerClassificationModel

kind, folder, conf, rows = (json.loads(word) for word in sys.argv[1:])
with session(kind, Path(folder), conf) as spark:
    df = spark.createDataFrame(rows, "id long, text string")
    for line in sys.stdin:
        loaded, saved = json.loads(line)
        scores = []
        for path in loaded:
            model = TransformerClassificationModel.load(path)
            scored = model.transform(df).select("id", "predictedLabel", "probability").orderBy("id").collect()
            scores.append([[row["id"], row["predictedLabel"], row["probability"].toArray().tolist()] for row in scored])
        for path in saved:
            model.save(path)
        print(json.dumps(scores), flush=True)
"""


@contextlib.contextmanager
def visitor(kind, folder, conf, rows):
    """A process with a session of a kind; gives what asks it to load and to save."""
    (folder / kind).mkdir()
    arguments = (kind, str(folder / kind / "tables"), conf, rows)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, *map(json.dumps, arguments)]
    log = folder / kind / "log"
    with open(log, "w") as errors, subprocess.Popen(command, env=env, cwd=folder, stderr=errors, **pipes) as process:

        def ask(loaded, saved):
            print(json.dumps([loaded, saved]), file=process.stdin, flush=True)
            answer = next((line for line in process.stdout if line.startswith("[")), None)
            assert answer, log.read_text()[-3000:]
            return json.loads(answer)

        yield ask
        process.stdin.close()


@pytest.mark.slow
def test_a_model_goes_from_each_kind_of_session_to_the_others(spark, model, test_df, tmp_path, tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    store = f"viewfs://store/files/{tmp_path.relative_to(base)}"  # which Python cannot see
    conf = {"spark.hadoop.fs.viewfs.mounttable.store.link./files": base.as_uri()}
    rows = [[row["id"], row["text"]] for row in test_df.collect()]
    paths = {kind: [f"{tmp_path}/of-{kind}", f"{store}/of-{kind}-remote"] for kind in ("classic", "connect", "local-cluster")}
    with visitor("connect", tmp_path, conf, rows) as connect, visitor("local-cluster", tmp_path, conf, rows) as cluster:
        for path in paths["classic"]:
            model.save(path)
        found = [
            *connect(paths["classic"], paths["connect"]),
            *cluster([*paths["classic"], *paths["connect"]], paths["local-cluster"]),
            *connect(paths["local-cluster"], []),
        ]
    scored = model.transform(test_df).orderBy("id").collect()
    expected = [[row["id"], row["predictedLabel"], pytest.approx(row["probability"].toArray().tolist())] for row in scored]
    assert len(found) == 8
    for scores in found:
        assert scores == expected
    for path in [*paths["connect"], *paths["local-cluster"]]:
        loaded = TransformerClassificationModel.load(path)
        assert loaded.transform(test_df).orderBy("id").collect() == scored
