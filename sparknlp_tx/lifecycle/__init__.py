"""What happens to a model after its training: tuned, compared, gated, promoted, rolled back.

Imported by `cli` alone; imports `tracking`, `ml` and what is below.
"""
