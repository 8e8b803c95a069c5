"""Compare models: all scored once on the same rows, their speed measured in turn; a table, CSV, a picture, a page."""

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparknlp_tx.data.text_columns import text_column
from sparknlp_tx.data.text_samples import sample_texts
from sparknlp_tx.errors import InputError
from sparknlp_tx.files import directory_bytes, local_path
from sparknlp_tx.inference.backends.devices import processor
from sparknlp_tx.lifecycle.comparable import check_comparable, check_truth
from sparknlp_tx.lifecycle.comparison.models import Compared, chosen_models
from sparknlp_tx.lifecycle.comparison.outcome import CompareResult, Row
from sparknlp_tx.lifecycle.comparison.page import comparison_page, draw, write_csv
from sparknlp_tx.lifecycle.paired_scoring import score_together
from sparknlp_tx.lifecycle.speed import rows_per_second
from sparknlp_tx.metrics.paired import (
    LESS_IS_BETTER,
    PAIRED_METRICS,
    check_paired_metric,
    holm,
    interval,
    metric_samples,
)
from sparknlp_tx.metrics.pareto import pareto_front
from sparknlp_tx.spark import tables
from sparknlp_tx.tracking import registry
from sparknlp_tx.tracking.runs import Tracking, check_tracking, logged_run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PRECISIONS = ("auto", "float32", "bfloat16", "int8")
SIGNIFICANT = 0.05


@dataclass
class ComparePlan:
    """A comparison that was checked: nothing was scored yet.

    Attributes:
        models: at least two. table: to score, at one version. rows: that have a label.
        metrics: with intervals; the first one is that of the picture. precisions: whose speed is measured.
        price: of an hour of this machine, None for none. seed: of the bootstrap.
    """

    spark: "SparkSession"
    models: list[Compared]
    table: tables.OpenedTable
    rows: int
    metrics: list[str]
    precisions: list[str]
    tracking: Tracking
    price: float | None = None
    report: str | None = None
    csv: str | None = None
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """What would be done, as a JSON object."""
        models = {each.name: each.uri for each in self.models}
        return {
            "models": models,
            "table": self.table.at_version,
            "rows": self.rows,
            "metrics": self.metrics,
            "precisions": self.precisions,
        }


def plan_compare(
    spark: "SparkSession",
    *,
    experiment: str | None = None,
    runs: Sequence[str] = (),
    models: Sequence[str] = (),
    on: str | None = None,
    metric: str | None = None,
    label_col: str | None = None,
    precisions: Sequence[str] = ("auto",),
    price_per_hour: float | None = None,
    report: str | None = None,
    csv: str | None = None,
    seed: int = 0,
) -> ComparePlan:
    """Check all that can be known; a small job looks at the table's labels, nothing is scored.

    Args:
        experiment, runs, models: see `chosen_models`; the experiment takes the results, too.
        on: name or folder of the labelled table; default the test table that the models' runs have logged, where it is one.
        metric: the quality of the picture; default accuracy, micro_f1 or pearson.
        precisions: whose speed is measured, of `auto`, `float32`, `bfloat16`, `int8`.
        price_per_hour: of this machine, in any currency.
        report, csv: files.

    Raises:
        InputError: something is not there, or cannot be compared.
    """
    for precision in precisions:
        if precision not in PRECISIONS:
            raise InputError(f"precisions of {', '.join(PRECISIONS)}", repr(precision), "Change it.")
    if price_per_hour is not None and not price_per_hour > 0:
        raise InputError("a price above 0 (--price-per-hour)", str(price_per_hour), "Leave it out for none.")
    for file in filter(None, (report, csv)):
        if not local_path(file).parent.is_dir():
            raise InputError(f"a folder for {file}", "none", "Make it, or name another file.")
    tracking = check_tracking(experiment)
    found = chosen_models(experiment, runs, models)
    opened = tables.open_pinned(spark, on if on is not None else _test_table(found))
    by_name = {each.name: each.model for each in found}
    for each in found:
        each.model.setLabelCol(label_col or found[0].model.getLabelCol())
    check_comparable(by_name)
    kind = found[0].model.decision.problem_type
    if metric is not None:
        check_paired_metric(metric, kind)
    first = metric or PAIRED_METRICS[kind][0]
    metrics = [first, *(each for each in PAIRED_METRICS[kind] if each != first)]
    rows = check_truth(by_name, opened.df)
    return ComparePlan(spark, found, opened, rows, metrics, list(precisions), tracking, price_per_hour, report, csv, seed)


def _test_table(models: list[Compared]) -> str:
    """The table that all runs have logged as their test table.

    Raises:
        InputError: there is none, or several.
    """
    found = {registry.logged_table(each.run_id, "test") if each.run_id else None for each in models}
    (table,) = found if len(found) == 1 else (None,)
    if table is None:
        shown = ", ".join(sorted(filter(None, found))) or "none"
        raise InputError("one test table that the runs of all models have logged", shown, "Name one with --on.")
    return table


