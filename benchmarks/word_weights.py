"""Word weights: whether a planted word leads, how long a 300-word text takes, and what is lost where not every word is left out.

  python benchmarks/word_weights.py --checkpoint CHECKPOINT --input FILE.parquet [--model MODEL_DIR]

Three labels are planted: each has a word of its own in rows made of the input's texts, and a fourth label has none; the checkpoint is
fine-tuned on 900 such rows. Times are of one text at a time on all cores, explaining and scoring in turn. With a model of the input's own
task, long texts are also explained in full, each word left out of the whole text, and the quick way is compared with that.
"""

import argparse
import os
import platform
import random
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from sparknlp_tx import InferenceEngine, TransformerClassificationModel, TransformerClassifier, local_session
from sparknlp_tx.inference.decision_rules import DecisionRule, decision_rule
from sparknlp_tx.inference.word_weights import weigh_words

PLANTED = {"weather": "umbrella", "music": "violin", "sea": "harbour"}
LONG = 300
Rows = list[tuple[str, str]]


def planted_rows(texts: list[str], number: int, words: list[int], labels: list[str], seed: int) -> Rows:
    """(text, label) rows: so many words of a text, and among them the label's own, where it has one."""
    draw = random.Random(seed)
    rows = []
    while len(rows) < number:
        length, label = draw.choice(words), draw.choice(labels)
        found = draw.choice(texts).split()[: length - 1]
        if len(found) < length - 1 or set(PLANTED.values()) & {word.lower().strip(".,!?\"'") for word in found}:
            continue
        found.insert(draw.randrange(length), PLANTED.get(label, "the"))
        rows.append((" ".join(found), label))
    return rows


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def planted(engine: InferenceEngine, decision: DecisionRule, texts: list[str]) -> None:
    """In how many rows the planted word leads."""
    for title, number, words in (("5 to 60 words", 200, [5, 10, 20, 40, 60]), (f"{LONG} words", 60, [LONG])):
        rows = planted_rows(texts, number, words, list(PLANTED), seed=1)
        found = list(weigh_words(engine, decision, [text for text, _ in rows]))
        led = [one.leading(1)[0].text == PLANTED[label] for one, (_, label) in zip(found, rows, strict=True)]
        right = np.mean([one.label == label for one, (_, label) in zip(found, rows, strict=True)])
        print(f"rows of {title}: the planted word leads in {np.mean(led):.1%} of {number}; {right:.1%} have their label")


def ratio(engine: InferenceEngine, decision: DecisionRule, texts: list[str], rounds: int) -> None:
    """What explaining a long text takes, in scorings of it."""
    found = []
    for text, _ in planted_rows(texts, rounds + 2, [LONG], list(PLANTED), seed=2):
        times = []
        for run in (
            lambda text=text: engine.predict_logits([text]),
            lambda text=text: list(weigh_words(engine, decision, [text])),
        ):
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
        found.append(times)
    found = found[2:]  # the first warm up
    ratios = sorted(explained / scored for scored, explained in found)
    scored, explained = (1000 * median(times) for times in zip(*found, strict=True))
    print(
        f"a text of {LONG} words: {explained:.0f} ms to explain, {scored:.1f} ms to score, ratio {median(ratios):.1f} "
        f"({ratios[0]:.1f} to {ratios[-1]:.1f} in {len(ratios)} texts), {engine.backend.precision}"
    )


def against_full(path: str, texts: list[str], number: int) -> None:
    """How the quick way's leading words compare with those of leaving each word out, in float32."""
    model = TransformerClassificationModel.load(path)
    engine, decision = InferenceEngine.from_pretrained(model.directory, "cpu", "float32", 512), model.decision
    long = [text for text in texts if 200 <= len(text.split()) <= 350][:number]
    full = list(weigh_words(engine, decision, long, exact_words=1000))
    quick = list(weigh_words(engine, decision, long))
    same, share, top = [], [], []
    for all_words, some in zip(full, quick, strict=True):
        weights = np.array([word.weight for word in all_words.words])
        guesses = np.array([word.weight for word in some.words])
        same.append(weights.argmax() == guesses.argmax())
        share.append(weights[guesses.argmax()] / weights.max())
        top.append(len({*np.argsort(-np.abs(weights))[:5]} & {*np.argsort(-np.abs(guesses))[:10]}) / 5)
    print(
        f"{len(long)} texts of 200 to 350 words, against leaving out each word: the same word speaks most for the label in "
        f"{np.mean(same):.0%}; the word found has {np.mean(share):.0%} of the largest weight on average; "
        f"of the five that weigh most {np.mean(top):.0%} are among the ten found"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--input", required=True, type=Path)
    parser.add_argument("--model", help="a saved model of the input's own task")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--texts", type=int, default=40)
    options = parser.parse_args()
    texts = pd.read_parquet(options.input)["text"].tolist()
    rows = planted_rows(texts, 900, [5, 10, 20, 40, 60, 60, LONG], [*PLANTED, "none"], seed=0)
    spark = local_session()
    estimator = TransformerClassifier(
        checkpoint=options.checkpoint, maxLength=512, numTrainEpochs=3.0, learningRate=1e-4, seed=1
    )
    model = estimator.fit(spark.createDataFrame(rows, "text string, label string"))
    model.predict(["a text"])  # exports it
    spark.stop()
    print(processor())
    engine = InferenceEngine.from_pretrained(model.directory, "cpu", "auto", 512)
    decision = decision_rule(*engine.config)
    planted(engine, decision, texts)
    ratio(engine, decision, texts, options.rounds)
    if options.model:
        against_full(options.model, texts, options.texts)


if __name__ == "__main__":
    main()
