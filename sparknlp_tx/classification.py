"""The public path of the Spark ML stages: saved models and pipelines name it, whatever the rooms of this package are called."""

from sparknlp_tx.ml.estimator import TransformerClassifier
from sparknlp_tx.ml.model import TransformerClassificationModel

__all__ = ["TransformerClassificationModel", "TransformerClassifier"]
