"""Deploy, against a stand-in for Databricks Model Serving: created, updated, built in vain, switched back, cut off, throttled."""

import json
import logging

import mlflow
import pytest
from helpers.model_serving import model_serving

from sparknlp_tx import InputError, log_model
from sparknlp_tx.cli import main as cli
from sparknlp_tx.errors import JobError
from sparknlp_tx.serving.deployment import deploy as deployment
from sparknlp_tx.serving.deployment import endpoint as calls
from sparknlp_tx.serving.deployment.endpoint import Endpoint

SECRET = "my card 4711 was stolen"


@pytest.fixture(scope="module")
def tickets(registry, model):
    """A registered model of three equal versions, the third of which is the champion."""
    log_model(model, registered_model_name="tickets")
    for _ in range(2):
        mlflow.MlflowClient().copy_model_version("models:/tickets/1", "tickets")
    mlflow.MlflowClient().set_registered_model_alias("tickets", "champion", "3")
    return "tickets"


@pytest.fixture
def databricks(tickets, monkeypatch):
    """The stand-in, as the workspace that MLflow's client finds."""
    with model_serving() as (address, state):
        for name in ("DATABRICKS_CONFIG_PROFILE", "DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DATABRICKS_HOST", address)
        monkeypatch.setenv("DATABRICKS_TOKEN", "token")
        yield state


def deploy(version="3", **options):
    return deployment.deploy(**{"model": f"models:/tickets/{version}", "endpoint": "e", "poll_seconds": 0.01} | options)


@pytest.fixture
def fast(monkeypatch):
    """The command looks at updates without pauses."""
    monkeypatch.setitem(deployment.plan_deploy.__kwdefaults__, "poll_seconds", 0.01)


def test_an_endpoint_is_made_and_a_second_run_changes_nothing(databricks, spark, fast, capsys):
    flags = ["--model", "models:/tickets@champion", "--endpoint", "e", "--scale-to-zero"]
    assert cli.main(["deploy", *flags, "--explain"]) == 0
    plan = json.loads(capsys.readouterr().out.splitlines()[-1])["explain"]
    assert (plan["creates"], plan["served_entity"], plan["traffic_steps"]) == (True, "tickets-3", [{"tickets-3": 100}])
    assert databricks.endpoints == {}
    assert cli.main(["deploy", *flags]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out.splitlines()[-1])
    assert (result["created"], result["changed"], result["version"], result["smoke_rows"]) == (True, True, "3", 1)
    assert "DEPLOYMENT" in err or "Creating resources" in err
    made = databricks.endpoints["e"].config.served_entities[0]
    assert (made.workload_size, made.workload_type.value, made.scale_to_zero_enabled) == ("Small", "CPU", True)
    assert cli.main(["deploy", *flags]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["created"], result["changed"]) == (False, False)
    assert databricks.configs() == [{"tickets-3": 100}]
    assert databricks.predicted == {"3": 2}


def test_a_new_version_gets_the_traffic_step_by_step_and_what_was_set_stays(databricks):
    databricks.put("e", {"old-1": 100}, workload_size="Medium", environment_vars={"KEY": "{{secrets/a/b}}"})
    done = deploy(canary_percent=20)
    assert databricks.configs() == [
        {"old-1": 100, "tickets-3": 0},
        {"old-1": 80, "tickets-3": 20},
        {"old-1": 0, "tickets-3": 100},
        {"tickets-3": 100},
    ]
    paths = [path for _, path, _ in databricks.requests if "invocations" in path]
    own = "/serving-endpoints/e/served-models/tickets-3/invocations"
    assert paths == [own, own, "/serving-endpoints/e/invocations"]
    made = databricks.endpoints["e"].config.served_entities[0]
    assert (made.workload_size, made.environment_vars) == ("Medium", {"KEY": "{{secrets/a/b}}"})
    assert (done.created, done.changed, done.previous) == (False, True, ["old-1"])
    assert deploy(workload_size="Large").changed
    assert databricks.endpoints["e"].config.served_entities[0].workload_size == "Large"
    assert not deploy().changed  # nothing is asked for: it stays Large


def test_a_failed_build_leaves_what_serves(databricks, spark, fast, capsys):
    databricks.put("e", {"tickets-1": 100})
    databricks.unbuildable = {"3"}
    assert cli.main(["deploy", "--model", "models:/tickets/3", "--endpoint", "e"]) == 1
    error = capsys.readouterr().err
    assert "UPDATE_FAILED (tickets-3: no such package: torhc). e serves tickets-1 100 %." in error
    assert databricks.configs() == [{"tickets-1": 100, "tickets-3": 0}]
    assert databricks.predicted == {}
    with pytest.raises(JobError, match="UPDATE_FAILED.*new serves nothing"):
        deploy(endpoint="new")
    databricks.unbuildable = set()
    assert deploy(endpoint="new").changed  # of one that was never built the next run makes one that serves
    assert databricks.shares("new") == {"tickets-3": 100}


