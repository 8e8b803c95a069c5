"""The command line: `sparknlp-tx COMMAND`, its flags, and its commands.

The top of the package: imports all below, and only the scripts in `jobs/` import it.
"""
