"""Scored rows to metrics, and baselines to compare with.

Imported by `ml` and above; imports `data`, `spark`, `metrics`, `inference`. Beside `scoring`: neither imports the other.
"""
