"""`sparknlp-tx deploy` as a script, for spark-submit; `--help` tells what it does, and its flags."""

import sys

from sparknlp_tx.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["deploy", *sys.argv[1:]]))
