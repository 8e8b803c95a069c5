"""Texts and labels: from files and tables to tokens on the driver's disk.

Imported by `scoring`, `evaluation` and above; imports `spark`, `training` and what is below.
"""
