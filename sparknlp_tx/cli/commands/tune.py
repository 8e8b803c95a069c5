"""Find the best settings of a training: trials in MLflow, the best one fitted again and saved.

  sparknlp-tx tune --train data/train --validation data/validation --test data/test --model-dir my-model --trials 12
  sparknlp-tx tune --train main.support.tickets_train --validation main.support.tickets_validation --search space.yml --trials 30 \\
      --max-hours 4 --experiment /Shared/tickets --model-dir /Volumes/main/support/models/tickets --registered-model main.support.tickets

--search FILE.yml says what is tried; without it a space that suits most tasks. A line for each Param or field of TrainingArguments:
    learningRate: {log_uniform: [1.0e-5, 5.0e-4]}
    numTrainEpochs: {int: [1, 4]}
    checkpoint: [distilbert-base-uncased, roberta-base]
Flags of `train` are what all trials share. Started again with the same words, a study that was killed goes on: --trials is how many there
are in all. The last line of standard output is a JSON object: the best values, each trial, and the results of `train` for the last fit.
"""

import argparse
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from sparknlp_tx.cli.commands import train as train_command
from sparknlp_tx.cli.commands.common import Explained
from sparknlp_tx.data.label_columns import problem_type_of
from sparknlp_tx.errors import InputError
from sparknlp_tx.files import local_path
from sparknlp_tx.lifecycle.tuning.search_space import Dimension, read_space
from sparknlp_tx.lifecycle.tuning.settings import StudyResult, TrialSettings, check_folder
from sparknlp_tx.lifecycle.tuning.study import PRUNERS, SAMPLERS, check_optuna, study_key
from sparknlp_tx.lifecycle.tuning.trials import configured, run_trials
from sparknlp_tx.metrics.compute import BEST
from sparknlp_tx.ml.scoring_plan import told_duration
from sparknlp_tx.progress import say
from sparknlp_tx.spark import tables
from sparknlp_tx.spark.distributed_training import check_workers
from sparknlp_tx.spark.distribution import is_local

if TYPE_CHECKING:
    from sparknlp_tx.tracking.runs import Tracking

VIEW = "sparknlp_tx_train_and_validation"
REFIT = ("train", "train+validation")


def parser() -> argparse.ArgumentParser:
    """Flags of `tune`: its own and those of `train`."""
    parser = train_command.parser("tune", __doc__)
    parser.add_argument(
        "--search", metavar="FILE.yml", help="what is tried; default rates, epochs, batch size and weight decay"
    )
    parser.add_argument("--trials", type=int, required=True, help="how many trials there are to be in all")
    parser.add_argument("--max-hours", type=float, default=0.0, help="of trials after which no other begins; default no limit")
    parser.add_argument("--sampler", choices=SAMPLERS, default="tpe", help="how values are proposed; default tpe")
    parser.add_argument("--pruner", choices=PRUNERS, default="median", help="which trials end early; default median")
    parser.add_argument(
        "--parallelism", type=int, default=1, help="trials at once, each on an executor of a cluster; default 1, here"
    )
    parser.add_argument("--refit", choices=REFIT, default="train", help="rows of the last fit; default train")
    parser.add_argument("--study-dir", metavar="FOLDER", help="for checkpoints and tokens; default MODEL_DIR.study")
    return parser


def run(spark: SparkSession, options: argparse.Namespace) -> dict[str, Any]:
    """Call `tune` with the flags' values."""
    names = ("train", "validation", "test", "model_dir", "overwrite", "experiment", "registered_model", "params", "explain")
    own = ("search", "trials", "max_hours", "sampler", "pruner", "parallelism", "refit", "study_dir")
    values = {name: getattr(options, name) for name in (*names, *own)}
    found = tune(spark, **values, training_args=options.extra)
    return found.as_dict() if isinstance(found, Explained) else found


