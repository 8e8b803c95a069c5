"""The bundle for Databricks, and task values. Nothing here runs on Databricks: the bundle is held against the types of
`databricks-bundles` and against the jobs' own flags and results; `dbutils`, which exists only there, is a stand-in with the one
method that is called."""

import configparser
import importlib
import json
import os
import re
import subprocess
import sys
import types
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from databricks.bundles.jobs import Job

from sparknlp_tx.cli import flags
from sparknlp_tx.cli.task_values import set_task_values
from sparknlp_tx.metrics.compute import METRICS

ROOT = Path(__file__).parents[2]
BUNDLE = yaml.safe_load((ROOT / "jobs" / "databricks.yml").read_text())
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
GIVEN = {"bundle.name": BUNDLE["bundle"]["name"], "bundle.target": "dev", "workspace.current_user.userName": "me@example.com"}


def resolved(node, target):
    """A part of the bundle with its variables' values in it, as a deployment to a target has it; a name not declared fails."""
    variables = {name: variable["default"] for name, variable in BUNDLE["variables"].items()}
    variables |= BUNDLE["targets"][target].get("variables", {})
    values = GIVEN | {f"var.{name}": value for name, value in variables.items()}
    if isinstance(node, dict):
        return {key: resolved(value, target) for key, value in node.items()}
    if isinstance(node, list):
        return [resolved(value, target) for value in node]
    if isinstance(node, str) and (whole := re.fullmatch(r"\$\{([^}]+)\}", node)):
        return resolved(values[whole.group(1)], target)
    return re.sub(r"\$\{([^}]+)\}", lambda match: values[match.group(1)], node) if isinstance(node, str) else node


JOBS = {
    f"{target}-{name}": resolved(job, target)
    for target in BUNDLE["targets"]
    for name, job in BUNDLE["resources"]["jobs"].items()
}
every_job = pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)


def words(task):
    """The command line of a task."""
    return task.get("python_wheel_task", {}).get("parameters", [])


def results(command):
    """The keys of a command's result, those of its MLflow run, and those of `evaluate`'s metrics."""
    module = importlib.import_module(f"sparknlp_tx.cli.commands.{command}")
    keys = {field.name for field in fields(getattr(module, f"{command.capitalize()}Result"))} | {"run_id", "experiment_id"}
    tables = {f"tables_{table}" for table in ("train", "validation", "test", "labels")}
    metrics = {f"model_{name}" for names in METRICS.values() for name in names if name != "loss"}
    return keys | {"prepare": tables, "evaluate": metrics}.get(command, set())


def test_types_refuse_what_is_not_in_them():
    for wrong in (
        {"nmae": "x"},
        {"queue": {"on": True}},
        {"schedule": {"quartz_cron_expression": "", "timezone_id": 3, "x": 1}},
    ):
        with pytest.raises(ValueError, match="Unexpected field"):
            Job.from_dict(wrong)


@every_job
def test_jobs_have_the_types_of_databricks(job):
    found = Job.from_dict(job)
    assert {"score", "evaluation"} & {task.task_key for task in found.tasks}
    assert not found.schedule or found.schedule.pause_status.value == "PAUSED"
    assert found.max_concurrent_runs == 1
    assert [permission.level.value for permission in found.permissions] == ["CAN_MANAGE_RUN"]


@every_job
def test_tasks_refer_to_what_is_there(job):
    clusters = {cluster["job_cluster_key"] for cluster in job.get("job_clusters", [])}
    environments = {environment["environment_key"] for environment in job.get("environments", [])}
    parameters = {parameter["name"] for parameter in job["parameters"]}
    seen = set()
    for task in job["tasks"]:
        assert {other["task_key"] for other in task.get("depends_on", [])} <= seen
        if "condition_task" not in task:
            assert ("job_cluster_key" in task) != ("environment_key" in task)
            assert task.get("job_cluster_key") in clusters | {None}
            assert task.get("environment_key") in environments | {None}
            assert ("libraries" in task) == ("job_cluster_key" in task)
        assert set(re.findall(r"\{\{job\.parameters\.(\w+)\}\}", json.dumps(task))) <= parameters
        seen.add(task["task_key"])
    assert parameters == set(re.findall(r"\{\{job\.parameters\.(\w+)\}\}", json.dumps(job["tasks"])))
    used = {task.get("job_cluster_key") for task in job["tasks"]} | {task.get("environment_key") for task in job["tasks"]}
    assert used - {None} == clusters | environments