def run_compare(plan: ComparePlan) -> CompareResult:
    """Score the models once, measure their speed in turn, and write the results to files and to an MLflow run."""
    with logged_run(plan.tracking) as run:
        result = _measured(plan)
        if plan.csv is not None:
            write_csv(result, local_path(plan.csv))
        with tempfile.TemporaryDirectory() as folder:
            picture = draw(result, Path(folder))
            page = comparison_page(result, picture)
            if plan.report is not None:
                page.write(local_path(plan.report))
                result.report = plan.report
            page.write(Path(folder, "report.html"))
            write_csv(result, Path(folder, "models.csv"))
            if run.run_id is not None:
                run.log("the comparison", _log, plan, result, folder)
                if "the comparison" not in run.not_logged:
                    result.report = f"runs:/{run.run_id}/compare/report.html"
    result.run = run.result()
    return result


def _measured(plan: ComparePlan) -> CompareResult:
    models = {each.name: each.model for each in plan.models}
    scores = score_together(models, plan.table.df)
    measured = {metric: metric_samples(scores.outcomes, metric, seed=plan.seed) for metric in plan.metrics}
    rates = _rates(plan)
    rows = []
    for each in plan.models:
        own = {precision: rates.get((each.name, precision)) for precision in plan.precisions}
        rate = next(filter(None, own.values()))
        cost = None if plan.price is None else plan.price * 1e6 / rate / 3600
        intervals = {name: interval(values[each.name], samples[each.name]) for name, (values, samples) in measured.items()}
        size = directory_bytes(each.model.directory) / 1e6
        rows.append(Row(each.name, each.uri, intervals, size, _training_minutes(each), own, 1000 / rate, cost))
    metric = plan.metrics[0]
    sign = -1 if metric in LESS_IS_BETTER else 1
    for n in pareto_front([(1 / row.seconds_per_1000_rows, sign * row.metrics[metric].value) for row in rows]):
        rows[n].on_front = True
    rows.sort(key=lambda row: -sign * row.metrics[metric].value)
    return CompareResult(
        plan.table.at_version, scores.outcomes.rows, processor(), metric, rows, _differences(rows, *measured[metric], sign)
    )


def _rates(plan: ComparePlan) -> dict[tuple[str, str], float]:
    """Rows a second by model and precision, on texts of the table."""
    columns = [text_column(plan.table.df, name).alias(f"text{n}") for n, name in enumerate(plan.models[0].model.text_columns)]
    texts = sample_texts(plan.table.df.select(*columns), plan.rows)
    ways = {}
    for each, precision in itertools.product(plan.models, plan.precisions):
        copy = each.model.copy({each.model.precision: precision})
        try:
            copy.predict(texts[:1])
        except InputError:  # it has no int8
            continue
        ways[each.name, precision] = copy
    return rows_per_second(ways, texts)


def _training_minutes(each: Compared) -> float | None:
    seconds = each.model.summary.get("train_seconds")
    return seconds / 60 if seconds else None


def _differences(rows: list[Row], values: dict[str, float], samples: dict[str, np.ndarray], sign: int) -> list[dict[str, Any]]:
    """Each pair, the better one first: two-sided p-values of the paired bootstrap, corrected together after Holm."""
    found = []
    for one, other in itertools.combinations([row.name for row in rows], 2):
        drawn = sign * (samples[one] - samples[other])
        differ = interval(sign * (values[one] - values[other]), drawn)
        p = min(1.0, 2 * (1 + min((drawn <= 0).sum(), (drawn >= 0).sum())) / (1 + len(drawn)))
        found.append(
            {"better": one, "worse": other, "difference": differ.value, "low": differ.low, "high": differ.high, "p": float(p)}
        )
    for pair, p in zip(found, holm([pair["p"] for pair in found]), strict=True):
        pair |= {"p": float(p), "beyond_chance": bool(p < SIGNIFICANT)}
    return found


def _log(plan: ComparePlan, result: CompareResult, folder: str) -> None:
    """Files to the active run; each logged model's metrics to the model itself."""
    import mlflow

    from sparknlp_tx.tracking.run_logging import log_data

    mlflow.log_artifacts(folder, "compare")
    mlflow.log_dict(result.as_dict(), "compare/compare.json")
    log_data(plan.table.name.text, plan.table.version, "test")
    mlflow.set_tags({"compared": str(len(result.models)), "processor": result.processor})
    by_uri = {each.uri: each.model_id for each in plan.models}
    for row in result.models:
        if by_uri[row.uri] is not None:
            values = {f"compare.{name}": value.value for name, value in row.metrics.items()}
            mlflow.log_metrics(values | {"compare.rows_per_second": 1000 / row.seconds_per_1000_rows}, model_id=by_uri[row.uri])
