"""The engine on a GPU, without Spark, beside transformers' own pipeline in the same precision; random weights, BERT-base's size.

  python benchmarks/gpu.py [--device cuda:0] [--precision bfloat16] [--rows 50000] [--tokens 128] [--rounds 3]
      [--layers 12] [--hidden 768]

Every text fills `--tokens` tokens. Prints rows/s of both, the ratio with its spread, and the engine's share of the rate that the
same device reaches in one large multiplication of matrices. With `--device cpu` and small sizes it runs anywhere.
"""

import argparse
import random
import tempfile
import time
from statistics import median

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from sparknlp_tx import InferenceEngine
from sparknlp_tx.testing import make_checkpoint
from sparknlp_tx.training.checkpoint import load_classifier
from sparknlp_tx.training.settings import TrainingSettings
from sparknlp_tx.training.tokenizer import save_tokenizer


def make_model(options: argparse.Namespace, texts: list[str]) -> str:
    """A classifier of four labels with random weights; returns its folder."""
    checkpoint, folder = tempfile.mkdtemp(), tempfile.mkdtemp()
    make_checkpoint(
        texts, checkpoint, hidden_size=options.hidden, num_hidden_layers=options.layers, max_length=max(options.tokens, 512)
    )
    encoder = save_tokenizer(checkpoint, options.tokens, folder)
    settings = TrainingSettings(checkpoint, list("abcd"), options.tokens, 32, 1e-4, 1e-4, 1e-4, 1.0, 0)
    load_classifier(settings, encoder).save_pretrained(folder)
    return folder


def matrix_rate(device: str, precision: str) -> float:
    """TFLOP/s of one large multiplication, the best of 20."""
    size = 8192 if device != "cpu" else 2048
    a, b = (torch.randn(size, size, device=device, dtype=getattr(torch, precision)) for _ in range(2))
    best = 1e9
    for _ in range(20):
        synchronize(device)
        begin = time.perf_counter()
        a @ b
        synchronize(device)
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best / 1e12


def synchronize(device: str) -> None:
    """Wait for a GPU."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768)
    options = parser.parse_args()
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(5_000)]
    texts = [" ".join(draw.choices(words, k=options.tokens)) for _ in range(options.rows)]
    path = make_model(options, texts[:2_000])
    engine = InferenceEngine.from_pretrained(path, options.device, options.precision, options.tokens)
    engine.rescoring = ()  # a GPU has none; a CPU would look at all that random weights say, in float32
    dtype = getattr(torch, options.precision)
    model = AutoModelForSequenceClassification.from_pretrained(path, dtype=dtype)
    usual = pipeline("text-classification", model, tokenizer=AutoTokenizer.from_pretrained(path), device=options.device)
    few = texts[: max(256, options.rows // 10)]  # the pipeline's rate does not hang on how many there are

    def ours() -> float:
        begin = time.perf_counter()
        engine.predict_logits(texts)
        return len(texts) / (time.perf_counter() - begin)

    def theirs() -> float:
        begin = time.perf_counter()
        usual(few, batch_size=32, truncation=True, max_length=options.tokens)
        return len(few) / (time.perf_counter() - begin)

    engine.predict_logits(few)
    usual(few[:64], batch_size=32)
    rates = [(ours(), theirs()) for _ in range(options.rounds)]
    ratios = [a / b for a, b in rates]
    best, peak = median(a for a, _ in rates), matrix_rate(options.device, options.precision)
    logits = engine.predict_logits(few[:64])
    with torch.inference_mode():
        tokens = AutoTokenizer.from_pretrained(path)(
            few[:64], return_tensors="pt", truncation=True, max_length=options.tokens, padding=True
        )
        error = np.abs(model(**tokens.to(model.device)).logits.float().cpu().numpy() - logits).max()
    flops = options.layers * (24 * options.hidden**2 * options.tokens + 4 * options.hidden * options.tokens**2)
    stats = engine.take_stats()
    print(f"{options.device}, {options.precision}, {options.layers} layers of {options.hidden}, {options.tokens} tokens")
    print(f"engine {best:,.0f} rows/s, pipeline {median(b for _, b in rates):,.0f} rows/s")
    print(f"ratio {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); largest difference of a logit {error:.4f}")
    print(f"{best * flops / 1e12:.2f} TFLOP/s of the {peak:.2f} of a matrix multiplication: {best * flops / 1e12 / peak:.0%}")
    print(f"tokenising {stats.tokenise_seconds:.1f} s, running {stats.run_seconds:.1f} s, all rounds together")


if __name__ == "__main__":
    main()
