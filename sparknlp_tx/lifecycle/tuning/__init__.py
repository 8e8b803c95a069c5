"""Tuning: the search space, the study in MLflow, its trials.

Imported by `cli` alone; imports what lies beside it in `lifecycle`, `tracking` and what is below.
"""