@every_job
def test_flags_are_those_of_the_commands(job):
    values = {f"{{{{job.parameters.{each['name']}}}}}": each["default"] for each in job["parameters"]}
    for task in job["tasks"]:
        if not words(task):
            continue
        wheel = task["python_wheel_task"]
        assert (wheel["package_name"], wheel["entry_point"]) == ("sparknlp_tx", "sparknlp-tx")
        command, *given = words(task)
        parser = importlib.import_module(f"sparknlp_tx.cli.commands.{command}").parser()
        given = [re.sub(r"\{\{job\.parameters\.\w+\}\}", lambda match: values[match.group()], flag) for flag in given]
        assert {flag.partition("=")[0] for flag in given} <= set(parser._option_string_actions)
        options = flags.parse(parser, given)  # a flag that is missing, given twice or of another type fails
        assert not options.extra
        assert options.params.get("textCol", "text") == "text"


@every_job
def test_task_values_are_results_of_the_tasks_before(job):
    commands = {task["task_key"]: (words(task) or [None])[0] for task in job["tasks"]}
    before = {}
    for task in job["tasks"]:
        own = {other["task_key"] for other in task.get("depends_on", [])}
        before[task["task_key"]] = own.union(*(before[other] for other in own))
        for other, key in re.findall(r"\{\{tasks\.(\w+)\.values\.(\w+)\}\}", json.dumps(task)):
            assert other in before[task["task_key"]]
            assert key in results(commands[other]), key
        assert json.dumps(task).count("{{") == len(re.findall(r"\{\{(?:tasks|job)\.[\w.]+\}\}", json.dumps(task)))


@every_job
def test_names_are_those_of_unity_catalog(job):
    values = {parameter["name"]: parameter["default"] for parameter in job["parameters"]}
    tables = [values[name] for name in ("source", "input", "output") if name in values]
    tables += [
        flag.partition("=")[2] for task in job["tasks"] for flag in words(task) if flag.startswith("--registered-model=")
    ]
    for table in tables:
        assert re.fullmatch(r"\w+\.\w+\.\w+", table), table
    assert re.fullmatch(r"models:/\w+\.\w+\.\w+@champion", values.get("model", "models:/a.b.c@champion"))
    paths = re.findall(r'=(/[^"]*)"', json.dumps(job["tasks"]))
    assert all(re.match(r"/Volumes/\w+/\w+/\w+/", path) for path in paths)
    assert "/dbfs" not in json.dumps(job)


def test_variables_are_declared_described_and_used():
    text = (ROOT / "jobs" / "databricks.yml").read_text()
    assert all({"description", "default"} <= set(variable) for variable in BUNDLE["variables"].values())
    assert set(re.findall(r"\$\{var\.(\w+)\}", text)) == set(BUNDLE["variables"])
    for target in BUNDLE["targets"].values():
        assert set(target.get("variables", {})) <= set(BUNDLE["variables"])
    assert set(BUNDLE) == {"bundle", "variables", "artifacts", "resources", "targets"}


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_clusters_can_do_what_they_are_for(job):
    for cluster in job.get("job_clusters", []):
        spec = cluster["new_cluster"]
        gpus = "-gpu-ml-" in spec["spark_version"]
        assert gpus == (cluster["job_cluster_key"] in ("train", "gpu"))
        assert spec["data_security_mode"] == "SINGLE_USER"  # standard access mode has neither the ML runtime nor GPUs
        assert "runtime_engine" not in spec  # there is no Photon on GPUs, and it does nothing for Python functions
        slots = spec.get("spark_conf", {}).get("spark.task.resource.gpu.amount")
        assert (0 < float(slots) <= 1) if cluster["job_cluster_key"] == "gpu" else slots is None


def test_libraries_are_the_wheel_and_what_scores_on_cpus():
    """A wheel's extras cannot be asked for in `libraries`; so the one package of the extra `cpu` that scoring needs is named."""
    [openvino] = [line for line in SETUP["options.extras_require"]["cpu"].split("\n") if line.startswith("openvino")]
    openvino = openvino.replace(" ", "")
    wheel = BUNDLE["artifacts"]["wheel"]["files"][0]["source"]
    for job in BUNDLE["resources"]["jobs"].values():
        for task in job["tasks"]:
            if "job_cluster_key" in task:
                assert task["libraries"] == [{"whl": wheel}, {"pypi": {"package": openvino}}]
        for environment in job.get("environments", []):
            assert environment["spec"]["dependencies"] == [wheel, openvino]


@pytest.fixture
def databricks(monkeypatch):
    """A runtime with no `dbutils` in it yet; `place(module, **names)` puts one where Databricks keeps it."""
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    for module in ("IPython", "pyspark.dbutils", "databricks.sdk.runtime"):
        monkeypatch.setitem(sys.modules, module, None)

    def place(module, **names):
        monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(**names))

    return place


class Dbutils:
    """What is used of `dbutils`: keeps what it is given."""

    def __init__(self, *arguments):
        self.values = {}
        self.jobs = types.SimpleNamespace(taskValues=self)

    def set(self, key, value):
        json.dumps(value, allow_nan=False)
        self.values[key] = value