def tune(
    spark: SparkSession,
    *,
    train: str,
    validation: str | None,
    model_dir: str,
    trials: int,
    search: str | dict[str, Any] | None = None,
    test: str | None = None,
    overwrite: bool = False,
    experiment: str | None = None,
    registered_model: str | None = None,
    params: dict[str, Any] | None = None,
    training_args: dict[str, Any] | None = None,
    max_hours: float = 0.0,
    sampler: str = "tpe",
    pruner: str = "median",
    parallelism: int = 1,
    refit: str = "train",
    study_dir: str | None = None,
    explain: bool = False,
) -> dict[str, Any] | Explained:
    """Check all that can be known, run the trials, fit the best setting again and save it.

    Args:
        train, validation: names or folders of tables; trials are compared on `validation`, which never has the test rows.
        search: a YAML file or a dict, see `lifecycle.tuning.search_space`; None for the default space.
        trials: how many there are to be in all; max_hours: of trials after which no other begins, 0 for any.
        sampler: `tpe` or `random`; pruner: `median`, `halving` or `none`.
        parallelism: trials at once, each as one task on an executor that owns a whole GPU where there are some.
        refit: rows of the last fit, `train` or `train+validation`; the latter keeps its last epoch, as many as were best.
        study_dir: for checkpoints and staged tokens, on a cluster one that all nodes share; default beside `model_dir`.
        The others: as for `train`.

    Returns:
        What `train` returns for the last fit, as a dict, and `study`, see `StudyResult`.

    Raises:
        InputError: what was given is refused; nothing was touched.
        JobError: three trials in a row failed, no trial is complete, MLflow does not take a result, or the last fit failed.
    """
    if validation is None:
        raise InputError("a table to compare trials on (--validation)", "none", "Carve one out: sparknlp-tx prepare does.")
    model_dir = train_command.check_model_dir(model_dir, overwrite)
    options = {name: value for name, value in locals().items() if name not in ("spark", "explain", "refit")}
    options |= {"params": params or {}, "training_args": training_args or {}}
    _check_numbers(spark, options)
    settings, tracking = _settings(spark, options)
    if explain:
        return _explained(settings)
    from sparknlp_tx.tracking.runs import experiment_id

    settings.experiment_id = experiment_id(tracking)
    found = run_trials(settings)
    last = _refit(spark, settings, found, refit, options)
    return last | {"job": "tune", "study": asdict(found)}


def _settings(spark: SparkSession, options: dict[str, Any]) -> "tuple[TrialSettings, Tracking]":
    """What all trials share, from the arguments of `tune`, checked."""
    from sparknlp_tx.tracking.runs import check_tracking

    check_optuna()
    tracking = check_tracking(options["experiment"], options["registered_model"])
    estimator = train_command.estimator_of(options["params"], options["training_args"])
    named = {"train": options["train"], "validation": options["validation"], "test": options["test"]}
    opened = {split: tables.open_table(spark, table) for split, table in named.items() if table}
    base, rows = train_command.training_rows({split: each.df for split, each in opened.items()}, estimator)
    space = read_space(options["search"], base)
    for checkpoint in _checkpoints(space) or [base.getCheckpoint()]:
        base.copy({base.checkpoint: checkpoint}).check(rows)
    folder = check_folder(options["study_dir"] or f"{local_path(options['model_dir'])}.study")
    if options["parallelism"] > 1:
        check_workers(spark, options["parallelism"], str(folder), base.getCheckpoint())
    facts = {name: options[name] for name in ("params", "training_args", "sampler", "pruner")}
    facts |= {split: [each.name.text, each.version] for split, each in opened.items() if split != "test"}
    facts["space"] = [asdict(each) for each in space]
    problem_type = problem_type_of(rows, base.getLabelCol(), base.getProblemType())
    metric = base.getMetricForBestModel()
    return TrialSettings(
        estimator=base,
        rows=rows,
        metric=BEST[problem_type] if metric == "auto" else metric.removeprefix("eval_"),
        space=space,
        trials=options["trials"],
        folder=folder,
        key=study_key(facts),
        name=f"tune {options['train']}",
        experiment_id="",
        max_hours=options["max_hours"],
        sampler=options["sampler"],
        pruner=options["pruner"],
        seed=base.getSeed(),
        parallelism=options["parallelism"],
    ), tracking


