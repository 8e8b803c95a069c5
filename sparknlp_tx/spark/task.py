"""The Spark task that this process works on."""

import os


def task_cores() -> int | None:
    """How many cores the task has; None outside a task. The tokenizers of this process use as many threads, from their first use on."""
    from pyspark import TaskContext

    context = TaskContext.get()
    cores = context.cpus() if context else None
    if cores:
        os.environ.setdefault("RAYON_NUM_THREADS", str(cores))
    return cores
