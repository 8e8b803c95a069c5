"""Score a Delta table with a model: Delta table in, Delta table out.

  spark-submit jobs/score.py --model models:/banking77@champion --input main.support.tickets --output main.support.scored
  python jobs/score.py --model demo/model --input demo/delta/test --output demo/delta/scored --keep-cols text label

MODEL is a model directory, runs:/RUN/model, models:/name/version or models:/name@alias. The output has the input's columns
(those of --keep-cols) and rawPrediction, probability, prediction, predictedLabel; it appears in one transaction. Params of the
model can be set for this run by flags in kebab-case. The last line of standard output is a JSON object with the results.
"""

import sys

from sparknlp_tx import cli, jobs


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns the exit code."""
    return cli.run_job(jobs.score, jobs.score_parser(__doc__), argv)


if __name__ == "__main__":
    sys.exit(main())
