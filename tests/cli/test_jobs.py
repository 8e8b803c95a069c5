"""The jobs, as a workflow runs them: flags in, one JSON line out, an exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from helpers.texts import texts_of_topics

from sparknlp_tx.cli import main as cli

ROOT = Path(__file__).parents[2]


@pytest.fixture
def job(spark, capsys):
    """Run a command in this process and its session: exit code, result, standard error."""

    def run(name, *argv):
        code = cli.main([name, *map(str, argv)])
        out, err = capsys.readouterr()
        return code, json.loads(out.splitlines()[-1]) if out and code == 0 else None, err

    return run


@pytest.fixture
def tickets(tmp_path):
    """A csv file of texts and topics."""
    file = tmp_path / "tickets.csv"
    file.write_text("body,queue\n" + "\n".join(f"{text},{label}" for text, label in texts_of_topics(150)))
    return file


@pytest.fixture
def training_flags(settings):
    """Flags with which the tiny checkpoint learns the topics."""
    rates = ["--learning-rate", 1e-3, "--head-learning-rate", 1e-3, "--batch-size", 8, "--num-train-epochs", 8, "--seed", 2]
    return [*rates, "--checkpoint", settings["checkpoint"], "--max-length", 32, "--precision", "float32"]


def test_prepare_train_score(job, tracking, spark, tickets, training_flags, tmp_path):
    data = tmp_path / "data"
    columns = ["--text-col", "body", "--label-col", "queue"]
    code, prepared, err = job("prepare", "--source", tickets, "--output", data, *columns)
    assert code == 0
    assert sum(prepared["rows"].values()) == 450
    assert "3 labels: " in err

    splits = ["--train", data / "train", "--validation", data / "validation", "--test", data / "test"]
    more = ["--experiment", "tickets", "--registered-model", "tickets", "--warmup_steps", 3, "--weight-decay=0.01"]
    code, trained, err = job("train", *splits, "--model-dir", tmp_path / "model", *training_flags, *more)
    assert code == 0
    assert trained["metrics"]["test.accuracy"] > 0.9
    assert trained["registered_version"] == 1
    run = mlflow.get_run(trained["run_id"])
    for name in ("test.accuracy", "validation.accuracy"):
        assert run.data.metrics[name] == trained["metrics"][name]
    assert run.data.metrics["seconds_per_1000_rows"] > 0
    assert (run.data.params["args.warmup_steps"], run.data.params["args.weight_decay"]) == ("3", "0.01")
    inputs = {i.tags[0].value: json.loads(i.dataset.source) for i in run.inputs.dataset_inputs}
    assert set(inputs) == {"training", "validation", "test"}
    assert inputs["training"]["path"] == str(data / "train")
    assert {i.dataset.digest for i in run.inputs.dataset_inputs} == {"v0"}
    pictures = {path.name for path in (tmp_path / "model" / "pictures").iterdir()}
    assert {"learning_curves.png", "confusion_matrix.png", "mistakes.csv"} <= pictures
    logged = mlflow.MlflowClient().list_artifacts(trained["run_id"], "pictures")
    assert {Path(file.path).name for file in logged} == pictures

    code, scored, err = job(
        "score",
        "--model",
        "models:/tickets/1",
        "--input",
        data / "test",
        "--output",
        tmp_path / "scored",
        "--keep-cols",
        "label",
    )
    assert (code, scored["rows"], scored["version"]) == (0, prepared["rows"]["test"], 0)
    df = spark.read.format("delta").load(str(tmp_path / "scored"))
    assert df.columns == ["label", "rawPrediction", "probability", "prediction", "predictedLabel"]
    assert df.filter("label = predictedLabel").count() / df.count() == pytest.approx(trained["metrics"]["test.accuracy"])

    assert scored["metrics"]["rows"] == scored["rows"]

    base = ["--model", tmp_path / "model", "--input", data / "test"]
    code, explained, err = job("score", *base, "--explain", "--max-length", 5)
    assert (code, explained["explain"]["rows"]) == (0, prepared["rows"]["test"])
    assert "of the texts are truncated at maxLength=5" in err
    assert "--output TABLE, or --explain" in refused(job, "score", *base)

    rows = df.count()
    flags = ["--input", data / "test", "--output", tmp_path / "scored", "--keep-cols", "label", "--mode", "append"]
    code, scored, err = job(
        "score", "--model", tmp_path / "model", *flags, "--handle-invalid", "skip", "--experiment", "nightly"
    )
    run = mlflow.get_run(scored["run_id"])
    assert run.data.metrics["scoring.rows"] == rows
    assert run.data.metrics["scoring.tokens_per_second"] > 0
    assert run.data.params["handleInvalid"] == "skip"
    assert [i.tags[0].value for i in run.inputs.dataset_inputs] == ["scoring"]
    assert (scored["version"], spark.read.format("delta").load(str(tmp_path / "scored")).count()) == (1, 2 * rows)


def refused(job, name, *argv):
    code, _, err = job(name, *argv)
    assert code == 2
    return err.splitlines()[-1]


def test_flags_that_are_wrong_are_refused(job, tracking, train_df, training_flags, tmp_path):
    train_df.write.format("delta").save(str(tmp_path / "train"))
    base = ["--train", tmp_path / "train", "--model-dir", tmp_path / "model", *training_flags]
    assert "each flag once; found --max-length 2 times" in refused(job, "train", *base, "--max-length", 5)
    assert "found 'warmup_step'. Did you mean 'warmup_steps'" in refused(job, "train", *base, "--warmup-step", 5)
    twice = ["--training-args", '{"warmup_steps": 1}', "--warmup-steps", 2]
    assert "each training setting once; found warmup_steps as a flag and in --training-args" in refused(
        job, "train", *base, *twice
    )
    assert "which batchSize sets" in refused(job, "train", *base, "--per-device-train-batch-size", 2)
    assert "a value for --seed; found 'x'" in refused(job, "train", *base[:4], "--seed", "x")
    assert "a value for --threshold; found '2'" in refused(job, "train", *base, "--threshold", "2")
    assert "found --inptu. Did you mean '--input'" in refused(
        job, "score", "--model", "m", "--input", "i/t", "--output", "o/t", "--inptu", "x"
    )
    train_df.withColumnRenamed("text", "body").write.format("delta").save(str(tmp_path / "other"))
    assert "found columns body, label" in refused(job, "train", *base, "--test", tmp_path / "other")
    assert "Did you mean '--max-length'" in refused(job, "train", *base[:4], "--max-lenght", 5)
    train_df.limit(0).write.format("delta").save(str(tmp_path / "empty"))
    assert "rows in the validation table; found none" in refused(job, "train", *base, "--validation", tmp_path / "empty")
    train_df.withColumn("label", train_df.label == "card").write.format("delta").save(str(tmp_path / "boolean"))
    message = "one type of 'label' in the training and the validation table; found string and boolean"
    assert message in refused(job, "train", *base, "--validation", tmp_path / "boolean")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").touch()
    assert "a saved stage at" in refused(job, "train", *base, "--overwrite")
    assert "nothing at" in refused(job, "train", *base)
    assert mlflow.search_runs(search_all_experiments=True).empty


def test_a_training_that_cannot_go_on_ends_with_1(job, tracking, train_df, training_flags, tmp_path):
    train_df.write.format("delta").save(str(tmp_path / "train"))
    flags = ["--train", tmp_path / "train", "--model-dir", tmp_path / "model", *training_flags[4:], "--logging-steps", 1]
    code, _, err = job("train", *flags, "--learning-rate", 1e30)
    assert (code, (tmp_path / "model").exists()) == (1, False)
    assert "error: Expected a finite loss; found" in err.splitlines()[-1]
    assert [run.info.status for run in mlflow.search_runs(search_all_experiments=True, output_format="list")] == ["FAILED"]


def test_prepare_refuses_before_it_writes(job, tracking, tickets, tmp_path):
    columns = ["--text-col", "body", "--label-col", "queue"]
    assert "a schema 'nowhere'; found none" in refused(job, "prepare", "--source", tickets, "--output", "nowhere", *columns)
    flags = ["--source", tickets, "--output", tmp_path / "d", *columns, "--checkpoint", tmp_path]
    assert "a Hugging Face model in" in refused(job, "prepare", *flags)
    assert "an output that is not what is read" in refused(job, "prepare", "--source", tickets.parent, "--output", tmp_path)
    assert not (tmp_path / "d").exists()


def test_the_demo_leaves_other_folders_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "jobs"))
    import demo

    (tmp_path / "thesis.txt").touch()
    assert demo.main(["--output", str(tmp_path)]) == 2
    assert "a new or empty folder, or one of an earlier demo" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_the_demo_from_end_to_end(tmp_path):
    """A small one, in a process of its own."""
    command = [sys.executable, str(ROOT / "jobs" / "demo.py"), "--output", str(tmp_path / "demo"), "--limit", "60"]
    command += ["--num-train-epochs", "1"]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    for word in ("10 labels", "accuracy", "rows/s", "A few predictions", "Delta tables", "mlflow ui", "load_model"):
        assert word in answer.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]  # nothing beside it


def test_tables_and_models_that_are_wrong_are_refused(job, tracking, test_df, model, tmp_path):
    test_df.write.format("delta").save(str(tmp_path / "t"))
    model.save(str(tmp_path / "model"))
    base = ["--model", tmp_path / "model", "--input", tmp_path / "t"]
    assert "other than what is read" in refused(job, "score", *base, "--output", tmp_path / "t")
    err = refused(job, "score", *base, "--output", tmp_path / "o", "--keep-cols", "txt")
    assert "column 'txt' (--keep-cols); found columns id, text, label. Did you mean 'text'" in err
    err = refused(job, "score", "--model", "models:/nobody/1", "--input", tmp_path / "t", "--output", tmp_path / "o")
    assert "a model in MLflow; found none at models:/nobody/1" in err
    err = refused(job, "score", "--model", tmp_path / "model", "--input", tmp_path / "absent", "--output", tmp_path / "o")
    assert "a Delta table at" in err
    assert not (tmp_path / "o").exists()


def test_a_scoring_that_fails_leaves_the_old_table(job, spark, test_df, model, tmp_path):
    test_df.withColumn("text", test_df.text.substr(1, 0)).write.format("delta").save(str(tmp_path / "t"))
    spark.range(5).write.format("delta").save(str(tmp_path / "o"))
    model.save(str(tmp_path / "model"))
    flags = ("--model", tmp_path / "model", "--input", tmp_path / "t", "--output", tmp_path / "o", "--handle-invalid", "error")
    code, _, err = job("score", *flags)
    assert code == 1
    assert "it is as it was before: Expected no null and no empty text, as handleInvalid='error' says; found " in err
    assert spark.read.format("delta").load(str(tmp_path / "o")).count() == 5


def test_the_demo_has_help():
    command = [sys.executable, str(ROOT / "jobs" / "demo.py"), "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "without a download or an account" in answer.stdout


@pytest.mark.slow
def test_spark_submit_runs_a_job(spark, model, test_df, tmp_path):
    """In a process of its own, on a cluster of several processes; its last line is the result."""
    import pyspark

    from sparknlp_tx.spark.jars import known_jars

    test_df.write.format("delta").save(str(tmp_path / "t"))
    model.save(str(tmp_path / "model"))
    home = os.path.dirname(pyspark.__file__)
    conf = {
        "spark.jars": known_jars(),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.executorEnv.PYTHONPATH": str(ROOT),
        "spark.ui.enabled": "false",
    }
    command = [f"{home}/bin/spark-submit", "--master", "local-cluster[2,1,1024]"]
    command += [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
    command += [str(ROOT / "jobs" / "score.py"), "--model", str(tmp_path / "model")]
    command += ["--input", str(tmp_path / "t"), "--output", str(tmp_path / "o")]
    environment = os.environ | {"SPARK_HOME": home, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert json.loads(answer.stdout.splitlines()[-1])["rows"] == 90
    rows = spark.read.format("delta").load(str(tmp_path / "o"))
    expected = {row["id"]: row["predictedLabel"] for row in model.transform(test_df).collect()}
    assert {row["id"]: row["predictedLabel"] for row in rows.collect()} == expected
