"""MLflow runs of jobs: what is refused beforehand, what is told afterwards, and how a run ends."""

import os
import signal
import subprocess
import sys

import pytest

from sparknlp_tx.errors import InputError


@pytest.fixture
def runs(tracking, monkeypatch):
    from sparknlp_tx.tracking import runs

    monkeypatch.setattr(runs, "WAITS", (0.01, 0.01))
    return runs


@pytest.mark.parametrize("name", ["", " ", "team/tickets", "a:b"])
def test_names_of_registered_models_are_checked(runs, name):
    with pytest.raises(InputError, match="registered model"):
        runs.check_tracking("tests", name)


def test_a_deleted_experiment_is_refused(runs):
    import mlflow

    mlflow.delete_experiment(mlflow.create_experiment("gone"))
    with pytest.raises(InputError, match="deleted"):
        runs.check_tracking("gone")


def test_checking_makes_nothing(runs):
    import mlflow

    runs.check_tracking("fresh", "tickets")
    assert mlflow.get_experiment_by_name("fresh") is None


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "sqlite:////no/such/folder/mlflow.db"])
def test_a_server_that_does_not_answer_is_refused(runs, uri):
    import mlflow

    before = os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    mlflow.set_tracking_uri(uri)
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI"):
        runs.check_tracking("tests")
    assert os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES") == before


def test_a_run_of_the_environment(runs, monkeypatch):
    import mlflow

    with mlflow.start_run() as own:
        assert runs.check_tracking("tests").joined == own.info.run_id
        with runs.logged_run(runs.check_tracking("tests")) as run:
            assert run.run_id == own.info.run_id
        assert mlflow.active_run() is not None  # whoever began it ends it
    monkeypatch.setenv("MLFLOW_RUN_ID", own.info.run_id)
    with pytest.raises(InputError, match="another"):
        runs.check_tracking("another")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(InputError, match="MLFLOW_RUN_ID"):
        runs.check_tracking("tests")


@pytest.mark.parametrize(
    ("error", "status"), [(None, "FINISHED"), (ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_a_run_ends(runs, error, status):
    import mlflow

    try:
        with runs.logged_run(runs.check_tracking("tests")) as run:
            if error:
                raise error
    except (ValueError, KeyboardInterrupt, SystemExit):
        pass
    assert mlflow.get_run(run.run_id).info.status == status


def test_what_is_not_logged_is_told(runs):
    tries = []

    def fails():
        tries.append(1)
        raise OSError("gone")

    with runs.logged_run(runs.check_tracking("tests")) as run:
        assert run.log("pictures", fails) is None
        assert len(tries) == 3
        run.log("metrics", fails)
    assert len(tries) == 4
    assert run.result()["not_logged"] == ["pictures", "metrics"]


def test_a_model_that_is_logged_in_part_is_not_logged_twice(runs):
    import mlflow

    def breaks_off():
        mlflow.pyfunc.log_model(name="model", python_model=lambda model_input: model_input)
        raise OSError("connection reset")

    with runs.logged_run(runs.check_tracking("tests")) as run:
        assert run.log_once("the model", breaks_off) is None
    assert run.result()["not_logged"] == ["the model"]
    assert len(mlflow.search_logged_models(output_format="list")) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_job_that_is_told_to_end(number, code):
    script = f"""
import os, tempfile
from sparknlp_tx.cli.signals import terminations
with terminations(), tempfile.TemporaryDirectory() as folder:
    print(folder, flush=True)
    os.kill(os.getpid(), {int(number)})
    import time; time.sleep(20)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not os.path.exists(done.stdout.strip())
