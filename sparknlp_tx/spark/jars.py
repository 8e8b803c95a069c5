"""Delta Lake's jars, fetched from Maven Central once."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from sparknlp_tx.errors import InputError
from sparknlp_tx.spark.java import cache_folder, write_whole

# Maven Central alone: Spark's own settings ask a second repository too, and print pages where it does not answer.
_IVY_SETTINGS = """<ivysettings>
  <settings defaultResolver="central"/>
  <resolvers><ibiblio name="central" m2compatible="true"/></resolvers>
</ivysettings>
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


def fetch_jars(settings: dict[str, str]) -> str:
    """Fetch Delta's jars, once on a machine, in a Spark of their own whose pages of progress nobody reads.

    Raises:
        InputError: they cannot be fetched; says why.
    """
    own = {key: value for key, value in settings.items() if key.startswith(("spark.jars", "spark.driver.extra"))}
    if not os.environ.get("DEFAULT_ARTIFACT_REPOSITORY"):  # a mirror, which Spark's own settings know of
        own.setdefault("spark.jars.ivySettings", str(write_whole(cache_folder() / "ivysettings.xml", _IVY_SETTINGS)))
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
    write_whole(_jar_list(), jars[1])
    return jars[1]


def known_jars() -> str | None:
    """Delta's jars as an earlier session fetched them: no look-up is needed, and nothing is printed of it."""
    if not _jar_list().is_file():
        return None
    jars = _jar_list().read_text()
    return jars if all(os.path.isfile(jar.removeprefix("file://")) for jar in jars.split(",")) else None


def _jar_list() -> Path:
    return cache_folder() / f"delta-{version('delta-spark')}-spark-{version('pyspark')}.jars"
