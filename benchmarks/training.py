"""Training time and accuracy beside the plain Hugging Face Trainer with the same settings, on the same rows, in one run.

  python benchmarks/training.py --data banking77-folder --checkpoint FOLDER [--epochs 3] [--rounds 1]

Ways, each in a process of its own, in turn:
  plain              transformers.Trainer as in its documentation: dynamic padding, grouped by length, float32
  padded             the same with every text padded to 128 tokens, as published notebooks do; an epoch's part is run, the seconds
                     are those of all epochs at its rate
  ours, float32      TransformerClassifier over a Spark DataFrame, bf16 off, one learning rate; staging included
  ours               TransformerClassifier with its defaults (bfloat16 where native, the head at a rate of its own); staging included
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

RATE, BATCH, WARMUP, SEED, LENGTH = 3e-4, 32, 50, 42, 256
PADDED_LENGTH, PADDED_ROWS = 128, 640


def plain(data: Path, checkpoint: str, epochs: float, padded: bool = False) -> dict:
    """The Trainer as its documentation has it; `padded`: every text to 128 tokens."""
    import datasets
    import pandas as pd
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    frames = {split: pd.read_parquet(data / f"{split}.parquet") for split in ("train", "test")}
    padding = {"padding": "max_length", "max_length": PADDED_LENGTH} if padded else {"max_length": LENGTH}
    rows_of_all = len(frames["train"]) * epochs
    if padded:
        frames["train"], epochs = frames["train"].sample(PADDED_ROWS, random_state=SEED), 1
    begin = time.monotonic()
    labels = sorted(frames["train"]["label"].unique())
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)

    def rows(frame):
        table = {"text": frame["text"].tolist(), "label": [labels.index(label) for label in frame["label"]]}
        encoded = datasets.Dataset.from_dict(table).map(
            lambda batch: tokenizer(batch["text"], truncation=True, **padding), batched=True, remove_columns="text"
        )
        return encoded.add_column("length", [len(ids) for ids in encoded["input_ids"]])

    args = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        learning_rate=RATE,
        per_device_train_batch_size=BATCH,
        num_train_epochs=epochs,
        warmup_steps=WARMUP,
        seed=SEED,
        train_sampling_strategy="group_by_length",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=len(labels))
    trainer = Trainer(
        model=model, args=args, train_dataset=rows(frames["train"]), data_collator=DataCollatorWithPadding(tokenizer)
    )
    before = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - begin
    if padded:
        return {"seconds": before - begin + (time.monotonic() - before) / PADDED_ROWS * rows_of_all, "accuracy": float("nan")}
    predicted = trainer.predict(rows(frames["test"]))
    return {"seconds": seconds, "accuracy": float((predicted.predictions.argmax(-1) == predicted.label_ids).mean())}


def ours(data: Path, checkpoint: str, epochs: float, exact: bool) -> dict:
    """The estimator; `exact`: float32, and one learning rate."""
    import datasets  # noqa: F401  imported before the clock starts, as for the plain Trainer
    from transformers import Trainer  # noqa: F401

    from sparknlp_tx import TransformerClassifier, local_session

    spark = local_session(master="local[2]")
    train, test = (spark.read.parquet(str(data / f"{split}.parquet")) for split in ("train", "test"))
    train.count()
    begin = time.monotonic()
    estimator = TransformerClassifier(
        checkpoint=checkpoint, learningRate=RATE, batchSize=BATCH, numTrainEpochs=epochs, seed=SEED
    )
    estimator.setMaxLength(LENGTH).setTrainingArgs({"warmup_steps": WARMUP} | ({"bf16": False} if exact else {}))
    if exact:
        estimator.setHeadLearningRate(RATE)
    model = estimator.fit(train)
    seconds = time.monotonic() - begin
    print(f"of {seconds:.0f} s the Trainer took {model.summary.trainSeconds:.0f} s", file=sys.stderr)
    return {"seconds": seconds, "accuracy": model.evaluate(test)["accuracy"]}


WAYS = {
    "plain": plain,
    "padded": lambda *args: plain(*args, padded=True),
    "ours, float32": lambda *args: ours(*args, exact=True),
    "ours": lambda *args: ours(*args, exact=False),
}


def main() -> None:
    """Run the benchmark, or with --way one way of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--way", choices=WAYS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(WAYS[options.way](options.data, options.checkpoint, options.epochs)))
        return
    results: dict[str, list[dict]] = {way: [] for way in options.ways}
    for _ in range(options.rounds):
        for way in options.ways:
            answer = subprocess.run([sys.executable, *sys.argv, "--way", way], stdout=subprocess.PIPE, text=True, check=True)
            results[way].append(json.loads(answer.stdout.splitlines()[-1]))
    base = median(result["seconds"] for result in results["plain"])
    print("| way | seconds | ratio to plain | test accuracy |\n| --- | ---: | ---: | ---: |")
    for way, found in results.items():
        seconds = median(result["seconds"] for result in found)
        print(f"| {way} | {seconds:.0f} | {seconds / base:.2f} | {median(result['accuracy'] for result in found):.2%} |")


if __name__ == "__main__":
    main()
