"""The console script: commands, help, completion, configuration files, what would happen."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sparknlp_tx import TransformerClassifier
from sparknlp_tx.cli import flags
from sparknlp_tx.cli import main as cli


@pytest.fixture
def told(capsys):
    """Run a command line: exit code, standard output, standard error."""

    def run(*argv):
        code = cli.main([str(word) for word in argv])
        return code, *capsys.readouterr()

    return run


def test_help_version_and_unknown_commands(told):
    code, out, _ = told()
    assert (code, out) == told("--help")[:2]
    for word in ("prepare", "train", "evaluate", "score", "explain COMMAND", "Score a Delta table with a model"):
        assert word in out
    assert told("--version")[1].strip() == "0.1.0"
    code, _, err = told("trian", "--train", "x")
    assert (code, err) == (2, "error: Expected a command; found 'trian'. Did you mean 'train'?\n")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_has_help_with_examples_and_a_script(name):
    script = Path(__file__).parents[2] / "jobs" / f"{name}.py"
    answer = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True, check=True)
    assert f"  sparknlp-tx {name} --" in answer.stdout
    assert "--explain" in answer.stdout
    assert "--config FILE.yml" in answer.stdout


def test_a_command_without_flags_and_misspelt_ones_are_told(told, capsys):
    for command in ("train", "score"):
        with pytest.raises(SystemExit, match="2"):
            cli.main([command])
        assert "the following arguments are required" in capsys.readouterr().err
    assert "Did you mean '--input'?" in told("score", "--inptu", "x")[2]
    assert "a command to explain; found none. One of prepare, train" in told("explain")[2]
    parser = importlib.import_module("sparknlp_tx.cli.commands.train").parser()
    for words in (["--thresholds", "0.1,0.2,0.7"], ["--thresholds", "[0.1,0.2,0.7]"]):
        options = flags.parse(parser, ["--train=t", "--model-dir=m", *words])
        assert flags.set_params(TransformerClassifier(), options.params).getThresholds() == [0.1, 0.2, 0.7]


def test_completion_knows_commands_and_flags(told):
    code, script, _ = told("--completion", "bash")
    assert code == 0
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    for word in ("evaluate", "--learning-rate", "--keep-cols"):
        assert word in script
    assert "a shell; found 'fihs'" in told("--completion", "fihs")[2]


def test_flags_come_from_a_file_and_the_command_line_wins(told, train_df, test_df, tmp_path, model):
    test_df.write.format("delta").save(str(tmp_path / "t"))
    model.save(str(tmp_path / "model"))
    file = tmp_path / "score.yml"
    flags = {"model": str(tmp_path / "model"), "input": str(tmp_path / "t"), "output": str(tmp_path / "a"), "explain": False}
    file.write_text(json.dumps(flags | {"keep_cols": ["id"], "maxLength": 7, "handle-invalid": "skip", "mode": None}))
    code, out, _ = told("score", "--config", file, "--output", tmp_path / "b")
    assert code == 0, out
    assert json.loads(out.splitlines()[-1])["output"] == str(tmp_path / "b")
    written = test_df.sparkSession.read.format("delta").load(str(tmp_path / "b"))
    assert written.columns[:2] == ["id", "rawPrediction"]
    expected = model.copy({model.maxLength: 7}).transform(test_df).select("id", "prediction")
    assert sorted(written.select("id", "prediction").collect()) == sorted(expected.collect())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inptu: x", "flags of this command in {file}; found 'inptu'. Did you mean '--input'?"),
        ("explain: maybe", "true or false for --explain; found 'maybe'"),
        ("- a\n- b", "flags and their values in {file}; found list"),
        ("a: [", "a YAML file at {file}; found while parsing"),
        ("max-length: 5\nmaxLength: 6", "each flag once; found --max-length 2 times"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(told, tmp_path, text, message):
    file = tmp_path / "wrong.yml"
    file.write_text(text)
    code, _, err = told("score", "--config", file, "--model", "m", "--input", "./t", "--output", "./o")
    assert code == 2
    assert message.format(file=file) in err
    assert "a YAML file at nowhere.yml; found no such file" in told("score", "--config", "nowhere.yml")[2]


def test_explain_says_what_a_command_would_do(told, train_df, settings, model, tmp_path):
    train_df.write.format("delta").save(str(tmp_path / "t"))
    model.save(str(tmp_path / "model"))
    base = ["--train", tmp_path / "t", "--model-dir", tmp_path / "m", "--checkpoint", settings["checkpoint"]]
    code, out, err = told("explain", "train", *base, "--num-train-epochs", 2)
    plan = json.loads(out.splitlines()[-1])["explain"]
    assert (code, plan["rows"], plan["task"]["labels"], plan["engine"]["steps"]) == (0, 300, 3, 20)
    assert "no validation rows: validationFraction=0.1" in err
    assert not (tmp_path / "m").exists()
    code, out, err = told("explain", "evaluate", "--model", tmp_path / "model", "--input", tmp_path / "t")
    assert (code, json.loads(out.splitlines()[-1])["explain"]["rows"]) == (0, 300)
    (tmp_path / "a.csv").write_text("text,label\nx,y\n")
    code, out, err = told("prepare", "--source", tmp_path / "a.csv", "--output", tmp_path / "o", "--explain")
    assert (code, json.loads(out.splitlines()[-1])["explain"]["carved"]) == (0, ["validation", "test"])
    assert not (tmp_path / "o").exists()
    assert told("explain", "train", *base, "--label-col", "lable")[0] == 2


def test_what_would_go_wrong_ends_with_2(told, train_df, settings, tmp_path, monkeypatch):
    train_df.write.format("delta").save(str(tmp_path / "t"))
    monkeypatch.setattr("sparknlp_tx.ml.training_plan._free_memory", lambda device: 1)
    base = ["--train", tmp_path / "t", "--model-dir", tmp_path / "m", "--checkpoint", settings["checkpoint"]]
    code, out, err = told("train", *base, "--explain")
    assert code == 2
    assert "MB of memory wanted, 1 MB free: take a smaller batchSize" in err
    assert json.loads(out.splitlines()[-1])["problems"]
