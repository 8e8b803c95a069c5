"""A program of someone who uses the library, for `mypy --strict` alone: test_types.py. It is never run."""

from typing import Any

from pyspark.ml import Pipeline
from pyspark.sql import Column, DataFrame, SparkSession

from sparknlp_tx import (
    InferenceEngine,
    TransformerClassificationModel,
    TransformerClassifier,
    load_model,
    local_session,
    log_model,
)


def train(rows: DataFrame, validation: DataFrame) -> TransformerClassificationModel:
    estimator = TransformerClassifier(checkpoint="distilbert-base-uncased", textCol="text", batchSize=8)
    estimator = estimator.setLabelCol("topic").setLearningRate(3e-5).setThresholds([0.3, 0.7]).setTokensPerBatch("auto")
    estimator.setParams(numTrainEpochs=2.0, trainingArgs={"warmup_steps": 50})
    n: int = estimator.getBatchSize()
    rate: float = estimator.getHeadLearningRate()
    arguments: dict[str, Any] = estimator.getTrainingArgs()
    print(n, rate, arguments, estimator.explainParams(), estimator.explain(rows).seconds)
    several: list[TransformerClassificationModel] = estimator.fit(rows, [{estimator.seed: 1}, {estimator.seed: 2}])
    best: float | None = several[0].summary.bestEpoch
    print(best, estimator.fit(rows, {estimator.batchSize: 16}).numClasses)
    Pipeline(stages=[estimator]).fit(rows)
    estimator.copy({estimator.textCol: "body"}).save("estimator")
    return TransformerClassifier.load("estimator").fit(rows, validation=validation)


def use(model: TransformerClassificationModel, rows: DataFrame) -> None:
    scored: DataFrame = model.setHandleInvalid("skip").transform(rows)
    told: str = str(model.predict(["a text", ("a text", "its pair"), None]))
    found = model.evaluate(rows)
    accuracy: float = found.accuracy
    counts: dict[str, float] = model.observe(rows)[1].metrics
    answer: Column = model.udf("text")
    seconds: float = model.explain(scored.select(answer)).seconds
    small: TransformerClassificationModel = model.quantize(rows).setPrecision("int8")
    small.write().overwrite().save("small")
    labels: list[str] = TransformerClassificationModel.load("small").labels
    print(told, accuracy, found.predictions.count(), counts, seconds, labels, model.predictProbability("a text").toArray())


def serve(model: TransformerClassificationModel) -> None:
    uri: str = log_model(model, registered_model_name="topics").model_uri
    again: TransformerClassificationModel = load_model(uri)
    engine: InferenceEngine = InferenceEngine.from_pretrained(again.directory, device="cpu", max_length=128)
    best: int = int(engine.predict_proba(["a text", ("a text", "its pair")])[0].argmax())
    print(again.labels[best])


if __name__ == "__main__":
    session: SparkSession = local_session()
    table: DataFrame = session.table("topics")
    fitted = train(table, table)
    use(fitted, table)
    serve(fitted)
