"""Several models on the same rows: the bootstrap's figures, scoring once, what disagreements are shown."""

import numpy as np
import pytest
from pyspark.sql import functions as F
from sklearn.metrics import f1_score

from sparknlp_tx import InputError, TransformerClassifier
from sparknlp_tx.lifecycle.comparable import check_comparable, check_slices, check_truth
from sparknlp_tx.lifecycle.paired_scoring import score_together
from sparknlp_tx.metrics.paired import Outcomes, holm, interval, metric_samples, worse_by_more
from sparknlp_tx.ml.evaluate import evaluate_rows


def outcomes(truth, **predicted):
    """Rows of one label each, grouped."""
    names = tuple(map(str, range(max(map(max, [truth, *predicted.values()])) + 1)))
    groups, counts = np.unique(np.stack([truth, *predicted.values()], axis=1), axis=0, return_counts=True)
    columns = {name: groups[:, n + 1] for n, name in enumerate(predicted)}
    return Outcomes("single_label_classification", names, groups[:, 0], columns, counts)


def test_the_bootstrap_measures_as_scikit_learn_and_covers_the_truth():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 5, 2_000)
    one, other = (np.where(rng.random(2_000) < right, truth, rng.integers(0, 5, 2_000)) for right in (0.9, 0.8))
    grouped = outcomes(truth, one=one, other=other)
    values, samples = metric_samples(grouped, "macro_f1", resamples=500)
    assert values["one"] == pytest.approx(f1_score(truth, one, average="macro"))
    difference = interval(values["one"] - values["other"], samples["one"] - samples["other"])
    assert 0 < difference.low < values["one"] - values["other"] < difference.high
    same = metric_samples(outcomes(truth, a=one, b=one), "accuracy", 100)[1]
    assert np.array_equal(same["a"], same["b"])  # the same resamples: a model does not differ from itself


def test_small_groups_are_worse_only_where_that_cannot_be_chance():
    assert worse_by_more(lost=25, won=0, rows=30, bound=0.05) < 1e-4
    assert worse_by_more(lost=2, won=1, rows=30, bound=0.05) > 0.3
    assert worse_by_more(lost=0, won=0, rows=0, bound=0.05) == 1
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.every_session
def test_models_are_scored_together_and_counted_as_each_alone(model, settings, train_df, test_df):
    weak = TransformerClassifier(**settings | {"numTrainEpochs": 1.0}).fit(train_df.limit(30))
    rows = test_df.withColumn("half", F.col("id") % 2)
    models = {"strong": model, "weak": weak}
    check_comparable(models)
    check_slices(rows, ["half"])
    assert check_truth(models, rows) == 90
    found = score_together(models, rows, ["half"])
    assert found.outcomes.rows == 90
    for name, each in models.items():
        alone = evaluate_rows(each, rows).metrics
        assert np.average(found.outcomes.right(name), weights=found.outcomes.counts) == pytest.approx(alone["accuracy"])
        assert found.calibration_error[name] == pytest.approx(alone["calibration_error"], abs=1e-6)
    in_half = found.slices["half"] == "1"
    assert found.outcomes.among(in_half).rows == 45
    shown = found.disagreements
    assert all(row["strong"] != row["weak"] for row in shown)
    assert [row["gap"] for row in shown] == sorted((row["gap"] for row in shown), reverse=True)
    assert shown[0]["text"] in {row["text"] for row in test_df.collect()}


def test_several_labels_and_numbers_are_compared_too(settings, train_df):
    fast = settings | {"numTrainEpochs": 2.0}
    several = train_df.withColumn("label", F.array("label"))
    tagger = TransformerClassifier(**fast).fit(several)
    found = score_together({"a": tagger, "b": tagger}, several)
    assert found.outcomes.rows == 300
    assert not found.disagreements
    assert metric_samples(found.outcomes, "micro_f1", 50)[0]["a"] == pytest.approx(
        evaluate_rows(tagger, several).metrics["micro_f1"]
    )
    numbers = train_df.withColumn("label", F.length("text").cast("double"))
    scale = TransformerClassifier(**fast, problemType="regression").fit(numbers)
    found = score_together({"a": scale, "b": scale}, numbers)
    expected = evaluate_rows(scale, numbers).metrics
    for metric in ("pearson", "rmse", "mae"):
        assert metric_samples(found.outcomes, metric, 50)[0]["b"] == pytest.approx(expected[metric], rel=1e-5)
    with pytest.raises(InputError, match="single_label_classification|multi_label"):
        check_comparable({"tagger": tagger, "scale": scale})


def test_what_cannot_be_compared_is_refused(model, settings, train_df, test_df):
    other = TransformerClassifier(**settings | {"numTrainEpochs": 0.1}).fit(train_df.filter("label <> 'card'"))
    with pytest.raises(InputError, match="the same labels; found 'card' of champion alone"):
        check_comparable({"champion": model, "candidate": other})
    with pytest.raises(InputError, match="found 'queer' in 30 rows"):
        check_truth({"m": model}, test_df.withColumn("label", F.expr("IF(label = 'card', 'queer', label)")))
    with pytest.raises(InputError, match="labels in column 'label'; found none in any row"):
        check_truth({"m": model}, test_df.withColumn("label", F.lit(None).cast("string")))
    with pytest.raises(InputError, match="Did you mean 'id'"):
        check_slices(test_df, ["ids"])
