"""Promotion and rollback: which version is the champion; the log that is a lock.

Imported by `cli` alone; imports `lifecycle.gating`, `tracking` and what is below.
"""