def _checkpoints(space: list[Dimension]) -> list[str]:
    return [str(value) for each in space if each.name == "checkpoint" for value in each.values]


def _check_numbers(spark: SparkSession, options: dict[str, Any]) -> None:
    """Raise InputError where numbers make no study, or trials cannot run at once here."""
    for name, least in (("trials", 1), ("parallelism", 1), ("max_hours", 0)):
        if options[name] < least:
            raise InputError(f"--{name.replace('_', '-')} of {least} or more", str(options[name]), "Change it.")
    if options["parallelism"] > 1 and is_local(spark):
        found = "a session whose executors are this machine"
        raise InputError("a cluster, for --parallelism above 1", found, "Leave it out: trials run one after another here.")


def _explained(settings: TrialSettings) -> Explained:
    """The space, and how long one trial and all of them would take, about."""
    plan = settings.estimator.explain(settings.rows)
    say(str(plan))
    seconds = plan.seconds * settings.trials / settings.parallelism
    say(
        f"{settings.trials} trials: about {told_duration(seconds)} without pruning, at {settings.estimator.getNumTrainEpochs():g} epochs each"
    )
    space = {each.name: {each.kind: list(each.values)} for each in settings.space}
    found = {
        "space": space,
        "trials": settings.trials,
        "metric": settings.metric,
        "seconds": round(seconds),
        "trial": plan.as_dict(),
    }
    return Explained("tune", found, list(plan.problems))


def _refit(
    spark: SparkSession, settings: TrialSettings, found: StudyResult, rows: str, options: dict[str, Any]
) -> dict[str, Any]:
    """Fit the best setting once more, as `train` does, in a run of its own below the study's; the study's folder goes."""
    import mlflow

    best = configured(settings.estimator, settings.space, found.best_values)
    params = options["params"] | {each.name: found.best_values[each.name] for each in settings.space if each.param}
    params.setdefault("checkpointDir", str(settings.folder / "refit"))
    if rows == REFIT[1] and found.best_epoch:
        params["numTrainEpochs"] = max(1.0, float(round(found.best_epoch)))
    arguments = {
        name: value for name, value in best.getTrainingArgs().items() if name not in options["params"].get("trainingArgs", {})
    }
    both = rows == REFIT[1]
    with mlflow.start_run(**_refit_run(settings, found)):
        last = train_command.train(
            spark,
            train=_joined(spark, options["train"], options["validation"]) if both else options["train"],
            validation=None if both else options["validation"],
            params=params,
            training_args=arguments,
            **{name: options[name] for name in ("test", "model_dir", "overwrite", "experiment", "registered_model")},
        )
    shutil.rmtree(settings.folder, ignore_errors=True)
    return last.as_dict()


def _refit_run(settings: TrialSettings, found: StudyResult) -> dict[str, Any]:
    """Arguments of `mlflow.start_run`: the run of a last fit that was cut off, or a new one."""
    import mlflow

    query = f"tags.refit_of = '{found.study_run_id}' and attributes.status != 'FINISHED'"
    begun = mlflow.MlflowClient().search_runs([settings.experiment_id], query, max_results=1)
    if begun:
        return {"run_id": begun[0].info.run_id}
    tags = {"refit_of": found.study_run_id, "mlflow.parentRunId": found.study_run_id}
    return {"experiment_id": settings.experiment_id, "run_name": f"best setting (trial {found.best})", "tags": tags}


def _joined(spark: SparkSession, train: str, validation: str) -> str:
    """A view of the rows of both tables."""
    first, second = (tables.read_table(spark, table) for table in (train, validation))
    first.select(*second.columns).unionByName(second).createOrReplaceTempView(VIEW)
    return VIEW
