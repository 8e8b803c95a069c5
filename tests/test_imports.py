"""What an import loads, in fresh processes, module by module; `test_layers.py` has the layers as a whole."""

from test_layers import modules_after


def test_our_two_stages_load_neither_torch_nor_what_only_a_fit_needs():
    loaded = modules_after("from sparknlp_tx import TransformerClassifier, TransformerClassificationModel")
    assert "pyspark" in loaded
    assert not loaded & {
        "torch",
        "transformers",
        "tokenizers",
        "datasets",
        "accelerate",
        "scipy",
        "sklearn",
        "openvino",
        "mlflow",
    }
