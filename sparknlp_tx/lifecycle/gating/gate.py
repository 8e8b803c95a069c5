"""A candidate against the champion: both scored once on the same rows of one table version, all gates decided from that, one report."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknlp_tx.data.text_columns import text_column
from sparknlp_tx.data.text_samples import sample_texts
from sparknlp_tx.errors import InputError, reason_of
from sparknlp_tx.files import local_path
from sparknlp_tx.lifecycle.comparable import check_comparable, check_slices, check_truth
from sparknlp_tx.lifecycle.gating.behaviour import BehaviourTest, failures, read_tests
from sparknlp_tx.lifecycle.gating.decision import decide, metric_name
from sparknlp_tx.lifecycle.gating.outcome import CANDIDATE, CHAMPION, Evidence, GateResult
from sparknlp_tx.lifecycle.gating.page import gate_report
from sparknlp_tx.lifecycle.gating.settings import GateSettings, as_dict, read_gates
from sparknlp_tx.lifecycle.paired_scoring import score_together
from sparknlp_tx.lifecycle.speed import rows_per_second
from sparknlp_tx.metrics.paired import check_paired_metric
from sparknlp_tx.spark import tables
from sparknlp_tx.tracking import registry
from sparknlp_tx.tracking.models import load_model
from sparknlp_tx.tracking.runs import Tracking, check_tracking, logged_run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparknlp_tx.ml.model import TransformerClassificationModel

REPORT = "gate/report.html"  # the artifact


@dataclass
class GatePlan:
    """A gate run that was checked: nothing was scored yet.

    Attributes:
        candidate, champion: URIs or folders; no champion for the first promotion. champion_version: of the registry, where it is one.
        models: loaded, by `candidate` and `champion`.
        table: to score, at one version. rows: that have a label.
        settings: the gates. slices: columns. tests: of behaviour. trained_on: the table to look for leaked texts in, and where it is known from.
    """

    spark: "SparkSession"
    candidate: str
    champion: str | None
    champion_version: registry.Version | None
    models: "dict[str, TransformerClassificationModel]"
    table: tables.OpenedTable
    rows: int
    settings: GateSettings
    tracking: Tracking
    slices: list[str] = field(default_factory=list)
    tests: list[BehaviourTest] = field(default_factory=list)
    trained_on: DataFrame | None = None
    leakage: str = ""
    report: str | None = None
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """What would be done, as a JSON object."""
        return {
            "candidate": self.candidate,
            "champion": self.champion,
            "table": self.table.at_version,
            "rows": self.rows,
            "slices": self.slices,
            "behaviour_tests": len(self.tests),
            "leakage": self.leakage,
            "gates": as_dict(self.settings),
        }


def gate(spark: "SparkSession", *, candidate: str, on: str, **options: Any) -> GateResult:
    """Gate a candidate: `plan_gate`, then `run_gate`; see there."""
    return run_gate(plan_gate(spark, candidate=candidate, on=on, **options))


def plan_gate(
    spark: "SparkSession",
    *,
    candidate: str,
    on: str,
    model: str | None = None,
    champion: str | None = None,
    gates: str | dict[str, Any] | None = None,
    slice_cols: Sequence[str] = (),
    label_col: str | None = None,
    train: str | None = None,
    experiment: str | None = None,
    report: str | None = None,
    seed: int = 0,
) -> GatePlan:
    """Check all that can be known; two small jobs look at the table's labels and slices, nothing is scored.

    Args:
        candidate: a model directory or an MLflow URI.
        on: name or folder of the labelled table; it is read at one version throughout.
        model: a registered model, whose alias `champion` is the one to compare with; or champion: another model; default none.
        gates: a YAML file or a dict, see `settings`; default the defaults.
        slice_cols: columns whose values make slices.
        label_col: the true labels; default the candidate's.
        train: the candidate's training table, for texts that are in both; default what its MLflow run says.
        experiment: of MLflow; default MLflow's own choice. report: a file for the page as well.
        seed: of the bootstrap.

    Raises:
        InputError: something is not there, or cannot be compared.
    """
    settings = read_gates(gates)
    if report is not None and not local_path(report).parent.is_dir():
        raise InputError(f"a folder for the report {report}", "none", "Make it, or name another file.")
    tracking = check_tracking(experiment)
    champion, version = _champion(model, champion)
    opened = tables.open_pinned(spark, on)
    models = _models(candidate, champion, label_col)
    own = models[CANDIDATE]
    check_paired_metric(metric_name(settings, own.decision.problem_type), own.decision.problem_type)
    check_slices(opened.df, slice_cols)
    rows = check_truth(models, opened.df)
    if settings.metric is not None and rows < settings.metric.least_rows:
        remedy = "Take a larger table, or set metric: {least_rows: ...} in the gates."
        raise InputError(f"at least {settings.metric.least_rows:,} labelled rows in {on} for the gates", f"{rows:,}", remedy)
    named = settings.behaviour.tests if settings.behaviour is not None else None
    tests = read_tests(spark, named, own) if named else []
    trained_on, leakage = _training_rows(spark, candidate, train, own) if settings.leakage is not None else (None, "")
    return GatePlan(
        spark=spark,
        candidate=candidate,
        champion=champion,
        champion_version=version,
        models=models,
        table=opened,
        rows=rows,
        settings=settings,
        tracking=tracking,
        slices=list(slice_cols),
        tests=tests,
        trained_on=trained_on,
        leakage=leakage,
        report=report,
        seed=seed,
    )


def _champion(model: str | None, champion: str | None) -> tuple[str | None, registry.Version | None]:
    """The model to compare with, and which version of a registered model it is."""
    if model is None:
        return champion, None
    if champion is not None:
        raise InputError("--model or --champion", "both", "Leave one out.")
    registry.check_registered(model)
    version = registry.aliased(model, "champion")
    return (version.uri if version else None), version


def _models(candidate: str, champion: str | None, label_col: str | None) -> "dict[str, TransformerClassificationModel]":
    """Both models, loaded, with one label column, and comparable."""
    uris = {CANDIDATE: candidate} | ({CHAMPION: champion} if champion else {})
    for uri in uris.values():
        registry.version_of(uri)  # says which versions and aliases there are
    models = {name: load_model(uri) for name, uri in uris.items()}
    for each in models.values():
        each.setLabelCol(label_col or models[CANDIDATE].getLabelCol())
    check_comparable(models)
    return models


def run_gate(plan: GatePlan) -> GateResult:
    """Score candidate and champion once, decide every gate, write the report, log it to an MLflow run."""
    with logged_run(plan.tracking) as run:
        evidence = _measure(plan)
        outcomes = decide(plan.settings, evidence)
        refused = [f"{each.gate}: {each.reason}" for each in outcomes if each.passed is False]
        result = GateResult(
            plan.candidate,
            plan.champion,
            plan.table.at_version,
            evidence.scores.outcomes.rows,
            not refused,
            refused,
            outcomes,
            plan.report,
        )
        page = gate_report(result, evidence)
        if plan.report is not None:
            page.write(local_path(plan.report))
        if run.run_id is not None:
            run.log("the report", _log, plan, result, page)
            if "the report" not in run.not_logged:
                result.report = f"runs:/{run.run_id}/{REPORT}"
    result.run = run.result()
    return result


def _training_rows(
    spark: "SparkSession", candidate: str, train: str | None, model: "TransformerClassificationModel"
) -> tuple[DataFrame | None, str]:
    """The candidate's training table, and its name; or None and why it is not known."""
    table = train
    if table is None:
        try:
            run_id = registry.run_of(candidate)
            table = registry.logged_table(run_id) if run_id else None
        except Exception as error:  # the store's
            return None, f"The candidate's run cannot be read ({reason_of(error)}): name its training table with --train."
        if table is None:
            return None, "It is not known which table the candidate was trained on: name it with --train."
    try:
        df = tables.read_table(spark, table)
        model.check_labelled(df)
    except InputError as error:
        if train is not None:
            raise
        return None, f"The candidate's training table cannot be read ({error.found}): name it with --train."
    return df, table


