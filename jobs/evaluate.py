"""Evaluate a model on a labelled Delta table, and see what fine-tuning has bought.

  python jobs/evaluate.py --model models:/tickets/1 --input data/tickets/test
  python jobs/evaluate.py --model demo/model --input demo/delta/test --tfidf demo/delta/train
  python jobs/evaluate.py --model demo/model --input demo/delta/test --zero-shot facebook/bart-large-mnli

MODEL is a model directory, runs:/RUN/model, models:/name/version or models:/name@alias. --tfidf TABLE fits TF-IDF and a linear model
on that table and measures it on the same rows; --zero-shot CHECKPOINT asks a model for natural language inference, without any
training, about some of them; --pictures FOLDER draws what the model gets right and wrong. The last line of standard output is a
JSON object with all metrics.
"""

import sys

from sparknlp_tx import cli
from sparknlp_tx.jobs.evaluate import evaluate_job, evaluate_parser


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns the exit code."""
    return cli.run_job(evaluate_job, evaluate_parser(__doc__), argv)


if __name__ == "__main__":
    sys.exit(main())
