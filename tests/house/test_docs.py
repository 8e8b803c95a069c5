"""README and docs: code runs word for word, commands and flags exist, links lead somewhere, errors named there are raised here."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sparknlp_tx import TransformerClassifier
from sparknlp_tx.cli import config_file as config
from sparknlp_tx.cli import flags

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {page.name: page.read_text() for page in PAGES}


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT[page], re.DOTALL)


# What a page takes for granted, after its first block.
GIVEN = {
    "README.md": "train.createOrReplaceTempView('tickets'); spark.sql('CREATE TEMP VIEW reviews AS SELECT 1 AS id, text FROM tickets')"
}


@pytest.mark.parametrize("page", [name for name in TEXT if blocks(name, "python")])
def test_the_examples_run_in_their_order(page, checkpoint, tmp_path):
    """In a process and a folder of its own; the checkpoint's name is that of a folder there, as the hub is out of reach."""
    parts = [
        block for block in blocks(page, "python") if not block.startswith("# on Databricks")
    ]  # only a workspace can run it
    if not parts:
        return
    shutil.copytree(checkpoint, tmp_path / "distilbert-base-uncased")
    (tmp_path / "example.py").write_text("\n".join([parts[0], GIVEN.get(page, ""), *parts[1:]]))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_EXPERIMENT")}
    environment |= {"PYSPARK_PYTHON": sys.executable}
    command = [sys.executable, "example.py"]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert page != "README.md" or "|my card was stolen" in answer.stdout
    assert page != "README.md" or (tmp_path / "my-model" / "model" / "config.json").is_file()


def test_the_example_is_short_and_on_the_first_screen():
    before, _, rest = README.partition("```python")
    assert len(rest.partition("```")[0].strip().splitlines()) <= 11
    assert before.count("\n") < 30


@pytest.mark.parametrize("page", TEXT)
def test_commands_in_the_pages_exist(page):
    """Commands of ours have these flags, make has these targets; installing and spark-submit are other programs' matter."""
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = line.partition("#")[0].replace("=", " ").split()
            if words[:1] == ["make"]:
                assert words[1] in targets, line
            if words[:1] == ["sparknlp-tx"] or (words[:1] == ["python"] and words[1].startswith("jobs/")):
                command = next(word for word in words[1:3] if word != "explain").removeprefix("jobs/").removesuffix(".py")
                assert_flags(command, [word for word in words if word.startswith("--")])


def assert_flags(command, flags):
    parser = importlib.import_module(f"sparknlp_tx.cli.commands.{command}").parser()
    for flag in flags:
        assert flag in parser._option_string_actions or parser.get_default("extra") is not None, (command, flag)


def test_the_file_of_flags_in_the_guide(tmp_path):
    text = blocks("guide.md", "yaml")[0]
    (tmp_path / "train.yml").write_text(text)
    parser = importlib.import_module("sparknlp_tx.cli.commands.train").parser()
    options = flags.parse(parser, ["--config", str(tmp_path / "train.yml")])
    given = {config.flag(name) for name in yaml.safe_load(text)}
    assert {config.flag(name) for name in options.extra} == {"--warmup-steps"}
    assert given - {"--warmup-steps"} <= set(parser._option_string_actions)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_and_files_are_there(page):
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-") for line in TEXT[page.name].splitlines()}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT[page.name]):
        file, _, anchor = target.partition("#")
        assert target.startswith("https://") or (page.parent / file).exists(), target
        assert target.startswith("https://") or file or anchor in headings, target
    for file in re.findall(r"`(\w+\.py)`", TEXT[page.name]):
        assert (ROOT / "sparknlp_tx" / file).exists() or (ROOT / "jobs" / file).exists(), file


def test_every_package_is_named():
    named = set(re.findall(r"`(\w+)/?`", TEXT["how-it-works.md"]))
    package = ROOT / "sparknlp_tx"
    rooms = {file.parent.name for file in package.glob("*/__init__.py")} | {file.stem for file in package.glob("[a-z]*.py")}
    assert len(rooms) > 10
    assert rooms <= named, rooms - named


def test_every_package_says_what_lives_there_and_what_it_imports():
    for file in sorted((ROOT / "sparknlp_tx").rglob("__init__.py")):
        assert len((importlib.import_module(".".join(file.parent.relative_to(ROOT).parts)).__doc__ or "").split()) > 8, file
        assert len(list(file.parent.glob("*.py"))) <= 18, file.parent  # 16 and a reason


def test_params_of_the_readme_are_those_there_are():
    table = README.partition("## Params")[2].partition("## MLflow")[0]
    names = {
        name for line in table.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert names == {param.name for param in TransformerClassifier().params}


def test_errors_of_the_page_are_those_that_are_raised():
    source = "\n".join(file.read_text() for file in (ROOT / "sparknlp_tx").rglob("*.py"))
    source = re.sub(r"\{[^}]*\}", "", re.sub(r'"\s*f?"', "", source)).replace("Java  or", "Java 17 or")
    ours = TEXT["troubleshooting.md"].partition("## From Spark itself")[0]
    for heading in re.findall(r"^### (.*)", ours, re.MULTILINE):
        assert heading.removeprefix("Expected ") in source or heading == "It is slow", heading
