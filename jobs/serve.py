"""`sparknlp-tx serve` as a script; `--help` tells what it does, and its flags."""

import sys

from sparknlp_tx.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
