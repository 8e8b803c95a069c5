"""Rule 1 and rule 4 of the house: who imports what, and that Spark is asked through its public DataFrame API alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def modules_after(statement: str) -> set[str]:
    """Top-level modules in a fresh process after a statement."""
    code = f"import sys\n{statement}\nprint(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import sparknlp_tx", {"torch", "transformers", "pyspark", "mlflow", "pandas"}),
        ("from sparknlp_tx import TransformerClassifier", {"torch", "transformers", "mlflow", "datasets", "sklearn"}),
        ("import sparknlp_tx.ml.params, sparknlp_tx.classification", {"torch", "transformers", "mlflow"}),
        ("from sparknlp_tx import InferenceEngine", {"pyspark", "mlflow", "torch", "transformers"}),
        (
            "import sparknlp_tx.inference.engine, sparknlp_tx.inference.backends.selection",
            {"pyspark", "mlflow", "torch", "transformers"},
        ),
        (
            "import sparknlp_tx.training.fine_tune, sparknlp_tx.training.trainer, sparknlp_tx.metrics.plots",
            {"pyspark", "mlflow"},
        ),
        (
            "from sparknlp_tx.inference.word_weights import explain_words",
            {"pyspark", "mlflow", "torch", "transformers", "pandas"},
        ),
        ("import sparknlp_tx.scoring.executor", {"pyspark", "mlflow", "torch", "transformers"}),
        (
            "import sparknlp_tx.inference.backends.openvino_runtime as r; r.import_openvino()",
            {"pyspark", "mlflow", "torch", "transformers"},
        ),
        (
            "from sparknlp_tx.cli.commands import evaluate, prepare, score, train",
            {"torch", "transformers", "mlflow"},
        ),
    ],
)
def test_an_import_loads_only_its_own_side(statement, absent):
    assert not modules_after(statement) & absent


def test_public_names_are_there_and_others_are_not():
    import sparknlp_tx

    for name in sparknlp_tx.__all__:
        assert getattr(sparknlp_tx, name) is not None
    assert set(sparknlp_tx.__all__) <= set(dir(sparknlp_tx))
    with pytest.raises(AttributeError, match="has no attribute 'Classifier'; it has InferenceEngine"):
        sparknlp_tx.Classifier  # noqa: B018


def test_spark_is_asked_through_its_public_dataframe_api():
    forbidden = re.compile(r"\.rdd\b|\.sparkContext\b|\b_jvm\b|\b_jsparkSession\b|\._jdf\b|\.toPandas\(|\.toArrow\(|py4j", re.I)
    for file in [*ROOT.glob("sparknlp_tx/**/*.py"), *ROOT.glob("jobs/*.py")]:
        found = forbidden.findall(file.read_text())
        assert not found, f"{file.name}: {found}"
