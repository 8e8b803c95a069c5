"""Texts to logits to predictions, from a model directory. Knows neither Spark nor MLflow; torch only in its torch backend.

Imported by everything above; imports the ground alone: `files`, `progress`, `errors`, `version`.
"""
