"""MLflow for real: a store in SQLite, a registry, a served endpoint without pyspark."""

import os
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from helpers.serving import served
from helpers.texts import texts_of_topics
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassifier, load_model, log_model
from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.transformers_compat import grouped_by_length
from sparknlp_tx.tracking.run_logging import log_training

TEXTS = [text for text, _ in texts_of_topics(5, seed=5)]
COLUMNS = ["rawPrediction", "probability", "prediction", "predictedLabel"]


def test_metrics_are_logged_while_it_trains(tracking, train_df, settings):
    marked = train_df.withColumn("held", F.pmod(F.xxhash64("text"), F.lit(4)) == 0)
    with mlflow.start_run() as run:
        TransformerClassifier(**settings | {"numTrainEpochs": 2.0}, validationIndicatorCol="held").fit(marked)
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "validation.accuracy")
    assert len(history) == 2
    assert history[0].step < history[1].step
    assert len(mlflow.MlflowClient().get_metric_history(run.info.run_id, "train.loss")) > 5


def test_without_a_run_nothing_is_logged(tracking, train_df, settings):
    TransformerClassifier(**settings | {"numTrainEpochs": 1.0}).fit(train_df)
    assert mlflow.search_runs(search_all_experiments=True).empty


def test_a_run_tells_how_the_model_came_about(tracking, model):
    with mlflow.start_run() as run:
        log_training(model)
    run = mlflow.get_run(run.info.run_id)
    assert run.data.params["learningRate"] == str(model.getLearningRate())
    for field, value in grouped_by_length().items():
        assert run.data.params[f"args.{field}"] == str(value)
    assert run.data.tags["checkpoint"] == model.getCheckpoint()
    assert run.data.tags["task"] == "single_label_classification"
    assert run.data.metrics["model_size_mb"] > 0.1
    assert run.data.metrics["rows_per_second"] > 0
    arguments = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/training_arguments.json")
    assert arguments["per_device_train_batch_size"] == 8


def test_pyfunc_transform_and_predict_agree(tracking, spark, model):
    info = log_model(model)
    pyfunc = mlflow.pyfunc.load_model(info.model_uri)
    expected = model.predict(TEXTS)
    rows = model.transform(spark.createDataFrame([(t,) for t in TEXTS], "text string").coalesce(1)).collect()
    inputs = [TEXTS, pd.DataFrame({"text": TEXTS}), pd.DataFrame({"text": TEXTS, "id": 1}), [{"text": text} for text in TEXTS]]
    for given in inputs:
        answer = pyfunc.predict(given)
        assert list(answer.columns) == COLUMNS
        assert answer["predictedLabel"].tolist() == expected["predictedLabel"].tolist()
        assert np.allclose(np.stack(answer["probability"]), np.stack(expected["probability"]), atol=1e-5)
    assert [row["predictedLabel"] for row in rows] == expected["predictedLabel"].tolist()
    assert np.allclose(np.stack([row["probability"] for row in rows]), np.stack(expected["probability"]), atol=1e-5)
    assert pyfunc.predict(pd.DataFrame({"text": ["card", None, ""]}))["predictedLabel"].isna().tolist() == [False, True, True]
    leading = pyfunc.predict(pd.DataFrame({"name": TEXTS[::-1], "text": TEXTS}))
    assert leading["predictedLabel"].tolist() == expected["predictedLabel"].tolist()


def test_what_is_logged_holds_no_pickle_and_asks_for_no_spark(tracking, model):
    info = log_model(model)
    folder = mlflow.artifacts.download_artifacts(info.model_uri)
    files = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]
    pickles = (".pkl", ".pickle", ".pt", ".pyc", "pytorch_model.bin")  # openvino_model.bin holds plain numbers
    assert not [file for file in files if file.endswith(pickles)]
    requirements = Path(folder, "requirements.txt").read_text()
    assert "spark" not in requirements
    assert all("==" in line for line in requirements.splitlines())
    assert "openvino==" in requirements
    assert "torch" not in requirements  # the model is exported


def test_load_model_from_every_uri(tracking, model):
    with mlflow.start_run() as run:
        info = log_model(model, registered_model_name="topics")
    mlflow.MlflowClient().set_registered_model_alias("topics", "champion", 1)
    expected = model.predict(TEXTS)["prediction"].tolist()
    for uri in (info.model_uri, f"runs:/{run.info.run_id}/model", "models:/topics/1", "models:/topics@champion"):
        assert load_model(uri).predict(TEXTS)["prediction"].tolist() == expected
    with pytest.raises(InputError, match=r"a model in MLflow; found none at models:/topics/7"):
        load_model("models:/topics/7")
    with mlflow.start_run():
        other = mlflow.pyfunc.log_model(name="other", python_model=lambda model_input: model_input, input_example=["a"])
    with pytest.raises(InputError, match="a model that sparknlp_tx logged"):
        load_model(other.model_uri)


@pytest.mark.slow
def test_a_served_model_answers_over_http_without_pyspark(tracking, model, tmp_path):
    info = log_model(model)
    expected = model.predict(TEXTS)
    payloads = [
        {"inputs": TEXTS},
        {"dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]}},
        {"dataframe_records": [{"text": text} for text in TEXTS]},
    ]
    with served(info.model_uri, tmp_path) as post:
        for payload in payloads:
            answer = post(payload)[1]["predictions"]
            assert [row["predictedLabel"] for row in answer] == expected["predictedLabel"].tolist()
            probabilities = [row["probability"] for row in answer]
            assert np.allclose(probabilities, np.stack(expected["probability"]), atol=1e-5)


def test_mlflows_own_spark_flavour_and_autolog_take_our_stages(train_df, test_df, settings, tracking):
    import mlflow.pyspark.ml
    import mlflow.spark
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import SQLTransformer

    from sparknlp_tx import TransformerClassifier

    stages = [SQLTransformer(statement="SELECT * FROM __THIS__"), TransformerClassifier(**settings | {"numTrainEpochs": 1.0})]
    mlflow.pyspark.ml.autolog(log_models=False, silent=True)
    try:
        pipeline = Pipeline(stages=stages).fit(train_df)
    finally:
        mlflow.pyspark.ml.autolog(disable=True, silent=True)
    run = mlflow.search_runs(output_format="list")[0]
    assert run.data.params["TransformerClassifier.batchSize"] == "8"
    assert run.data.metrics["train.loss"] > 0
    with mlflow.start_run():
        logged = mlflow.spark.log_model(pipeline, "pipeline", pip_requirements=[])
    expected = [row["prediction"] for row in pipeline.transform(test_df).orderBy("id").collect()]
    loaded = mlflow.spark.load_model(logged.model_uri)
    assert [row["prediction"] for row in loaded.transform(test_df).orderBy("id").collect()] == expected
