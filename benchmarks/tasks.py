"""Every kind of task beside the plain Hugging Face Trainer and a TF-IDF baseline, on the same rows, in one run.

  python benchmarks/tasks.py --data FOLDER --checkpoint FOLDER [--sets banking77 glue_stsb ...] [--seeds 42]

FOLDER has `<set>/{train,validation,test}.parquet`. Each way runs in a process of its own, in turn, with nothing set but the
checkpoint, the epochs, the longest sequence and the seed:
  plain    transformers.Trainer as its documentation has it: float32, dynamic padding, grouped by length, learning rate 5e-5
  ours     TransformerClassifier over a Spark DataFrame; imports, Spark's start and staging count
  tf-idf   baselines.tfidf_baseline: words, logistic or linear regression
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import pandas as pd


class Set(NamedTuple):
    """Columns, the longest sequence, epochs, the metric to compare, how many rows to take."""

    label: str
    epochs: float
    metric: str
    text: str = "text"
    pair: str | None = None
    test: str = "test"
    rows: int | None = None
    max_length: int = 256


SETS = {
    "banking77": Set("label", 1, "accuracy"),
    "sms_spam": Set("label", 1, "macro_f1"),
    "imdb": Set("label", 1, "accuracy", rows=2_000, max_length=128),
    "semeval2018_ec_en": Set("labels", 3, "micro_f1"),
    "glue_sst2": Set("label", 1, "accuracy", text="sentence", test="validation", rows=5_000),
    "glue_mrpc": Set("label", 2, "accuracy", text="sentence1", pair="sentence2"),
    "glue_stsb": Set("label", 2, "spearman", text="sentence1", pair="sentence2"),
}


def frames(options: argparse.Namespace, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows: text, pair where there is one, label."""
    about = SETS[name]
    columns = {about.text: "text", **({about.pair: "pair"} if about.pair else {}), about.label: "label"}
    found = []
    for split in ("train", about.test):
        frame = pd.read_parquet(options.data / name / f"{split}.parquet").rename(columns=columns)[list(columns.values())]
        if about.rows and len(frame) > about.rows:
            frame = frame.sample(about.rows, random_state=0)
        found.append(frame.reset_index(drop=True))
    return found[0], found[1]


def plain(options: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """The Trainer as its documentation has it."""
    begin = time.monotonic()
    import datasets
    import numpy as np
    import transformers

    from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, SINGLE, decision_rule
    from sparknlp_tx.metrics.compute import metrics_of

    about, (train, test) = SETS[name], frames(options, name)
    example = train["label"].iloc[0]
    kind = MULTI if not np.isscalar(example) else REGRESSION if isinstance(example, float) else SINGLE
    labels = [] if kind == REGRESSION else sorted(train["label"].explode().dropna().unique())
    index = {label: n for n, label in enumerate(labels)}
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.checkpoint)

    def number(label: Any) -> Any:
        if kind == MULTI:
            return [float(name in label) for name in labels]
        return float(label) if kind == REGRESSION else index[label]

    def rows(frame: pd.DataFrame) -> Any:
        texts = [frame[column].tolist() for column in ("text", "pair") if column in frame]
        encoded = tokenizer(*texts, truncation=True, max_length=about.max_length)
        table = dict(encoded) | {"labels": [number(label) for label in frame["label"]]}
        return datasets.Dataset.from_dict(table | {"length": [len(ids) for ids in encoded["input_ids"]]})

    args = transformers.TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        num_train_epochs=about.epochs,
        per_device_train_batch_size=32,
        seed=seed,
        train_sampling_strategy="group_by_length",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        options.checkpoint, num_labels=max(1, len(labels)), problem_type=kind
    )
    trainer = transformers.Trainer(
        model=model, args=args, train_dataset=rows(train), data_collator=transformers.DataCollatorWithPadding(tokenizer)
    )
    trainer.train()
    seconds = time.monotonic() - begin
    predicted = trainer.predict(rows(test))
    return {"seconds": seconds} | metrics_of(decision_rule(kind, labels), predicted.predictions, predicted.label_ids)


def spark_frames(options: argparse.Namespace, name: str) -> tuple[Any, Any, Any]:
    """A session, and both frames in it."""
    from sparknlp_tx import local_session

    spark = local_session(master="local[2]")
    folder = Path(tempfile.mkdtemp())
    for split, frame in zip(("train", "test"), frames(options, name), strict=True):
        frame.to_parquet(folder / f"{split}.parquet")
    return spark, spark.read.parquet(str(folder / "train.parquet")), spark.read.parquet(str(folder / "test.parquet"))


def ours(options: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """The estimator with its defaults."""
    begin = time.monotonic()
    from sparknlp_tx import TransformerClassifier

    about = SETS[name]
    _spark, train, test = spark_frames(options, name)
    estimator = TransformerClassifier(checkpoint=options.checkpoint, numTrainEpochs=about.epochs, seed=seed)
    estimator.setMaxLength(about.max_length)
    if about.pair:
        estimator.setTextPairCol("pair")
    if train.schema["label"].dataType.typeName() == "double":
        estimator.setProblemType("regression")
    model = estimator.fit(train)
    return {"seconds": time.monotonic() - begin} | model.evaluate(test)


def tfidf(options: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """Words and a linear model."""
    begin = time.monotonic()
    from sparknlp_tx.data.label_columns import problem_type_of
    from sparknlp_tx.data.training_rows import TrainingColumns
    from sparknlp_tx.evaluation.baselines import tfidf_baseline
    from sparknlp_tx.inference.decision_rules import decision_rule

    _spark, train, test = spark_frames(options, name)
    asked = "regression" if train.schema["label"].dataType.typeName() == "double" else "auto"
    kind = problem_type_of(train, "label", asked)
    labels = TrainingColumns("text", "label", problem_type=kind).learn_labels(train).labels
    texts = ("text", "pair") if SETS[name].pair else ("text",)
    found = tfidf_baseline(train, test, decision_rule(kind, labels), texts, "label")
    return {"seconds": time.monotonic() - begin} | found


WAYS = {"plain": plain, "ours": ours, "tf-idf": tfidf}


def main() -> None:
    """Run the benchmark, or with --way one way of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42])
    parser.add_argument("--way", choices=WAYS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(WAYS[options.way](options, options.sets[0], options.seeds[0])))
        return
    print("| data set | metric | epochs | plain Trainer | ours | TF-IDF | seconds plain | seconds ours |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in options.sets:
        found: dict[str, list[dict]] = {way: [] for way in WAYS}
        for seed in options.seeds:
            for way in WAYS if seed == options.seeds[0] else ("plain", "ours"):
                own = ["--data", options.data, "--checkpoint", options.checkpoint, "--sets", name, "--seeds", seed]
                command = [sys.executable, __file__, "--way", way, *map(str, own)]
                answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found[way].append(json.loads(answer.stdout.splitlines()[-1]))
        about = SETS[name]
        values = {way: [result[about.metric] for result in results] for way, results in found.items()}
        shown = {
            way: f"{mean(v):.3f}" + (f" ({min(v):.3f} to {max(v):.3f})" if len(v) > 1 else "") for way, v in values.items()
        }
        seconds = {way: mean(result["seconds"] for result in results) for way, results in found.items()}
        print(
            f"| {name} | {about.metric} | {about.epochs} | {shown['plain']} | {shown['ours']} | {shown['tf-idf']} "
            f"| {seconds['plain']:.0f} | {seconds['ours']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
