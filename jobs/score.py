"""Score a Delta table with a model: Delta table in, Delta table out.

  spark-submit jobs/score.py --model models:/banking77@champion --input main.support.tickets --output main.support.scored
  python jobs/score.py --model demo/model --input demo/delta/test --output demo/delta/scored --keep-cols text label
  python jobs/score.py --model demo/model --input demo/delta/test --explain

MODEL is a model directory, runs:/RUN/model, models:/name/version or models:/name@alias. The output has the input's columns
(those of --keep-cols) and rawPrediction, probability, prediction, predictedLabel; it appears in one transaction. Params of the
model can be set for this run by flags in kebab-case. The last line of standard output is a JSON object with the results: rows,
seconds, and under "metrics" rows and tokens a second, padding, duplicates, models loaded and where the time went; with --experiment
they are logged to MLflow, too. --explain says beforehand, and writes nothing: devices, engine, memory, lengths, duration, advice.
"""

import sys

from sparknlp_tx import cli
from sparknlp_tx.jobs.score import score, score_parser


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns the exit code."""
    return cli.run_job(score, score_parser(__doc__), argv)


if __name__ == "__main__":
    sys.exit(main())
