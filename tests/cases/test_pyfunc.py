"""The pyfunc as people call it: in process, over HTTP, in `spark_udf`, in `evaluate`; models of several versions in one process."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from helpers.serving import served
from helpers.texts import texts_of_topics
from mlflow.exceptions import MlflowException
from pyspark.sql import functions as F

import sparknlp_tx
from sparknlp_tx import log_model
from sparknlp_tx.errors import InputError
from sparknlp_tx.tracking.pyfunc import PyfuncInputError, text_columns

ROWS = texts_of_topics(4, seed=5)
TEXTS = [text for text, _ in ROWS]
NO_TEXTS = "Expected texts in column 'text'; found"
NO_COLUMN = "Expected 'text' as column of a pandas DataFrame, or a list of texts; found"


@pytest.fixture(scope="module")
def logged(model, tmp_path_factory):
    """The folder of a logged model."""
    folder = tmp_path_factory.mktemp("logged")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    experiment = mlflow.create_experiment("pyfunc", (folder / "artifacts").as_uri())
    with mlflow.start_run(experiment_id=experiment):
        uri = log_model(model).model_uri
    yield mlflow.artifacts.download_artifacts(uri, dst_path=str(folder))
    mlflow.set_tracking_uri(None)


@pytest.fixture(scope="module")
def pyfunc(logged):
    return mlflow.pyfunc.load_model(logged)


@pytest.fixture(scope="module")
def labels(model):
    return model.predict(TEXTS)["predictedLabel"].tolist()


def frames():
    frame = pd.DataFrame({"id": range(len(TEXTS)), "other": "x", "text": TEXTS})
    return {
        "frame": frame,
        "list": TEXTS,
        "array": np.array(TEXTS),
        "records": frame.to_dict("records"),
        "category": frame.astype({"text": "category"}),
        "string": frame.astype({"text": "string"}),
        "index": frame.set_index(frame["id"] * 7),
        "series": frame["text"],
    }


@pytest.mark.parametrize("form", frames())
def test_texts_in_every_form(pyfunc, labels, form):
    answer = pyfunc.predict(frames()[form])
    assert answer["predictedLabel"].tolist() == labels
    if form == "index":
        assert answer.index.tolist() == [7 * row for row in range(len(TEXTS))]


@pytest.mark.parametrize("frame", [pd.DataFrame({"id": [1], "text": ["a"]})[:0], pd.DataFrame(columns=["text"])])
def test_no_rows_in_no_rows_out(pyfunc, frame):
    answer = pyfunc.predict(frame)
    assert list(answer.columns) == ["rawPrediction", "probability", "prediction", "predictedLabel"]
    assert len(answer) == 0


@pytest.mark.parametrize(
    "given", [[None], [float("nan")], pd.DataFrame({"text": [np.nan, None]}), pd.DataFrame({"text": [pd.NA]})]
)
def test_nulls_alone_are_null(pyfunc, given):
    assert set(pyfunc.predict(given)["predictedLabel"]) == {None}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([5], f"{NO_TEXTS} int '5'. Send strings."),
        (pd.DataFrame({"text": [1.5]}), f"{NO_TEXTS} float '1.5'. Send strings."),
        ([b"a"], f"{NO_TEXTS} bytes"),
        (pd.DataFrame({"text": [["a"]]}), f"{NO_TEXTS} list \"['a']\". Send a list of texts, or records of a text each."),
        (pd.DataFrame({"name": ["a"]}), f"{NO_COLUMN} no text column. Give df[['text']]"),
        (pd.DataFrame({0: ["a"], "text": ["b"]}), f"{NO_COLUMN} columns 'text', 0."),
        ([], f"{NO_COLUMN} no text column."),
    ],
)
def test_what_is_refused_is_told_in_our_words(pyfunc, given, message):
    with pytest.raises(MlflowException) as told:
        pyfunc.predict(given)
    assert message in str(told.value)
    assert told.value.get_http_status_code() == 400


def test_a_dataframe_of_spark_is_refused(pyfunc, test_df):
    with pytest.raises(
        MlflowException, match=r"found pyspark\..*DataFrame. For a DataFrame of Spark take sparknlp_tx.load_model"
    ):
        pyfunc.predict(test_df)


def test_pairs():
    """As MLflow hands them on: columns by name, by number, filled up with NaN."""
    names = ("text", "second")
    given = pd.DataFrame({"second": ["b"], "text": ["a"]})
    expected = [["a", "b"]]
    assert text_columns(given, names).to_numpy().tolist() == expected
    assert text_columns(pd.DataFrame([("a", "b")]), names).to_numpy().tolist() == expected
    filled = pd.DataFrame({0: ["a"], 1: ["b"]}).reindex(columns=[0, 1, "text", "second"])
    assert text_columns(filled, names).to_numpy().tolist() == expected
    for missing in (given[["text"]], pd.DataFrame(["a"]), filled[[0]].reindex(columns=[0, 1, "text", "second"])):
        with pytest.raises(InputError, match="'text' and 'second' as columns"):
            text_columns(missing, names)


def test_errors_of_the_pyfunc_cross_processes():
    import pickle

    error = PyfuncInputError("texts", "int", "Send strings.")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "Expected texts; found int. Send strings."


def test_served(logged, labels, tmp_path):
    columns = {"columns": ["id", "text"], "data": [[row, text] for row, text in enumerate(TEXTS)]}
    records = [{"id": row, "text": text} for row, text in enumerate(TEXTS)]
    right = [{"inputs": TEXTS}, {"instances": TEXTS}, {"dataframe_split": columns}]
    right += [{name: records} for name in ("dataframe_records", "inputs", "instances")]
    null = [{"inputs": [None]}, {"instances": [None]}, {"inputs": [{"text": None}]}, {"inputs": {"text": [None]}}]
    null += [{"dataframe_split": {"columns": ["id", "text"], "data": [[1, None]]}}]
    wrong = {"inputs": [5]}, {"inputs": [["a"], [5]]}, {"inputs": {"text": TEXTS}}, {"dataframe_records": [{"x": "a"}]}
    with served(logged, tmp_path) as post:
        for payload in right:
            assert [row["predictedLabel"] for row in post(payload)[1]["predictions"]] == labels, payload
        for payload in null:
            answer = post(payload)[1]["predictions"]
            assert answer == [dict.fromkeys(["rawPrediction", "probability", "prediction", "predictedLabel"])], payload
        assert post({"dataframe_split": columns | {"data": []}})[1]["predictions"] == []
        for payload in wrong:
            status, answer = post(payload)
            assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer
            assert "Error: Expected " in answer["message"]
            assert "stack_trace" not in answer
            assert "Traceback" not in answer["message"]


def test_spark_udf(spark, logged, labels):
    """By the column, and by a struct whose first field is another; null texts have null labels in every partition."""
    rows = [*enumerate(TEXTS), (90, None), (91, "")]
    df = spark.createDataFrame(rows, "id int, text string").coalesce(1).union(spark.sql("SELECT 92, CAST(NULL AS STRING)"))
    classify = mlflow.pyfunc.spark_udf(spark, logged)
    df = df.select("id", classify("text").alias("column"), classify(F.struct("id", "text")).alias("struct"))
    answer = df.select("column.*", "struct.predictedLabel", "id").orderBy("id").collect()
    assert [(row[3], row[4]) for row in answer] == [(label, label) for label in [*labels, None, None, None]]
    assert [tuple(row[:4]) for row in answer[-3:]] == [(None,) * 4] * 3


def test_spark_udf_of_other_columns_is_refused(spark, logged):
    df = spark.createDataFrame([(1, "a", "b")], "id int, text string, other string")
    classify = mlflow.pyfunc.spark_udf(spark, logged)
    for columns in ([F.struct("id")], ["id"], ["text", "other"]):
        with pytest.raises(Exception, match=r"InputError: Expected .*; found "):
            df.select(classify(*columns)["predictedLabel"]).collect()


def test_mlflows_evaluate_by_the_documented_lines(tracking, logged, pyfunc):
    data = pd.DataFrame(ROWS, columns=["text", "label"])
    by_function = mlflow.models.evaluate(
        lambda frame: pyfunc.predict(frame)["predictedLabel"], data, targets="label", model_type="classifier"
    )
    scored = data.assign(predictedLabel=pyfunc.predict(data)["predictedLabel"])
    by_column = mlflow.models.evaluate(data=scored, targets="label", predictions="predictedLabel", model_type="classifier")
    right = (scored["label"] == scored["predictedLabel"]).mean()
    assert by_function.metrics["accuracy_score"] == by_column.metrics["accuracy_score"] == right


def changed_copy(folder: Path, logged: str) -> Path:
    """A model as another version of the package has logged it: that version has a module more, and tells labels in capitals."""
    package = folder / "later" / "sparknlp_tx"
    shutil.copytree(Path(sparknlp_tx.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "version.py").write_text('__version__ = "9.9.9"\n')
    (package / "loud.py").write_text("def loud(value):\n    return value.upper() if isinstance(value, str) else value\n")
    file = package / "tracking" / "pyfunc.py"
    source = file.read_text()
    source = source.replace("import score_frame\n", "import score_frame\nfrom sparknlp_tx.loud import loud\n")
    file.write_text(source.replace("[_plain(value) for", "[loud(_plain(value)) for"))
    program = "import sys, pathlib; from sparknlp_tx.tracking.carried_code import write_carried; write_carried(pathlib.Path(sys.argv[1]))"
    target = folder / "other"
    shutil.copytree(logged, target, ignore=shutil.ignore_patterns("code"))
    (target / "code").mkdir()
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    subprocess.run([sys.executable, "-c", program, str(target / "code")], env=environment, cwd=folder, check=True)
    os.replace(target / "code" / "model.py", target / "model.py")
    return target


def test_models_of_two_versions_in_one_process(logged, labels, tmp_path):
    """Either order, the library imported or not to be had; each with its own code."""
    other = changed_copy(tmp_path, logged)
    program = f"""
import json, sys, mlflow
if sys.argv[1] == "installed":
    import sparknlp_tx.tracking.pyfunc
else:
    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in ("sparknlp_tx", "pyspark"):
                raise ImportError("not here: " + name)
    sys.meta_path.insert(0, Absent())
models = [mlflow.pyfunc.load_model(path) for path in sys.argv[2:]]
print(json.dumps([list(model.predict({TEXTS!r})["predictedLabel"]) for model in models]))
"""
    loud = [label.upper() for label in labels]
    for start, paths, expected in (
        ("installed", [other, logged], [loud, labels]),
        ("absent", [logged, other, logged], [labels, loud, labels]),
    ):
        environment = os.environ | {"PYTHONPATH": str(Path(sparknlp_tx.__file__).parent.parent)}
        command = [sys.executable, "-c", program, start, *map(str, paths)]
        answer = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr[-2000:]
        assert json.loads(answer.stdout.splitlines()[-1]) == expected
