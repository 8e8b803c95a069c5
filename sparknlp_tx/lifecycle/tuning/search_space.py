"""The search space of a study: which Params and training arguments are tried, and over which values.

  learningRate: {log_uniform: [1.0e-5, 5.0e-4]}
  weight_decay: {uniform: [0, 0.1]}
  numTrainEpochs: {int: [1, 4]}
  checkpoint: [distilbert-base-uncased, roberta-base]      # a list is a choice

Names are those of Params, or of fields of `transformers.TrainingArguments`, in any of the spellings of flags.
"""

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.lifecycle.yaml_file import read_mapping
from sparknlp_tx.ml.params import SCORING_PARAMS

if TYPE_CHECKING:
    from sparknlp_tx.ml.estimator import TransformerClassifier

KINDS = ("log_uniform", "uniform", "int", "choice")
# Params that change the data, the model's columns or where files go: two trials would not be comparable.
FIXED = {
    *(
        "textCol",
        "textPairCol",
        "labelCol",
        "weightCol",
        "validationIndicatorCol",
        "validationFraction",
        "problemType",
        "handleInvalid",
    ),
    *("checkpointDir", "stagingDir", "numTrainWorkers", "trainingArgs", "metricForBestModel"),
}
DEFAULT: dict[str, Any] = {
    "learningRate": {"log_uniform": [1e-5, 3e-4]},
    "headLearningRate": {"log_uniform": [2e-4, 5e-3]},
    "numTrainEpochs": {"int": [2, 5]},
    "batchSize": [16, 32],
    "weight_decay": {"uniform": [0.0, 0.1]},
}


@dataclass(frozen=True)
class Dimension:
    """What is tried for one Param or training argument.

    Attributes:
        name: of the Param, or of the field. param: whether it is a Param.
        kind: `log_uniform`, `uniform`, `int` (both ends included) or `choice`.
        values: the two ends; or the choices.
    """

    name: str
    param: bool
    kind: str
    values: tuple[Any, ...]

    def distribution(self) -> Any:
        """For Optuna; choices that are lists or maps are their JSON."""
        from optuna import distributions

        if self.kind == "choice":
            return distributions.CategoricalDistribution([_primitive(value) for value in self.values])
        if self.kind == "int":
            return distributions.IntDistribution(*self.values)
        low, high = self.values
        return distributions.FloatDistribution(low, high, log=self.kind == "log_uniform")

    def value(self, suggested: Any) -> Any:
        """What a suggestion of Optuna stands for."""
        if self.kind != "choice":
            return suggested
        return next(value for value in self.values if _primitive(value) == suggested)

    def holds(self, value: Any) -> bool:
        """Whether a value lies in it."""
        if self.kind == "choice":
            return value in self.values
        within = isinstance(value, int | float) and self.values[0] <= value <= self.values[1]
        return within and (self.kind != "int" or value == int(value))


def read_space(space: str | dict[str, Any] | None, estimator: "TransformerClassifier") -> list[Dimension]:
    """The dimensions of a YAML file, or of a dict of the same form; None for the default space.

    Args:
        estimator: what is tuned: its Params take the values.

    Raises:
        InputError: no such file, an unknown name (offers the nearest) or kind, a low end above the high one, a value that the Param does
            not take, nothing to search.
    """
    where = space if isinstance(space, str) else "the search space"
    given = DEFAULT if space is None else space if isinstance(space, dict) else read_mapping(space, "a search space")
    if not given:
        raise InputError(
            f"something to search in {where}",
            "an empty space",
            "Name a Param and its values: learningRate: {log_uniform: [1.0e-5, 5.0e-4]}",
        )
    found: dict[str, Dimension] = {}
    for key, value in given.items():
        dimension = _dimension(str(key), value, estimator, where)
        if dimension.name in found:
            raise InputError(f"{dimension.name} once in {where}", "two spellings of it", "Take one of them out.")
        found[dimension.name] = dimension
    if all(len(set(map(_primitive, each.values))) == 1 for each in found.values()):
        raise InputError(f"something to search in {where}", "one value for each name", "Give ranges, or more values.")
    return list(found.values())


def _dimension(key: str, value: Any, estimator: "TransformerClassifier", where: str) -> Dimension:
    name, is_param = _name(key, estimator, where)
    if isinstance(value, list):
        value = {"choice": value}
    if not isinstance(value, dict) or len(value) != 1:
        raise InputError(
            f"a list of values, or one of {', '.join(KINDS)}, for {key} in {where}",
            repr(value),
            "Write learningRate: {log_uniform: [1.0e-5, 5.0e-4]}",
        )
    ((kind, ends),) = value.items()
    if kind not in KINDS:
        raise InputError(f"a kind of range for {key} in {where}", repr(kind), nearest(str(kind), KINDS))
    if not isinstance(ends, list) or not ends or (kind != "choice" and len(ends) != 2):
        raise InputError(
            f"{'some values' if kind == 'choice' else 'two ends'} for {key} in {where}",
            repr(ends),
            f"Write {kind}: [LOW, HIGH].",
        )
    if kind != "choice":
        ends = _ends(key, kind, ends, where)
    dimension = Dimension(name, is_param, kind, tuple(ends))
    if is_param:
        for end in dimension.values:
            _check_value(estimator, name, end, where)
    return dimension


def _name(key: str, estimator: "TransformerClassifier", where: str) -> tuple[str, bool]:
    """The Param or the field that a key names."""
    from sparknlp_tx.training.arguments import training_argument_names

    snake = re.sub(r"(?<!^)([A-Z])", r"_\1", key.replace("-", "_")).lower()
    params = {re.sub(r"([A-Z])", r"_\1", param.name).lower(): param.name for param in estimator.params}
    fields = training_argument_names()
    if snake in params:
        name = params[snake]
        if name in FIXED or (name in SCORING_PARAMS and name not in ("maxLength", "threshold", "thresholds")):
            raise InputError(
                f"Params of the training in {where}", repr(key), "Give it once, as a flag: all trials have to share it."
            )
        return name, True
    if snake in fields:
        return snake, False
    raise InputError(f"Params or TrainingArguments in {where}", repr(key), nearest(key, [*params.values(), *fields]))


def _ends(key: str, kind: str, ends: list[Any], where: str) -> list[Any]:
    """The two ends as numbers; YAML takes `1e-5` for a text."""
    try:
        low, high = (int(end) if kind == "int" and float(end) == int(float(end)) else float(end) for end in ends)
    except (TypeError, ValueError):
        raise InputError(f"two numbers for {key} in {where}", repr(ends), "Change them.") from None
    if kind == "int" and not (isinstance(low, int) and isinstance(high, int)):
        raise InputError(f"two whole numbers for {key} in {where}", repr(ends), "Take uniform for others.")
    if low > high:
        raise InputError(f"the low end of {key} first in {where}", f"{low:g} above {high:g}", "Swap them.")
    if kind == "log_uniform" and low <= 0:
        raise InputError(f"ends above 0 for log_uniform of {key} in {where}", f"{low:g}", "Take uniform, or another end.")
    return [low, high]


def _check_value(estimator: "TransformerClassifier", name: str, value: Any, where: str) -> None:
    try:
        estimator.copy()._set(**{name: float(value) if isinstance(value, float) else value})
    except TypeError as error:
        raise InputError(f"values of {name} in {where}", repr(value), str(error)) from None


def _primitive(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value
