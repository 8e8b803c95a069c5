"""The results of a job as task values of a Databricks job: a later task is given `{{tasks.train.values.model_uri}}`."""

import math
import os
import re
from importlib import import_module
from typing import Any

PLACES = {  # where Databricks keeps `dbutils`, by the kind of compute and of task
    "IPython": lambda module: module.get_ipython().user_ns["dbutils"],
    "pyspark.dbutils": lambda module: module.DBUtils(import_module("pyspark.sql").SparkSession.getActiveSession()),
    "databricks.sdk.runtime": lambda module: module.dbutils,
}


def set_task_values(result: dict[str, Any]) -> None:
    """Set a job's results as task values, on Databricks; elsewhere nothing happens, and nothing is imported.

    Texts, finite numbers and truth values are set. Keys are flat, and need no quoting: `tables`, `train` become `tables_train`.
    If values cannot be set, a warning is printed on standard error and the command still succeeds.
    """
    if not os.environ.get("DATABRICKS_RUNTIME_VERSION"):
        return
    from sparknlp_tx.progress import say

    try:
        task_values = _task_values()
        for key, value in _flat(result).items():
            task_values.set(key=key, value=value)
    except Exception as error:  # each runtime has its own kinds
        say(f"warning: no task values for later tasks: {error}")


def _task_values() -> Any:
    """`dbutils.jobs.taskValues` of this runtime; never the SDK's, which is for programs elsewhere and drops what it is given."""
    for name, dbutils in PLACES.items():
        try:
            found = dbutils(import_module(name)).jobs.taskValues
        except Exception:  # not there, or without jobs
            continue
        if not type(found).__module__.startswith("databricks.sdk"):
            return found
    raise RuntimeError("no dbutils here")


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """The scalars of nested dicts, by their keys joined."""
    if isinstance(value, dict):
        parts = (_flat(inner, f"{key}_{name}" if key else str(name)) for name, inner in value.items())
        return {name: scalar for part in parts for name, scalar in part.items()}
    scalar = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    return {re.sub(r"\W", "_", key): value} if scalar else {}