def _measure(plan: GatePlan) -> Evidence:
    """Everything that the gates rest on."""
    candidate, champion = plan.models[CANDIDATE], plan.models.get(CHAMPION)
    scores = score_together(plan.models, plan.table.df, plan.slices)
    evidence = Evidence(candidate, champion, scores, leakage=plan.leakage, tests=len(plan.tests), seed=plan.seed)
    if plan.settings.throughput is not None and champion is not None:
        columns = [text_column(plan.table.df, name) for name in candidate.text_columns]
        texts = sample_texts(plan.table.df.select(*(c.alias(f"text{n}") for n, c in enumerate(columns))), plan.rows)
        evidence.rates = rows_per_second(plan.models, texts)
    if plan.trained_on is not None:
        evidence.leaked = _leaked(plan.table.df, plan.trained_on, candidate)
    if plan.tests:
        evidence.failed = failures(candidate, plan.tests)
    return evidence


def _leaked(test: DataFrame, train: DataFrame, model: "TransformerClassificationModel") -> int:
    """Rows of the test table whose text, or texts, are those of a training row; compared by hash on the executors."""

    def texts(df: DataFrame) -> DataFrame:
        return df.select(F.xxhash64(*(text_column(df, name) for name in model.text_columns)).alias("hash"))

    return texts(test).join(texts(train).distinct(), "hash", "left_semi").count()


def _log(plan: GatePlan, result: GateResult, page: Any) -> None:
    """The page, the outcomes as JSON, figures, tags and the table, to the active run."""
    import mlflow

    from sparknlp_tx.tracking.run_logging import log_data

    folder, _, name = REPORT.rpartition("/")
    with tempfile.TemporaryDirectory() as temporary:
        page.write(Path(temporary, name))
        mlflow.log_artifact(str(Path(temporary, name)), folder)
    mlflow.log_dict(result.as_dict(), "gate/gates.json")
    log_data(plan.table.name.text, plan.table.version, "test")
    for each in result.gates:
        if each.gate == "metric":
            figures = {
                side: each.figures[side]["value"] for side in (CANDIDATE, CHAMPION, "difference") if side in each.figures
            }
            mlflow.log_metrics({f"gate.{side}.{each.figures['metric']}": value for side, value in figures.items()})
    mlflow.set_tags(
        {f"gate.{each.gate}": {True: "passed", False: "failed", None: "skipped"}[each.passed] for each in result.gates}
    )
    mlflow.set_tags(
        {"gate": "passed" if result.passed else "failed", "candidate": plan.candidate, "champion": plan.champion or "none"}
    )
