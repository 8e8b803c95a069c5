"""Labels and logits to figures and pictures. Knows neither Spark nor MLflow.

Imported by `training` and above; imports `inference`.
"""
