"""Promotion: first, next, back; two at once; killed between any two steps."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest
from helpers.sessions import connect_server

from sparknlp_tx import InputError, log_model
from sparknlp_tx.cli import main as cli
from sparknlp_tx.errors import JobError
from sparknlp_tx.lifecycle.promotion import champion as promotion
from sparknlp_tx.lifecycle.promotion.log import PromotionLog
from sparknlp_tx.lifecycle.promotion.promote import promote
from sparknlp_tx.tracking import registry as of_mlflow

ROOT = Path(__file__).parents[2]
FAST = {"throughput": False}
STEPS = ["begin", "set_tags", "set_alias", "_set_previous"]  # what each step of a promotion calls
KILLED = """
import os, signal, sys
from pyspark.sql import SparkSession
from sparknlp_tx.lifecycle.promotion import champion as promotion
from sparknlp_tx.lifecycle.promotion.log import PromotionLog
from sparknlp_tx.tracking import registry

step, table, model, old, new, address = sys.argv[1:]
spark = SparkSession.builder.remote(address).getOrCreate()
home = {"begin": PromotionLog, "_set_previous": promotion}.get(step, registry)
own = getattr(home, step)

def killed(*args, **kwargs):
    own(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(home, step, killed)
log = PromotionLog(spark, table, model)
old, new = (registry.version_of(f"models:/{model}/{number}") for number in (old, new))
promotion.move(log, "promote", old, new, {promotion.PREVIOUS_TAG: old.number})
"""


@pytest.fixture(scope="module")
def tickets(registry, model):
    """A registered model of three equal versions."""
    for _ in range(3):
        log_model(model, registered_model_name="tickets")
    return "tickets"


def champion(name):
    return of_mlflow.aliased(name, "champion")


@pytest.mark.every_session
def test_a_model_is_promoted_twice_and_rolled_back(spark, registry, tickets, labelled, tmp_path, capsys):
    name, table = "support", str(tmp_path / "log")
    for number in ("1", "2"):
        mlflow.MlflowClient().copy_model_version(f"models:/{tickets}/{number}", name)
    first = promote(spark, candidate=f"models:/{name}/1", model=name, on=labelled, log_table=table, gates=FAST)
    assert (first.moved.version, first.moved.previous) == ("1", None)
    flags = ["--candidate", f"models:/{name}/2", "--model", name, "--on", labelled]
    assert cli.main(["promote", *flags]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["version"], result["previous"], result["promoted"]) == ("2", "1", True)
    now = champion(name)
    assert now.tags["previous_champion"] == "1"
    assert now.tags["gate_report"].startswith("runs:/")
    assert now.tags["gate_data"] == f"{labelled}@v0"
    assert of_mlflow.aliased(name, "previous").number == "1"
    assert cli.main(["promote", *flags]) == 0  # again: it is the champion already
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["promoted"] is False

    assert cli.main(["rollback", "--model", name]) == 0
    assert champion(name).number == "1"
    assert of_mlflow.aliased(name, "previous") is None
    with pytest.raises(InputError, match="a champion before version 1 of support"):
        promotion.roll_back(spark, name)
    states = [(entry.action, entry.state, entry.version) for entry in PromotionLog(spark, table, name).entries()]
    assert states == [
        (action, state, version)
        for action, version in (("promote", "1"), ("promote", "2"), ("rollback", "1"))
        for state in ("begun", "done")
    ]


def test_a_refused_candidate_moves_nothing_and_is_logged(spark, tickets, labelled, tmp_path, capsys):
    gates = tmp_path / "gates.yml"
    gates.write_text("throughput: false\nmetric: {least: 1.1}\n")
    flags = ["--candidate", f"models:/{tickets}/1", "--model", tickets, "--on", labelled, "--gates", str(gates)]
    table = str(tmp_path / "log")
    assert cli.main(["promote", *flags, "--log-table", table]) == 3
    assert "asked was 1.1" in json.loads(capsys.readouterr().out.splitlines()[-1])["refused"][0]
    assert champion(tickets) is None
    assert [entry.state for entry in PromotionLog(spark, table, tickets).entries()] == ["refused"]


def test_of_two_at_once_one_wins_and_the_other_says_so(spark, tickets, tmp_path):
    name, table = "at_once", str(tmp_path / "log")
    versions = [mlflow.MlflowClient().copy_model_version(f"models:/{tickets}/{n}", name) for n in (1, 2)]
    PromotionLog(spark, table, "other").add("promote", "refused", None, "1", None, None)  # the table is there

    def one(version):
        log = PromotionLog(spark, table, name)
        try:
            return promotion.move(
                log, "promote", None, of_mlflow.Version(name, str(version.version)), {"previous_champion": ""}
            )
        except JobError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(one, versions))
    won = [each for each in found if not isinstance(each, str)]
    said = [each for each in found if isinstance(each, str)]
    assert len(won) == len(said) == 1, found
    assert champion(name).number == won[0].version
    assert won[0].promotion_id in said[0] or "now, not none" in said[0]
    entries = PromotionLog(spark, table, name).entries()
    assert len({entry.promotion_id for entry in entries}) == 2
    assert sorted(entry.sequence for entry in entries) == list(range(1, len(entries) + 1))


@pytest.mark.slow
def test_killed_between_any_two_steps_the_alias_stays_on_one_version_and_the_next_run_tells(spark, tickets, tmp_path):
    """Clients of Spark Connect are killed; the session of the tests looks at what they have left."""

    def killed(step, address):
        name, table = f"killed_{step.strip('_')}", str(tmp_path / step)
        for number in ("1", "2"):
            mlflow.MlflowClient().copy_model_version(f"models:/{tickets}/{number}", name)
        of_mlflow.set_alias(of_mlflow.Version(name, "1"), "champion")
        of_mlflow.set_model_tag(name, promotion.LOG_TAG, table)
        command = [sys.executable, "-c", KILLED, step, table, name, "1", "2", address]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
        return name, table

    with connect_server(tmp_path, {}) as address, ThreadPoolExecutor(2) as pool:
        left = list(pool.map(lambda step: killed(step, address), STEPS))
    for step, (name, table) in zip(STEPS, left, strict=True):
        moved = step in STEPS[2:]
        assert champion(name).number == ("2" if moved else "1"), step
        log = PromotionLog(spark, table, name)
        (note,) = promotion.settle(log)
        assert ("after it had moved" if moved else "before it had moved") in note
        assert champion(name).number == ("2" if moved else "1")
        assert promotion.settle(log) == []
        if moved:
            assert of_mlflow.aliased(name, "previous").number == "1"
            assert promotion.roll_back(spark, name).version == "1"
        else:
            assert promotion.move(log, "promote", champion(name), of_mlflow.Version(name, "2"), {"previous_champion": "1"})
            assert champion(name).number == "2"


def test_what_cannot_be_promoted_is_refused_before_anything(spark, tickets, labelled, tmp_path):
    given = {"model": tickets, "on": labelled, "log_table": str(tmp_path / "log")}
    for candidate, message in (
        ("./model", "a logged model or a registered version to promote; found a folder"),
        ("models:/tickts/1", "Did you mean 'tickets'"),
        ("models:/tickets/9", "a version 9 of tickets; found none of that number. There are: 1, 2, 3"),
        ("models:/tickets@best", "an alias 'best' of tickets"),
    ):
        with pytest.raises(InputError, match=message):
            promote(spark, candidate=candidate, **given)
    with pytest.raises(InputError, match="a registered model 'ticket'"):
        promotion.roll_back(spark, "ticket")
    with pytest.raises(InputError, match="a champion of tickets to roll back from"):
        promotion.roll_back(spark, tickets)
    with pytest.raises(InputError, match="a log of promotions at"):
        promote(spark, candidate="models:/tickets/1", **given | {"log_table": labelled})
    assert not (tmp_path / "log").exists()
