"""The gate, on real fits: which models it refuses, and with which sentence."""

import json
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from sparknlp_tx import InputError, TransformerClassifier
from sparknlp_tx.cli import main as cli
from sparknlp_tx.lifecycle.gating.gate import gate, plan_gate


@pytest.fixture(scope="module")
def folders(spark, settings, model, train_df, tmp_path_factory):
    """Saved models: the champion, and candidates that are worse in one way each."""
    folder = tmp_path_factory.mktemp("models")
    swapped = F.expr("CASE label WHEN 'card' THEN 'rate' WHEN 'rate' THEN 'card' ELSE label END")
    few = F.monotonically_increasing_id() % 50 == 0
    fits = {
        "tenth": train_df.limit(30),
        "swapped": train_df.withColumn("label", F.when(F.col("text").rlike("stolen|euro"), swapped).otherwise(F.col("label"))),
        "never": train_df.withColumn("label", F.when((F.col("label") == "card") & ~few, "rate").otherwise(F.col("label"))),
    }
    model.save(str(folder / "champion"))
    for name, rows in fits.items():
        TransformerClassifier(**settings).fit(rows).save(str(folder / name))
    return {name: str(folder / name) for name in ("champion", *fits)}


def outcome(result, name):
    return next(each for each in result.gates if each.gate == name)


def test_an_equal_model_passes_and_the_page_says_so(spark, registry, folders, labelled, tmp_path):
    page = tmp_path / "gate.html"
    result = gate(
        spark, candidate=folders["champion"], champion=folders["champion"], on=labelled, slice_cols=["marked"], report=str(page)
    )
    assert result.passed
    assert not result.refused
    assert {each.gate: each.passed for each in result.gates} == {
        "metric": True,
        "classes": True,
        "slices": True,
        "calibration": True,
        "throughput": True,
        "size": True,
        "agreement": True,
        "signature": True,
        "files": True,
        "licence": None,
        "leakage": None,
        "behaviour": None,
    }
    assert result.report.endswith("gate/report.html")
    html = page.read_text()
    assert "The candidate may go live" in html
    assert "http" not in html.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("candidate", "gates"), [("tenth", {"metric"}), ("swapped", {"metric", "slices"}), ("never", {"metric", "classes"})]
)
def test_what_is_worse_is_refused(spark, registry, folders, labelled, candidate, gates):
    result = gate(spark, candidate=folders[candidate], champion=folders["champion"], on=labelled, slice_cols=["marked"])
    failed = {each.gate for each in result.gates if each.passed is False}
    assert gates <= failed, [each.reason for each in result.gates]
    if candidate == "swapped":
        assert "marked=yes" in outcome(result, "slices").reason
    if candidate == "never":
        assert "card" in outcome(result, "classes").reason
    better = gate(spark, candidate=folders["champion"], champion=folders[candidate], on=labelled, slice_cols=["marked"])
    assert better.passed, better.refused


@pytest.mark.every_session
def test_the_command_ends_with_3_and_tells_why(spark, registry, folders, labelled, tmp_path, capsys):
    tests = tmp_path / "tests.csv"
    tests.write_text("text,text_a,text_b,expected\nmy card was stolen,,,card\n,my card please,please my card,differ\n")
    gates = tmp_path / "gates.yml"
    gates.write_text(f"metric: {{margin: 0.01}}\nsize: false\nbehaviour: {{tests: {tests}}}\n")
    more = ["--on", labelled, "--gates", str(gates), "--train", labelled, "--champion", folders["champion"]]
    assert cli.main(["gate", "--candidate", folders["champion"], *more]) == 3
    out, err = capsys.readouterr()
    result = json.loads(out.splitlines()[-1])
    failed = {each["gate"] for each in result["gates"] if each["passed"] is False}
    assert failed == {"leakage", "behaviour"}
    assert len(result["refused"]) == 2
    assert "FAILED   behaviour" in err
    assert "'my card please' and 'please my card' differ, but it says card and card" in err
    assert cli.main(["gate", "--candidate", folders["champion"], *more, "--explain"]) == 0


def test_bad_input_is_refused_before_anything_is_scored(spark, registry, folders, labelled, settings, train_df, tmp_path):
    given = {"candidate": folders["tenth"], "champion": folders["champion"], "on": labelled}
    for gates, message in (
        ({"metrics": False}, "Did you mean 'metric'"),
        ({"metric": {"margn": 0.1}}, "Did you mean 'margin'"),
        ({"metric": {"margin": -1}}, "of 0 or more for metric.margin"),
        ({"metric": {"least_rows": 451}}, "at least 451 labelled rows"),
        ({"metric": {"name": "roc"}}, "a metric of single_label_classification that has an interval"),
        ({"behaviour": {"tests": str(tmp_path / "no.csv")}}, "no.csv"),
    ):
        with pytest.raises(InputError, match=message):
            plan_gate(spark, **given, gates=gates)
    with pytest.raises(InputError, match="no column|no such column"):
        plan_gate(spark, **given, slice_cols=["markd"])
    with pytest.raises(InputError, match="a registered model 'tickets'; found none"):
        plan_gate(spark, candidate=folders["tenth"], model="tickets", on=labelled)
    two = TransformerClassifier(**settings | {"numTrainEpochs": 0.1}).fit(train_df.filter("label <> 'card'"))
    two.save(str(tmp_path / "two"))
    with pytest.raises(InputError, match="the same labels; found 'card' of champion alone|found 'card' of candidate alone"):
        plan_gate(spark, **given | {"candidate": str(tmp_path / "two")})


def test_files_that_are_not_safe_are_refused(spark, registry, folders, labelled, tmp_path):
    from sparknlp_tx.lifecycle.gating.model_files import unsafe_files

    assert unsafe_files(Path(folders["champion"], "model")) == []
    unsafe = tmp_path / "saved" / "model"
    unsafe.mkdir(parents=True)
    (unsafe / "pytorch_model.bin").write_bytes(b"x")
    (unsafe / "config.json").write_text('{"auto_map": {"AutoModel": "code.Model"}}')
    found = unsafe_files(unsafe)
    assert [word for word in ("pickle", "safetensors", "auto_map") if not any(word in line for line in found)] == []
