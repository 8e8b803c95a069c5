"""The README's Python example, word for word, and its links and commands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_first_example_runs_word_for_word(checkpoint, tmp_path):
    """In a process and a folder of its own; the checkpoint's name is that of a folder there, as the hub is out of reach."""
    shutil.copytree(checkpoint, tmp_path / "distilbert-base-uncased")
    (tmp_path / "example.py").write_text(re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1))
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable}
    command = [sys.executable, "example.py"]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert "|my card was stolen" in answer.stdout
    assert (tmp_path / "my-model" / "model" / "config.json").is_file()


def test_the_example_is_short_and_on_the_first_screen():
    before, _, rest = README.partition("```python")
    assert len(rest.partition("```")[0].strip().splitlines()) <= 11
    assert before.count("\n") < 30


def test_links_lead_somewhere_and_files_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
    for file in re.findall(r"`(\w+\.py)`", README):
        assert (ROOT / "sparknlp_tx" / file).exists() or (ROOT / "jobs" / file).exists(), file
    named = set(re.findall(r"`(\w+)\.py`", README.partition("## How it is built")[2]))
    rooms = {file.stem for file in (ROOT / "sparknlp_tx").glob("*.py")} - {"__init__", "version"}
    assert rooms <= named, rooms - named


def test_params_of_the_readme_are_those_there_are():
    from sparknlp_tx import TransformerClassifier

    table = README.partition("## Params")[2].partition("## MLflow")[0]
    names = {
        name for line in table.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert names == {param.name for param in TransformerClassifier().params}
