"""Write a text corpus as Delta tables: train, validation, test, labels; with a profile of what they hold.

  spark-submit jobs/prepare.py --source banking77 --output main.support
  python jobs/prepare.py --source docstrings --output demo/delta
  python jobs/prepare.py --source ./tickets --output data/tickets --text-col body --label-col queue
  python jobs/prepare.py --source banking77 --path ./banking77 --output data/banking77

SOURCE is one of
  docstrings                      the docstrings of installed libraries, labelled by library; needs no download
  a known name                    imdb, banking77, tweet_emotions, sms_spam, amazon_polarity, glue/TASK (cola, sst2, mrpc, qqp,
                                  stsb, mnli, qnli, rte, wnli, ax): from the Hugging Face hub, or from files with --path
  a file or a folder              csv, tsv, json lines, parquet; files named by split are splits
  a Delta table                   a folder, or [catalog.][schema.]table
  org/name                        any Parquet-backed data set on the Hugging Face hub

OUTPUT with a / is a folder (OUTPUT/train, ...); otherwise a schema (OUTPUT.NAME_train, ...). The tables have the columns text,
label and, for sentence pairs, text_pair. Splits that exist are kept; a missing validation or test split is carved out of train:
10 %, stratified, by the seed. Rows are shuffled. The last line of standard output is a JSON object with the results.
"""

import sys

from sparknlp_tx import cli
from sparknlp_tx.jobs.prepare import prepare, prepare_parser


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns the exit code."""
    return cli.run_job(prepare, prepare_parser(__doc__), argv)


if __name__ == "__main__":
    sys.exit(main())
