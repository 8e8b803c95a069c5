"""Make the fixture of today's format, before a release changes it: `python tests/formats/make.py` writes `tests/formats/N/`.

An estimator and a model, as small as models are: they have to load in every later version, and to score as they did.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from sparknlp_tx import TransformerClassifier, local_session
from sparknlp_tx.inference.model_directory import FORMAT_VERSION
from sparknlp_tx.testing import make_checkpoint

TEXTS = ["my card was stolen", "what is the exchange rate"]


def main() -> None:
    """Write the fixture."""
    sys.modules["openvino"] = None  # the export is made again where it is wanted
    folder = Path(__file__).parent / str(FORMAT_VERSION)
    shutil.rmtree(folder, ignore_errors=True)
    spark = local_session(master="local[1]")
    checkpoint = make_checkpoint(
        TEXTS * 2, tempfile.mkdtemp(), vocab_size=60, hidden_size=8, num_hidden_layers=1, max_length=32
    )
    estimator = TransformerClassifier(checkpoint="a-checkpoint", textCol="body", numTrainEpochs=2.0, thresholds=[0.3, 0.7])
    rows = spark.createDataFrame([(TEXTS[0], "card"), (TEXTS[1], "rate")] * 4, "body string, label string")
    model = estimator.copy({estimator.checkpoint: checkpoint, estimator.precision: "float32"}).fit(rows)
    model.summary["training_args"] = {}  # they name folders of this machine
    estimator.save(str(folder / "estimator"))
    model.setCheckpoint("a-checkpoint").save(str(folder / "model"))
    scores = {text: model.predict([text])["probability"][0].tolist() for text in TEXTS}
    (folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    spark.stop()


if __name__ == "__main__":
    main()
