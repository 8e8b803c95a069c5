"""Params to the settings of a fine-tuning: the rates of the head and of a pooler, class weights, where a new head starts."""

from sparknlp_tx.data.label_counts import LabelCounts
from sparknlp_tx.ml.params import TransformerClassifierParams
from sparknlp_tx.training.settings import TrainingSettings


def training_settings(
    stage: TransformerClassifierParams, problem_type: str, labels: LabelCounts | None = None
) -> TrainingSettings:
    """The settings of a fine-tuning, from an estimator's Params.

    Args:
        labels: of the training rows; None before they are counted: the settings then have no labels.
    """
    names, head_rate = labels.labels if labels else [], stage.getHeadLearningRate()
    own = stage.isDefined("headLearningRate")  # few labels: what a pooler has learnt before is soon lost
    pooler_rate = head_rate if own else min(head_rate, stage.getLearningRate() * max(1, len(names)))
    balanced = labels is not None and stage.getClassWeights() == "balanced"
    return TrainingSettings(
        checkpoint=stage.getCheckpoint(),
        labels=names,
        max_length=stage.getMaxLength(),
        batch_size=stage.getBatchSize(),
        learning_rate=stage.getLearningRate(),
        head_learning_rate=head_rate,
        pooler_learning_rate=pooler_rate,
        num_train_epochs=stage.getNumTrainEpochs(),
        seed=stage.getSeed(),
        training_args=stage.getTrainingArgs(),
        problem_type=problem_type,
        start_bias=labels.start_bias(problem_type) if labels and not balanced else None,  # balanced labels are level
        class_weights=labels.balanced_weights(problem_type) if labels and balanced else None,
        metric=stage.getMetricForBestModel(),
        patience=stage.getEarlyStoppingPatience(),
        tune_thresholds=stage.getThresholdTuning() != "none",
        train_layers=stage.getTrainLayers(),
        max_train_seconds=stage.getMaxTrainSeconds(),
        resumable=bool(stage.getCheckpointDir()),
        lora_rank=stage.getLoraRank(),
        workers=stage.getNumTrainWorkers(),
    )
