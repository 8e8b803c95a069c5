"""Every Param once, shared by the estimator and the model it fits. Imports neither torch nor transformers."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import (
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasSeed,
    HasThresholds,
    HasValidationIndicatorCol,
    HasWeightCol,
)

from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.inference.decision_rules import PROBLEM_TYPES, DecisionRule, decision_rule
from sparknlp_tx.ml.param_converters import AUTO, checked, fraction, one_of, positive_float, positive_int, to_map, tokens
from sparknlp_tx.ml.schema_checks import OUTPUT_PARAMS

MAX_HEAD_LEARNING_RATE = 5e-3
SCORING_PARAMS = (  # that change what scoring does
    *("textCol", "textPairCol", *OUTPUT_PARAMS, "threshold", "thresholds"),
    *("maxLength", "precision", "tokensPerBatch", "device", "handleInvalid"),
)


def _param(name: str, doc: str, convert: Callable[[Any], Any] = TypeConverters.toString) -> Any:
    return Param(Params._dummy(), name, doc, typeConverter=convert)


class TransformerClassifierParams(
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasThresholds,
    HasWeightCol,
    HasValidationIndicatorCol,
    HasSeed,
):
    """The Params of `TransformerClassifier` and `TransformerClassificationModel`, with a getter and a setter for each."""

    checkpoint = _param("checkpoint", "the model to start from: a name on the Hugging Face hub or a directory")
    textCol = _param("textCol", "column of the texts")
    textPairCol = _param("textPairCol", "column of the second texts, for sentence pairs")
    predictedLabelCol = _param("predictedLabelCol", "column of the predicted label's own name; empty for none")
    problemType = _param(
        "problemType",
        "kind of task, as Hugging Face names it: auto (what the label column holds), single_label_classification, "
        "multi_label_classification or regression",
        one_of(AUTO, *PROBLEM_TYPES),
    )
    threshold = _param(
        "threshold",
        "two labels: label 1 is predicted where its probability is greater than this, from 0 to 1; "
        "several labels a row: each that is",
        fraction,
    )
    thresholds = _param(
        "thresholds",
        "one label a row: a value of 0 or more for each label, the one with the largest probability / value is predicted; "
        "several labels a row: each that has a probability greater than its value, from 0 to 1",
        TypeConverters.toListFloat,
    )
    maxLength = _param("maxLength", "longest sequence in tokens; what is longer is cut", positive_int)
    batchSize = _param("batchSize", "rows in a training batch", positive_int)
    learningRate = _param("learningRate", "peak learning rate of the encoder", positive_float)
    headLearningRate = _param(
        "headLearningRate",
        "peak learning rate of all above the encoder's layers (pooler, classifier); "
        "default: 100 times learningRate, at most 5e-3; then a pooler that the checkpoint brings learns at learningRate times the "
        "number of labels, up to that",
        positive_float,
    )
    numTrainEpochs = _param("numTrainEpochs", "passes over the training rows", positive_float)
    trainLayers = _param(
        "trainLayers",
        "what is trained: all, head, or last:N for the head and the last N layers of the encoder",
        checked(
            TypeConverters.toString,
            lambda value: re.fullmatch(r"all|head|last:[1-9]\d*", value) is not None,
            "all, head or last:N",
        ),
    )
    validationFraction = _param(
        "validationFraction",
        "part of the rows to take for validation, from 0 to below 1, where no column marks any; equal texts stay together",
        checked(TypeConverters.toFloat, lambda value: 0 <= value < 1, "a number from 0 to below 1"),
    )
    metricForBestModel = _param(
        "metricForBestModel",
        "metric on the validation rows that says which epoch is kept; auto: accuracy, micro_f1 or pearson",
        TypeConverters.toString,
    )
    earlyStoppingPatience = _param(
        "earlyStoppingPatience",
        "evaluations without a better one after which training ends; 0 for none",
        checked(TypeConverters.toInt, lambda value: value >= 0, "an integer of 0 or more"),
    )
    classWeights = _param(
        "classWeights",
        "none, or balanced: rows of rare labels count more, so that all labels weigh the same",
        one_of("none", "balanced"),
    )
    thresholdTuning = _param(
        "thresholdTuning",
        "none, or f1: choose for each label the threshold with the best F1 on the validation rows",
        one_of("none", "f1"),
    )
    maxTrainSeconds = _param(
        "maxTrainSeconds",
        "seconds after which training stops and keeps the best so far; 0 for no limit",
        checked(TypeConverters.toFloat, lambda value: value >= 0, "a number of 0 or more"),
    )
    checkpointDir = _param(
        "checkpointDir",
        "folder for checkpoints, and for the staged tokens; on the driver's disk, or, with numTrainWorkers on a cluster, one that "
        "all nodes share: a fit that was killed and is started again with the same settings and data "
        "goes on from there; empty for none",
        TypeConverters.toString,
    )
    stagingDir = _param(
        "stagingDir",
        "folder for the staged tokens while a fit lasts, where there is no checkpointDir; on the driver's disk, or, with "
        "numTrainWorkers on a cluster, one that all nodes share; empty for a temporary one",
        TypeConverters.toString,
    )
    numTrainWorkers = _param(
        "numTrainWorkers",
        "processes that train together, each on its part of a batch: on a local session this machine's, else Spark tasks",
        positive_int,
    )
    loraRank = _param(
        "loraRank",
        "rank of low-rank adapters to train beside the head, instead of the encoder itself; they learn at 10 times learningRate and "
        "are merged in the end; 0 for none",
        checked(TypeConverters.toInt, lambda value: value >= 0, "an integer of 0 or more"),
    )
    trainingArgs = _param(
        "trainingArgs",
        "any other field of transformers.TrainingArguments, as a map of JSON values",
        checked(to_map, lambda value: True, "a map of names to JSON values"),
    )
    precision = _param(
        "precision",
        "arithmetic of scoring: auto, float32, bfloat16, float16 or int8",
        one_of(AUTO, "float32", "bfloat16", "float16", "int8"),
    )
    tokensPerBatch = _param("tokensPerBatch", "tokens, padding included, in a scoring batch: auto or a number", tokens)
    device = _param(
        "device",
        "where executors score: auto, cpu, cuda or cuda:N",
        checked(
            TypeConverters.toString,
            lambda value: re.fullmatch(r"auto|cpu|cuda(:\d+)?", value) is not None,
            "auto, cpu, cuda or cuda:N",
        ),
    )
    handleInvalid = _param(
        "handleInvalid",
        "null and empty texts: keep (scores are null), skip (rows are left out) or error",
        one_of("keep", "skip", "error"),
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._setDefault(
            checkpoint="distilbert-base-uncased",
            textCol="text",
            labelCol="label",
            predictionCol="prediction",
            probabilityCol="probability",
            rawPredictionCol="rawPrediction",
            predictedLabelCol="predictedLabel",
            problemType=AUTO,
            threshold=0.5,
            maxLength=256,
            batchSize=32,
            learningRate=5e-5,
            numTrainEpochs=3.0,
            seed=42,
            trainLayers="all",
            validationFraction=0.0,
            metricForBestModel=AUTO,
            earlyStoppingPatience=0,
            classWeights="none",
            thresholdTuning="none",
            maxTrainSeconds=0.0,
            checkpointDir="",
            stagingDir="",
            numTrainWorkers=1,
            loraRank=0,
            trainingArgs={},
            precision=AUTO,
            tokensPerBatch=AUTO,
            device=AUTO,
            handleInvalid="keep",
        )

    def getHeadLearningRate(self) -> float:
        """The value of headLearningRate; where it is not set, 100 times learningRate, at most 5e-3 (never less than it)."""
        if self.isDefined("headLearningRate"):
            return self.getOrDefault("headLearningRate")
        rate = self.getOrDefault("learningRate")
        return max(rate, min(100 * rate, MAX_HEAD_LEARNING_RATE))

    def setParams(self, **params: Any) -> "TransformerClassifierParams":
        """Set Params by name; returns self.

        Raises:
            TypeError: there is no such Param; says which is nearest.
        """
        for name in params:
            if not self.hasParam(name):
                raise TypeError(f"{type(self).__name__} has no Param {name!r}. {nearest(name, [p.name for p in self.params])}")
        return self._set(**params)

    def getThreshold(self) -> float:
        """The value of threshold or its default; where two `thresholds` are set instead, what they come to, as in LogisticRegression."""
        of_two = self.getOrDefault("thresholds") if self.isSet("thresholds") and not self.isSet("threshold") else []
        return 1 / (1 + of_two[0] / of_two[1]) if len(of_two) == 2 and of_two[1] else self.getOrDefault("threshold")

    def getThresholds(self) -> list[float]:
        """The value of thresholds; where `threshold` is set instead, what it comes to for two labels, as in LogisticRegression."""
        if self.isSet("threshold") and not self.isSet("thresholds"):
            return [1 - self.getOrDefault("threshold"), self.getOrDefault("threshold")]
        return self.getOrDefault("thresholds")

    def setThreshold(self, value: float) -> "TransformerClassifierParams":
        """Set threshold and clear thresholds, as LogisticRegression does; returns self."""
        self.clear(self.thresholds)
        return self._set(threshold=value)

    def setThresholds(self, value: list[float]) -> "TransformerClassifierParams":
        """Set thresholds and clear threshold, as LogisticRegression does; returns self."""
        self.clear(self.threshold)
        return self._set(thresholds=value)


def _accessors(name: str) -> tuple[Callable, Callable]:
    def getter(self: Params) -> Any:
        return self.getOrDefault(name)

    def setter(self: Params, value: Any) -> Any:
        return self._set(**{name: value})

    getter.__doc__, setter.__doc__ = f"The value of {name} or its default.", f"Set {name}; returns self."
    return getter, setter


for _name in [key for key in dir(TransformerClassifierParams) if isinstance(getattr(TransformerClassifierParams, key), Param)]:
    for _prefix, _accessor in zip(("get", "set"), _accessors(_name), strict=True):
        _method = _prefix + _name[0].upper() + _name[1:]
        if not hasattr(TransformerClassifierParams, _method):
            _accessor.__name__ = _method
            setattr(TransformerClassifierParams, _method, _accessor)


def check_thresholds(stage: TransformerClassifierParams) -> None:
    """Raise InputError where both kinds of thresholds are set, and they do not say the same of two labels."""
    if not stage.isSet("threshold") or not stage.isSet("thresholds"):
        return
    one, several = stage.getOrDefault("threshold"), stage.getOrDefault("thresholds")
    if len(several) != 2 or not sum(several) or abs(several[1] / sum(several) - one) > 1e-5:
        raise InputError("threshold or thresholds", f"both, {one} and {several}", "Clear one of them.")


def decision_rule_of(stage: TransformerClassifierParams, problem_type: str, labels: Sequence[str]) -> DecisionRule:
    """How logits become predictions with these Params; whether the thresholds fit the labels is its own to check."""
    check_thresholds(stage)
    thresholds = tuple(stage.getOrDefault("thresholds")) if stage.isSet("thresholds") else None
    return decision_rule(problem_type, labels, threshold=stage.getOrDefault("threshold"), thresholds=thresholds)