def in_shell(place, dbutils):
    place("IPython", get_ipython=lambda: types.SimpleNamespace(user_ns={"dbutils": dbutils}))


def in_session(place, dbutils):
    place("pyspark.dbutils", DBUtils=lambda session: dbutils)


def in_sdk(place, dbutils):
    place("databricks.sdk.runtime", dbutils=dbutils)


@pytest.mark.parametrize("where", [in_shell, in_session, in_sdk])
def test_results_become_task_values(databricks, where, capsys):
    dbutils = Dbutils()
    where(databricks, dbutils)
    tables = {"train": "main.support.tickets_train"}
    metrics = {"test.accuracy": 0.9, "test.log_loss": float("nan")}
    set_task_values({"tables": tables, "registered_version": 3, "ok": True, "model": None, "rows": [1], "metrics": metrics})
    assert dbutils.values == {
        "tables_train": "main.support.tickets_train",
        "registered_version": 3,
        "ok": True,
        "metrics_test_accuracy": 0.9,
    }
    assert capsys.readouterr() == ("", "")


def test_the_sdk_stand_in_that_drops_values_is_passed_over(databricks, capsys):
    """The SDK's `dbutils` for programs outside of Databricks: `taskValues.set` of it does nothing, without a word."""
    from databricks.sdk.dbutils import _JobsUtil

    in_sdk(databricks, types.SimpleNamespace(jobs=_JobsUtil()))
    set_task_values({"rows": 3})
    assert "warning: no task values for later tasks: no dbutils here" in capsys.readouterr().err
    in_session(databricks, dbutils := Dbutils())
    set_task_values({"rows": 3})
    assert dbutils.values == {"rows": 3}


def test_a_value_that_is_refused_does_not_fail_the_job(databricks, capsys):
    in_session(databricks, types.SimpleNamespace(jobs=types.SimpleNamespace(taskValues=object())))
    set_task_values({"rows": 3})
    assert "no task values for later tasks" in capsys.readouterr().err


def test_elsewhere_nothing_happens_and_nothing_is_imported():
    code = (
        "import sys; before = set(sys.modules); from sparknlp_tx.cli.task_values import set_task_values; set_task_values({'rows': 3});"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before} & {'pyspark', 'IPython', 'databricks', 'tqdm'}))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DATABRICKS_RUNTIME_VERSION"}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert (answer.stdout.strip(), answer.stderr) == ("[]", "")


def test_a_failed_task_fails():
    """Databricks calls a wheel's entry point and does not look at what it returns: exit codes have to be raised, 0 not."""
    scripts = SETUP["options.entry_points"]["console_scripts"] if SETUP.has_section("options.entry_points") else ""
    [place] = re.findall(r"sparknlp-tx\s*=\s*(\S+)", scripts)
    module, _, name = place.partition(":")
    command = f"import sys; sys.argv[1:] = {{}}; from {module} import {name}; {name}()"
    for words, code in ((["pepare"], 2), (["--version"], 0)):
        answer = subprocess.run([sys.executable, "-c", command.format(words)], capture_output=True, text=True, check=False)
        assert answer.returncode == code, answer.stderr
    assert "SystemExit" not in answer.stderr


def test_the_cost_is_reckoned_from_the_measured_rates():
    page, readme = ((ROOT / name).read_text() for name in ("docs/databricks.md", "README.md"))
    rows = re.findall(r"^\| (?:short|256 tokens) .*\| ([\d,]+) \| ([\d.]+) \|$", page, re.MULTILINE)
    assert len(rows) == 4
    rates = [int(rate.replace(",", "")) for rate, _ in rows]
    for rate, (_, hours) in zip(rates, rows, strict=True):
        assert re.search(rf"\b{rate:,}\b", readme), rate
        assert float(hours) == round(1e6 / (rate / 2) / 3600, 2)
    assert f"{8 * rates[0] // 2:,} rows/s" in page


def test_the_page_names_what_the_bundle_has():
    page = (ROOT / "docs" / "databricks.md").read_text()
    for name in BUNDLE["resources"]["jobs"]:
        assert f"`{name}`" in page
    for name in re.findall(r"--var ([\w=.,]+)", page):
        assert {part.partition("=")[0] for part in name.split(",")} <= set(BUNDLE["variables"])
    [params] = re.findall(r"--params (\S+)", page)
    known = {parameter["name"] for parameter in BUNDLE["resources"]["jobs"]["fine_tune"]["parameters"]}
    assert {part.partition("=")[0] for part in params.split(",")} <= known
    for task, key in re.findall(r"\{\{tasks\.(\w+)\.values\.(\w+)\}\}", page):
        assert key in results(task)
