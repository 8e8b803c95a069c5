"""Scoring beside the usual ways on Spark: the same rows, in one run, in turn; loading the model included.

  python benchmarks/scoring.py --model MODEL_DIR --input FILE.parquet [--rounds 3] [--rows N] [--partitions 2]
      [--max-length 256] [--duplicates] [--ways ours "ours int8" pipeline ...]

Every run starts fresh Python workers, as a nightly job does. Ways:
  ours, ours float32, ours int8      model.transform with precision auto, float32, int8
  pipeline                           transformers.pipeline in a pandas UDF, batch_size=32
  mlflow                             mlflow.pyfunc.spark_udf of the transformers flavour
  predict_batch_udf                  pyspark.ml.functions.predict_batch_udf around transformers
Prints rows/s, the ratio to the fastest usual way with its spread over the rounds, and how many labels equal float32's.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
from pyspark.sql import functions as F

from sparknlp_tx import TransformerClassificationModel, local_session

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
USUAL = ("pipeline", "mlflow", "predict_batch_udf")


def ours(spark: Any, df: Any, model: Any, options: Any, precision: str) -> Any:
    """This library."""
    return model.copy({model.precision: precision}).transform(df).select("text", F.col("predictedLabel").alias("found"))


def pipeline_udf(spark: Any, df: Any, model: Any, options: Any) -> Any:
    """What tutorials show: a pipeline loaded once a task, in an iterator pandas UDF."""
    path, length = str(model.directory), options.max_length

    @F.pandas_udf("string")
    def classify(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        from transformers import pipeline

        classifier = pipeline("text-classification", model=path)
        for batch in batches:
            answers = classifier(batch.tolist(), batch_size=32, truncation=True, max_length=length)
            yield pd.Series([answer["label"] for answer in answers])

    return df.select("text", classify("text").alias("found"))


def mlflow_udf(spark: Any, df: Any, model: Any, options: Any) -> Any:
    """MLflow's own way: the transformers flavour as a Spark UDF."""
    import mlflow
    from mlflow.models import infer_signature
    from transformers import pipeline

    path = tempfile.mkdtemp() + "/model"
    classifier = pipeline("text-classification", model=str(model.directory))
    signature = infer_signature(["a"], pd.DataFrame({"label": ["a"], "score": [0.5]}), {"batch_size": 32})
    mlflow.transformers.save_model(classifier, path, signature=signature, pip_requirements=["transformers"])
    udf = mlflow.pyfunc.spark_udf(
        spark, path, env_manager="local", result_type="label string, score double", params={"batch_size": 32}
    )
    return df.select("text", udf("text")["label"].alias("found"))


def batch_udf(spark: Any, df: Any, model: Any, options: Any) -> Any:
    """Spark ML's own way: predict_batch_udf."""
    from pyspark.ml.functions import predict_batch_udf

    path, length, labels = str(model.directory), options.max_length, list(model.labels)

    def make():
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(path)
        classifier = AutoModelForSequenceClassification.from_pretrained(path).eval()

        def predict(texts):
            inputs = tokenizer(
                [str(text) for text in texts], padding=True, truncation=True, max_length=length, return_tensors="pt"
            )
            with torch.inference_mode():
                return classifier(**inputs).logits.argmax(-1).numpy().astype("int32")

        return predict

    from pyspark.sql.types import IntegerType

    index = predict_batch_udf(make, return_type=IntegerType(), batch_size=32)("text")
    return df.select("text", F.array(*map(F.lit, labels))[index].alias("found"))


WAYS = {
    "ours": partial(ours, precision="auto"),
    "ours float32": partial(ours, precision="float32"),
    "ours int8": partial(ours, precision="int8"),
    "pipeline": pipeline_udf,
    "mlflow": mlflow_udf,
    "predict_batch_udf": batch_udf,
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", required=True, type=Path)
    parser.add_argument("--calibration", type=Path, help="Parquet file for int8; default train.parquet beside the input")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--duplicates", action="store_true", help="every text twice, half of them")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    spark = local_session(master="local[2]", conf={"spark.python.worker.reuse": "false"})
    model = TransformerClassificationModel.load(options.model).setMaxLength(options.max_length)
    table = pd.read_parquet(options.input)[["text"]]
    table = table.head(options.rows) if options.rows else table
    if options.duplicates:
        half = table.head(len(table) // 2)
        table = pd.concat([half, half])
    df = spark.createDataFrame(table).repartition(options.partitions).localCheckpoint()
    model.predict(["a"])  # exports the model where that was not done
    if "ours int8" in options.ways:
        calibration = options.calibration or options.input.with_name("train.parquet")
        model = model.quantize(spark.read.parquet(str(calibration)))
        print("int8:", {name: round(value, 4) for name, value in model.summary["int8"].items() if value is not None})
    expected = pd.Series(
        model.copy({model.precision: "float32"}).predict(table["text"].tolist())["predictedLabel"].tolist(), table["text"]
    ).to_dict()
    plans = {way: WAYS[way](spark, df, model, options) for way in options.ways}
    rates: dict[str, list[float]] = {way: [] for way in plans}
    equal = {}
    for way, plan in plans.items():
        found = plan.collect()
        assert len(found) == len(table), way
        equal[way] = sum(expected[row["text"]] == row["found"] for row in found) / len(found)
    for _ in range(options.rounds):
        for way, plan in plans.items():
            begin = time.monotonic()
            plan.write.format("noop").mode("overwrite").save()
            rates[way].append(len(table) / (time.monotonic() - begin))
    usual = [way for way in USUAL if way in rates]
    base = max(usual, key=lambda way: median(rates[way])) if usual else next(iter(rates))
    print(f"{len(table):,} rows, {options.partitions} partitions, at most {options.max_length} tokens, {options.rounds} rounds")
    print(f"| way | rows/s | ratio to {base} | labels equal to float32 |\n| --- | ---: | ---: | ---: |")
    for way, found in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(found, rates[base], strict=True)]
        print(
            f"| {way} | {median(found):,.0f} | {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {equal[way]:.2%} |"
        )
    spark.stop()


if __name__ == "__main__":
    main()
