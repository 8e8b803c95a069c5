"""Scores of a DataFrame: the UDF, what runs inside an executor, counters.

Imported by `ml` and above; imports `data`, `spark`, `inference`.
"""
