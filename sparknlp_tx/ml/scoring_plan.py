"""An estimate of what scoring a DataFrame takes: rows are counted, a sample is read, one executor is tried for a second."""

from dataclasses import asdict, dataclass, field
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknlp_tx.data.text_columns import text_column
from sparknlp_tx.data.text_samples import sample_texts, token_lengths
from sparknlp_tx.inference.scoring_settings import ScoringSettings
from sparknlp_tx.inference.tokenization import TextEncoder
from sparknlp_tx.scoring.executor_probe import probe
from sparknlp_tx.spark.compat import setting
from sparknlp_tx.spark.distribution import is_local

TASK_SECONDS, UNIX_TASK_SECONDS = 0.06, 0.02  # what a task takes besides its rows, over TCP and over Unix sockets


@dataclass(frozen=True)
class ScoringPlan:
    """How a DataFrame would be scored; `str` gives it in a few lines.

    Attributes:
        rows, partitions, largest_partition: of the DataFrame, empty partitions left out.
        cluster: `slots` (tasks at a time), and what one executor has: `cores` of a task, `gpus`, `openvino`, `memory_mb`.
        engine: `backend`, `device`, `precision`, `load_seconds`, `rows_per_second` of one slot and `worker_mb`, all as tried.
        tokens: of a sample of texts: `sample`, `mean`, `p50`, `p95`, `max`, and `cut`, the share (0 to 1) longer than maxLength.
        seconds: how long it would take, about.
        advice: what would make it better, a sentence each.
    """

    rows: int
    partitions: int
    largest_partition: int
    cluster: dict[str, Any]
    engine: dict[str, Any]
    tokens: dict[str, float]
    seconds: float
    advice: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """All of it as a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        cluster, engine, tokens = self.cluster, self.engine, self.tokens
        lines = [
            f"rows        {self.rows:,} in {_several(self.partitions, 'partition')}, {self.largest_partition:,} in the largest",
            f"devices     {_several(cluster['slots'], 'task')} at a time, each on {engine['device']}"
            + (
                f" with {_several(cluster['cores'], 'core')}"
                if engine["device"] == "cpu"
                else f", {cluster['gpus']} GPUs seen by an executor"
            ),
            f"engine      {engine['backend']}, {engine['precision']}: {engine['why']}",
            f"memory      {engine['worker_mb']:,} MB a worker, {cluster['workers']} at a time on an executor; {cluster['memory']}",
            f"tokens      {tokens['mean']} on average, 95 % of the texts up to {tokens['p95']}, longest {tokens['max']}; "
            f"{tokens['cut']:.1%} cut (sample of {tokens['sample']:,})",
            f"duration    about {told_duration(self.seconds)}: {engine['rows_per_second']:,.0f} rows/s a task, "
            f"{engine['load_seconds']} s to load the model",
        ]
        return "\n".join(lines + [f"advice      {line}" for line in self.advice])

    __repr__ = __str__


def explain(df: DataFrame, scoring: ScoringSettings) -> ScoringPlan:
    """What scoring a DataFrame would take; three small jobs, none of which scores it.

    Args:
        scoring: the model and how it scores; its `location.path` is a directory that this process sees.

    Raises:
        InputError: the executors cannot serve the model's device or precision.
    """
    spark = df.sparkSession
    texts = df.select(*(text_column(df, name).alias(name) for name in scoring.text_columns))
    by_partition = texts.groupBy(F.spark_partition_id().alias("partition")).agg(F.count(F.lit(1)).alias("rows"))
    size = by_partition.agg(F.sum("rows").alias("rows"), F.count(F.lit(1)).alias("n"), F.max("rows").alias("most")).collect()[0]
    rows, partitions, largest = size["rows"] or 0, size["n"], size["most"] or 0
    sample = sample_texts(texts, rows)
    tokens = token_lengths(TextEncoder(scoring.location.path, scoring.max_length), sample, scoring.max_length)
    tried = probe(spark, scoring, sample or ["a text"])
    cluster = _cluster(spark, tried)
    at_a_time = max(1, min(cluster["slots"], partitions))
    engine = {name: tried[name] for name in ("backend", "device", "precision", "load_seconds", "rows_per_second", "worker_mb")}
    engine["why"] = _why(scoring, tried)
    scoring_seconds = max(largest, rows / at_a_time) / tried["rows_per_second"]
    seconds = tried["load_seconds"] + scoring_seconds + partitions / at_a_time * _task_seconds(spark) if rows else 0.0
    plan = ScoringPlan(rows, partitions, largest, cluster, engine, tokens, round(seconds, 1))
    plan.advice.extend(_advice(plan, scoring, tried, spark))
    return plan


def _cluster(spark: SparkSession, tried: dict[str, Any]) -> dict[str, Any]:
    """Slots and memory, from the session's configuration and an executor's report."""
    cores = spark.range(1_000_000).select(F.spark_partition_id().alias("p")).distinct().count()  # Spark's default parallelism
    task_cores = int(setting(spark, "spark.task.cpus", "1"))
    slots = max(1, cores // task_cores)
    of_executor = int(setting(spark, "spark.executor.cores", "0"))
    share = float(setting(spark, "spark.task.resource.gpu.amount", "0"))
    held = float(setting(spark, "spark.executor.resource.gpu.amount", "0"))
    workers = slots if is_local(spark) or not of_executor else max(1, of_executor // task_cores)
    if share and held:
        executors = max(1, cores // of_executor) if of_executor else 1
        slots, workers = min(slots, int(executors * held / share)), min(workers, int(held / share))
    overhead = setting(spark, "spark.executor.memoryOverhead")
    memory = f"the machine has {tried['memory_mb']:,} MB" + (f", memoryOverhead is {overhead}" if overhead else "")
    executor = {name: tried[name] for name in ("host", "cores", "gpus", "openvino", "memory_mb")}
    return {"slots": slots, "workers": workers, "memory": memory, **executor}


def _why(scoring: ScoringSettings, tried: dict[str, Any]) -> str:
    if scoring.precision != "auto":
        return f"as precision={scoring.precision!r} says"
    if tried["precision"] == "float32":
        return "the processor does not multiply bfloat16 natively" if tried["device"] == "cpu" else "as the GPU has no faster"
    again = "; close decisions again in float32" if tried["device"] == "cpu" else ""
    return f"the fastest that is native{again}"


def _advice(plan: ScoringPlan, scoring: ScoringSettings, tried: dict[str, Any], spark: SparkSession) -> list[str]:
    slots, advice = plan.cluster["slots"], []
    if plan.rows and plan.partitions < slots:
        advice.append(f"{_several(plan.partitions, 'partition')} cannot fill {slots} slots: df.repartition({slots}).")
    elif plan.rows and plan.largest_partition > 3 * plan.rows / plan.partitions and plan.partitions > 1:
        advice.append(f"one partition has {plan.largest_partition:,} rows: df.repartition({max(slots, plan.partitions)}).")
    elif plan.rows / tried["rows_per_second"] < plan.partitions * _task_seconds(spark) and plan.partitions > slots:
        advice.append(f"{plan.partitions:,} tasks take longer to start than to score their few rows: df.coalesce({slots}).")
    share = float(setting(spark, "spark.task.resource.gpu.amount", "0"))
    if tried["device"].startswith("cuda") and plan.cluster["workers"] > tried["gpus"] and not share:
        found = f"{plan.cluster['workers']} tasks at a time share {tried['gpus']} GPUs of an executor"
        advice.append(f"{found}: set spark.task.resource.gpu.amount, e.g. to 1 or 0.5.")
    if tried["device"] == "cpu" and not tried["openvino"]:
        advice.append("no OpenVINO on the executors, which is several times as fast: pip install 'sparknlp_tx[cpu]' there.")
    elif tried["device"] == "cpu" and tried["backend"] == "Torch" and scoring.precision != "float16":
        advice.append("this model has no OpenVINO export, so CPUs score it with torch, more slowly.")
    if plan.tokens["cut"] > 0.01 and plan.tokens["max"] > scoring.max_length:
        advice.append(
            f"{plan.tokens['cut']:.0%} of the texts are truncated at maxLength={scoring.max_length}. Raise maxLength to use all of the text."
        )
    needed = plan.cluster["workers"] * tried["worker_mb"]
    if needed > 0.8 * tried["memory_mb"]:
        advice.append(f"{plan.cluster['workers']} workers need {needed:,} MB: give executors more memory, or fewer cores.")
    return advice


def _task_seconds(spark: SparkSession) -> float:
    unix = setting(spark, "spark.python.unix.domain.socket.enabled", "false").lower() == "true"
    return UNIX_TASK_SECONDS if unix else TASK_SECONDS


def _several(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)


def told_duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"
