"""Fine-tune a Hugging Face model on a Delta table; save it, evaluate it, log it to MLflow.

  spark-submit jobs/train.py --train main.support.tickets_train --validation main.support.tickets_validation \\
      --test main.support.tickets_test --checkpoint distilbert-base-uncased --model-dir /Volumes/main/support/models/tickets
  python jobs/train.py --train demo/delta/train --model-dir my-model --checkpoint ./my-bert \\
      --num-train-epochs 3 --learning-rate 3e-4 --warmup-steps 50

Every Param of TransformerClassifier is a flag in kebab-case; any other flag is a field of transformers.TrainingArguments. MLflow
is reached as its own variables say (MLFLOW_TRACKING_URI, ...). The last line of standard output is a JSON object with the
results: where the model lies, the MLflow run, metrics, seconds.
"""

import sys

from sparknlp_tx import cli
from sparknlp_tx.jobs.train import train, train_parser


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns the exit code."""
    return cli.run_job(train, train_parser(__doc__), argv)


if __name__ == "__main__":
    sys.exit(main())
