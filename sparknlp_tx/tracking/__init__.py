"""MLflow: runs of commands, models logged and loaded, the served pyfunc.

Imported by `lifecycle` and `cli`, and lazily by the package for `load_model` and `log_model`; imports `ml` and what is below.
"""
