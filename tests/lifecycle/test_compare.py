"""Models side by side: from an experiment and by URI, what is logged and drawn, what is refused."""

import csv
import json

import mlflow
import pytest

from sparknlp_tx import InputError, TransformerClassifier, log_model
from sparknlp_tx.cli import main as cli
from sparknlp_tx.lifecycle.comparison.compare import plan_compare
from sparknlp_tx.metrics.pareto import pareto_front
from sparknlp_tx.tracking.run_logging import log_data, log_training


@pytest.fixture(scope="module")
def logged(registry, model, settings, train_df, labelled):
    """Two models that an experiment's runs have logged, with their test table: by run id."""
    weak = TransformerClassifier(**settings | {"numTrainEpochs": 1.0}).fit(train_df.limit(60))
    found = {}
    for name, each in (("strong", model), ("weak", weak)):
        with mlflow.start_run(run_name=name) as run:
            log_data(labelled, 0, "test")
            log_training(each)
            log_model(each)
        found[name] = run.info.run_id
    return found


@pytest.mark.every_session
def test_models_of_an_experiment_and_of_a_folder(spark, logged, model, labelled, tmp_path, capsys):
    model.save(str(tmp_path / "folder"))
    files = ["--report", str(tmp_path / "page.html"), "--csv", str(tmp_path / "models.csv")]
    more = ["--on", labelled, "--price-per-hour", "0.5", "--runs", *logged.values()]
    flags = [
        "compare",
        "--experiment",
        "tests",
        "--models",
        str(tmp_path / "folder"),
        *more,
        *files,
        "--precisions",
        "auto",
        "int8",
    ]
    assert cli.main(flags) == 0
    out, err = capsys.readouterr()
    result = json.loads(out.splitlines()[-1])
    names = [row["name"] for row in result["models"]]
    assert len(names) == len(set(names)) == 3
    assert names[-1].endswith("(weak)")
    best, worst = result["models"][0], result["models"][-1]
    assert best["metrics"]["accuracy"]["value"] > 0.95 > worst["metrics"]["accuracy"]["high"]
    assert best["rates"]["auto"] > 0
    assert best["rates"]["int8"] is None
    assert best["cost_of_a_million"] == pytest.approx(0.5e6 / best["rates"]["auto"] / 3600, rel=1e-6)
    beyond = {frozenset((pair["better"], pair["worse"])): pair["beyond_chance"] for pair in result["differences"]}
    assert [value for pair, value in beyond.items() if worst["name"] in pair] == [True, True]
    assert sum(beyond.values()) == 2  # the folder holds the strong one
    assert all(name in err for name in names)
    page = (tmp_path / "page.html").read_text()
    assert all(name in page for name in names)
    assert "data:image/svg+xml;base64," in page
    assert [row["model"] for row in csv.DictReader((tmp_path / "models.csv").read_text().splitlines())] == names
    logged_files = {file.path for file in mlflow.artifacts.list_artifacts(run_id=result["run_id"], artifact_path="compare")}
    assert {
        f"compare/{name}" for name in ("report.html", "models.csv", "compare.json", "quality_and_speed.png")
    } <= logged_files
    strong = mlflow.search_logged_models(filter_string=f"source_run_id = '{logged['strong']}'", output_format="list")[0]
    assert "compare.accuracy" in {metric.key for metric in strong.metrics}


def test_the_test_table_of_the_runs_is_the_default(spark, logged, labelled, capsys):
    assert cli.main(["compare", "--experiment", "tests", "--runs", *logged.values(), "--explain"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["explain"]["table"] == f"{labelled}@v0"


def test_trainings_by_hardware(spark, logged, tmp_path, capsys):
    assert cli.main(["compare", "--experiment", "tests", "--hardware", "--csv", str(tmp_path / "h.csv")]) == 0
    (row,) = json.loads(capsys.readouterr().out.splitlines()[-1])["hardware"]
    assert row["runs"] == 2
    assert "cores" in row["hardware"]
    assert row["seconds_per_epoch"] > 0
    assert (tmp_path / "h.csv").read_text().startswith("checkpoint,hardware,workers,precision,")


def test_what_cannot_be_compared_is_refused(spark, logged, model, labelled, tmp_path):
    model.save(str(tmp_path / "one"))
    one = str(tmp_path / "one")
    for given, message in (
        ({"experiment": "test"}, "Did you mean 'tests'"),
        ({"experiment": "tests", "runs": ["0" * 32]}, "a model that sparknlp_tx logged, of the run 000"),
        ({"models": [one]}, "two models or more to compare; found 1"),
        ({"models": [one, one]}, "one test table"),
        ({"models": [one, one], "on": labelled, "precisions": ["int4"]}, "precisions of auto"),
        ({"models": [one, one], "on": labelled, "price_per_hour": 0.0}, "a price above 0"),
        ({"models": [one, one], "on": labelled, "metric": "auc"}, "that has an interval"),
        ({"models": [one, one], "on": labelled, "report": str(tmp_path / "no" / "x.html")}, "a folder for"),
    ):
        with pytest.raises(InputError, match=message):
            plan_compare(spark, **given)


def test_the_pareto_front():
    assert pareto_front([(1, 5), (2, 4), (3, 4), (2, 2), (4, 1)]) == [0, 2, 4]
    assert pareto_front([(1, 1), (1, 1)]) == [0, 1]
