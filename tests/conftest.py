"""One Spark session, one tiny checkpoint and one small model for most tests; all of them made here, offline."""

import contextlib
import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # they share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from helpers.sessions import JVM, KINDS, session
from helpers.texts import texts_of_topics

os.environ.setdefault("SPARK_SUBMIT_OPTS", JVM)


def pytest_addoption(parser):
    parser.addoption("--session", choices=KINDS, default="classic", help="the kind of Spark session (default: classic)")


def pytest_collection_modifyitems(config, items):
    """A session of another kind runs the tests that are meant for every kind, and those for it alone. Files with slow ones come first."""
    kind = config.getoption("--session")
    meant = {
        "classic": lambda marks: "local_cluster" not in marks,
        "connect": lambda marks: bool({"every_session", "connect"} & marks),
        "local-cluster": lambda marks: "local_cluster" in marks or ("every_session" in marks and "slow" not in marks),
    }[kind]
    kept = [item for item in items if meant({mark.name for mark in item.iter_markers()})]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    slow = {item.path for item in kept if item.get_closest_marker("slow")}
    items[:] = sorted(kept, key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def session_kind(request):
    """The kind of session: classic, connect or local-cluster."""
    return request.config.getoption("--session")


@pytest.fixture(scope="session")
def spark(session_kind, tmp_path_factory):
    """The session of the kind that `--session` names; `viewfs://store/files` is the folder of all temporary files."""
    mounted = {"spark.hadoop.fs.viewfs.mounttable.store.link./files": tmp_path_factory.getbasetemp().as_uri()}
    with session(session_kind, tmp_path_factory.mktemp("warehouse"), mounted) as spark:
        yield spark


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A BERT of two layers, 32 wide, with random weights."""
    from sparknlp_tx.testing import make_checkpoint

    texts = [text for text, _ in texts_of_topics(200)]
    return make_checkpoint(texts, tmp_path_factory.mktemp("checkpoint"), vocab_size=300, hidden_size=32, max_length=64)


@pytest.fixture(scope="session")
def train_df(spark):
    """300 rows: text, label (string)."""
    return spark.createDataFrame(texts_of_topics(100), "text string, label string").coalesce(2).cache()


@pytest.fixture(scope="session")
def test_df(spark):
    """90 other rows: id, text, label."""
    rows = [(i, *row) for i, row in enumerate(texts_of_topics(30, seed=1))]
    return spark.createDataFrame(rows, "id long, text string, label string").repartition(3).cache()


@pytest.fixture(scope="session")
def settings(checkpoint):
    """Params with which the tiny checkpoint learns the topics in seconds."""
    return {
        "checkpoint": checkpoint,
        "learningRate": 1e-3,
        "headLearningRate": 1e-3,
        "numTrainEpochs": 8.0,
        "seed": 4,
        "batchSize": 8,
        "maxLength": 32,
        "precision": "float32",
    }


@pytest.fixture(scope="session")
def model(settings, train_df):
    """A fitted model; tests that change it work on a copy."""
    from sparknlp_tx import TransformerClassifier

    return TransformerClassifier(**settings).fit(train_df)


@contextlib.contextmanager
def mlflow_store(folder):
    """A fresh MLflow store in SQLite, its experiment the one of every run that names none; the folder is the current one."""
    import mlflow

    with pytest.MonkeyPatch.context() as patch:
        uri = f"sqlite:///{folder}/mlflow.db"
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.chdir(folder)
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment("tests")
        yield uri
        mlflow.set_tracking_uri(None)


@pytest.fixture
def tracking(tmp_path):
    """An MLflow store of the test's own."""
    with mlflow_store(tmp_path) as uri:
        yield uri


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """An MLflow store for the tests of a file."""
    with mlflow_store(tmp_path_factory.mktemp("registry")) as uri:
        yield uri
