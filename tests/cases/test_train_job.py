"""The training job and its parts: what is refused beforehand, and what no later fault may take away."""

import os
import subprocess
import sys

import numpy as np
import pytest

from sparknlp_tx.errors import InputError, JobError
from sparknlp_tx.inference.decision_rules import SINGLE, decision_rule
from sparknlp_tx.training.fit_folder import FOLDER, fit_folder


def test_a_model_dir_under_a_file_is_refused(tmp_path):
    from sparknlp_tx.cli.commands.train import check_model_dir

    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a file at"):
        check_model_dir(str(tmp_path / "file" / "models" / "one"), overwrite=False)


@pytest.mark.parametrize("there", [True, False], ids=["a folder", "dangling"])
def test_a_link_is_followed(there, tmp_path):
    from sparknlp_tx.cli.commands.train import check_model_dir

    if there:
        (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert check_model_dir(str(tmp_path / "link"), overwrite=True) == str(tmp_path / "real")


class Saved:
    """A model whose first save fails, as on a disk that is full by then."""

    saved = None

    def save(self, path):
        if self.saved is None:
            self.saved = ""
            raise OSError("No space left on device")
        self.saved = path


def test_a_model_that_cannot_be_saved_is_kept_elsewhere(tmp_path, monkeypatch):
    from sparknlp_tx.cli.commands.train import _save

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = Saved()
    with pytest.raises(JobError) as told:
        _save(model, "/full/model", overwrite=False)
    assert model.saved.startswith(str(tmp_path))
    assert model.saved in str(told.value)
    assert "No space left" in str(told.value)


def test_two_fits_do_not_share_a_folder(tmp_path):
    second = fit_folder(str(tmp_path), "", {"a": 1})
    with fit_folder(str(tmp_path), "", {"a": 1}), pytest.raises(InputError, match=str(os.getpid())):
        second.__enter__()
    with fit_folder(str(tmp_path), "", {"a": 2}):
        pass
    assert not list(tmp_path.iterdir())


CONTENDER = """
import os, sys, time
from sparknlp_tx.errors import InputError
from sparknlp_tx.training.fit_folder import fit_folder
folder, end = sys.argv[1], time.monotonic() + 4
held = 0
while time.monotonic() < end:
    try:
        with fit_folder(folder, "", {}) as work:
            os.close(os.open(work / "held", os.O_CREAT | os.O_EXCL))  # fails where another one holds it, too
            os.unlink(work / "held")
            held += 1
    except InputError:
        pass
print(held)
"""


def test_of_many_that_contend_for_a_folder_one_has_it_at_a_time(tmp_path):
    command = [sys.executable, "-c", CONTENDER, str(tmp_path)]
    contenders = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    held = 0
    for contender in contenders:
        out, err = contender.communicate(timeout=60)
        assert contender.returncode == 0, err
        held += int(out)
    assert held > 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_damaged_fit_is_named(content, tmp_path):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "fit.json").write_bytes(content)
    with pytest.raises(InputError, match=FOLDER), fit_folder(str(tmp_path), "", {"a": 1}):
        pass
    assert (tmp_path / FOLDER / "fit.json").read_bytes() == content


def test_what_a_launcher_left_does_not_hang(tmp_path):
    script = """
import os
from pathlib import Path
from sparknlp_tx.training.arguments import without_launcher
from transformers import TrainingArguments
before = dict(os.environ)
with without_launcher():
    args = TrainingArguments(output_dir="unused", use_cpu=True, report_to="none")
assert args.world_size == 1 and dict(os.environ) == before
"""
    left = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
    subprocess.run([sys.executable, "-c", script], env=os.environ | left, check=True, timeout=120, cwd=tmp_path)


def test_labels_that_look_like_formulas_and_thousands_of_them(tmp_path):
    from sparknlp_tx.metrics.plots import draw_scores

    names = [f"$label_{{{n}$ \\frac{{" for n in range(4000)]
    logits = np.random.default_rng(0).normal(size=(500, 4000)).astype(np.float32)
    files = draw_scores(decision_rule(SINGLE, names), logits, np.arange(500) * 8, ["text"] * 500, tmp_path)
    assert all(file.stat().st_size for file in files)
    few = draw_scores(decision_rule(SINGLE, names[:3]), logits[:9, :3], np.arange(9) % 3, ["text"] * 9, tmp_path / "few")
    assert all(file.stat().st_size for file in few)


def test_pictures_have_a_folder_of_their_own(tmp_path):
    from sparknlp_tx.metrics.plots import check_pictures_folder

    (tmp_path / "file").write_text("")
    (tmp_path / "table" / "_delta_log").mkdir(parents=True)
    for place in ("file", "file/below", "table", "table/below"):
        with pytest.raises(InputError, match="pictures"):
            check_pictures_folder(str(tmp_path / place), [str(tmp_path / "table")])
    check_pictures_folder(str(tmp_path / "new" / "one"), [str(tmp_path / "table"), "main.a.b"])
