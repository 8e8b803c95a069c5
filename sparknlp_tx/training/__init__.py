"""Fine-tuning with the Hugging Face `Trainer`. Knows neither Spark nor MLflow.

Imported by `spark` and above; imports `metrics` and `inference`.
"""