@pytest.mark.parametrize(
    ("nth", "wrong", "why"), [(0, 400, "status 400"), (1, 500, "status 500"), (2, 1, "1 predictions for 2")]
)
def test_unanswered_smoke_rows_switch_back(databricks, tmp_path, capsys, caplog, nth, wrong, why):
    databricks.put("e", {"tickets-1": 100})
    databricks.wrong = {"3": wrong} if not nth else {("3", n): wrong for n in range(nth, nth + 9)}
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(SECRET) + "\n" + json.dumps({"text": SECRET, "label": "x"}) + "\n")
    with caplog.at_level(logging.DEBUG, "mlflow"), pytest.raises(JobError) as raised:
        deploy(smoke=str(file))
    assert f"tickets-3 did not answer the 2 smoke rows as it should ({why}" in str(raised.value)
    assert "It was switched back. e serves tickets-1 100 %." in str(raised.value)
    assert databricks.shares("e") == {"tickets-1": 100}
    assert len(databricks.configs()) == nth + 2
    assert "4711" not in str(raised.value) + "".join(capsys.readouterr()) + caplog.text
    databricks.put("only", {"tickets-3": 100})
    databricks.wrong = {"3": 400}
    with pytest.raises(JobError, match="no version before it to go back to. only serves tickets-3 100 %"):
        deploy(endpoint="only")


def test_an_update_in_progress_is_refused(databricks, spark, fast, capsys):
    databricks.put("e", {"tickets-1": 100})
    databricks.looks = 99
    Endpoint("e").update(deployment.Config.read(databricks.endpoints["e"].config.as_dict()))
    assert cli.main(["deploy", "--model", "models:/tickets/3", "--endpoint", "e"]) == 2
    assert "found an update in progress, to tickets-1 100 %. Wait until it has ended" in capsys.readouterr().err
    databricks._end("e")
    plan = deployment.plan_deploy(model="models:/tickets/3", endpoint="e", poll_seconds=0.01)
    Endpoint("e").update(plan.now)  # somebody's, between the check and the work
    with pytest.raises(InputError, match="that is at rest; found an update in progress"):
        deployment.run_deploy(plan)
    assert databricks.configs() == [{"tickets-1": 100}] * 2


def test_busy_answers_are_waited_for(databricks):
    databricks.put("e", {"tickets-3": 100})
    databricks.throttled = [(429, 1), (503, 1)]
    assert not deploy().changed
    assert databricks.times[1] - databricks.times[0] >= 1
    assert databricks.times[2] - databricks.times[1] >= 1


def test_the_wait_for_one_that_stays_busy_has_an_end(databricks, monkeypatch):
    monkeypatch.setattr(calls, "RETRY_SECONDS", 2)
    databricks.throttled = [(429, 1)] * 50
    with pytest.raises(InputError, match="a Databricks workspace that answers; found .*too many"):
        deploy()


def test_an_update_has_ended_when_the_endpoint_is_ready_as_well(databricks):
    databricks.put("e", {"tickets-1": 100})
    databricks.unready = 3
    deploy()
    assert databricks.shares("e") == {"tickets-3": 100}


def test_an_update_whose_answer_was_lost_is_found(databricks):
    databricks.put("e", {"tickets-1": 100})
    databricks.lost = True
    deploy()
    assert len(databricks.configs()) == 3  # and the one whose answer was lost
    assert databricks.shares("e") == {"tickets-3": 100}


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("nth", range(4))
def test_a_run_that_is_cut_off_is_gone_on_with(databricks, monkeypatch, nth, sent):
    databricks.put("e", {"tickets-1": 100})
    own, count = Endpoint.wait, iter(range(99))

    def cut_off(self, *args):
        last = next(count) == nth
        if last and sent:  # before it is built
            raise KeyboardInterrupt
        own(self, *args)
        if last:
            raise KeyboardInterrupt

    monkeypatch.setattr(Endpoint, "wait", cut_off)
    with pytest.raises(KeyboardInterrupt):
        deploy()
    monkeypatch.setattr(Endpoint, "wait", own)
    assert len(databricks.configs()) == nth + 1
    deploy()
    assert len(databricks.configs()) == 4  # no step twice
    assert databricks.shares("e") == {"tickets-3": 100}
    assert databricks.predicted["3"] >= 1


def test_the_time_limit_says_what_serves(databricks):
    databricks.put("e", {"tickets-1": 100})
    databricks.looks = 10**6
    with pytest.raises(JobError, match=r"the time is over .*it is READY, IN_PROGRESS. e serves tickets-1 100 %"):
        deploy(timeout_minutes=0.001)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "models:/tickts/3"}, "Did you mean 'tickets'"),
        ({"model": "models:/tickets@best"}, "an alias 'best' of tickets"),
        ({"model": "./model"}, "a registered version to deploy"),
        ({"endpoint": "my endpoint"}, "a name of an endpoint"),
        ({"workload_size": "small"}, "a value for --workload-size; found 'small'. Did you mean 'Small'"),
        ({"workload_type": "GPU_SMAL"}, "Did you mean 'GPU_SMALL'"),
        ({"canary_percent": 0}, "1 to 100 for --canary-percent"),
        ({"timeout_minutes": 0}, "minutes above 0"),
        ({"smoke": "nowhere.csv"}, "smoke rows at nowhere.csv; found no such file"),
        ({"smoke": "txet\nhello\n"}, "a column 'text' in row 1"),
        ({"smoke": "text\n"}, "1 to 1000 smoke rows"),
        ({"endpoint": "split"}, "an endpoint whose traffic goes to one version; found tickets-1 60 %, tickets-2 40 %"),
    ],
)
def test_what_cannot_be_deployed_is_refused_before_anything(databricks, tmp_path, options, message):
    databricks.put("split", {"tickets-1": 60, "tickets-2": 40})
    if "\n" in options.get("smoke", ""):
        file = tmp_path / "rows.csv"
        file.write_text(options["smoke"])
        options = {"smoke": str(file)}
    with pytest.raises(InputError, match=message):
        deploy(**options)
    assert databricks.configs() == []
