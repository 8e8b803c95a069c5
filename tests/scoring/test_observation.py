"""What scoring says of itself: counters while it runs, explain before, errors before a job."""

import pytest
from pyspark.sql import functions as F

from sparknlp_tx.errors import InputError

pytestmark = pytest.mark.every_session


@pytest.fixture
def repeated(spark, test_df):
    """90 rows twice, and one null: in two partitions."""
    null = spark.createDataFrame([(999, None)], "id long, text string")
    return test_df.select("id", "text").union(test_df.select("id", "text")).union(null).coalesce(2)


def test_counters_tell_what_was_done(model, repeated):
    scored, observation = model.copy({model.maxLength: 27}).observe(repeated)
    assert scored.columns == model.transform(repeated).columns
    assert scored.filter("prediction is not null").count() == 180
    found = observation.metrics
    assert (found["rows"], found["invalid"], found["tasks"]) == (181, 1, 2)
    assert found["rows"] - found["invalid"] - found["duplicates"] >= 90  # duplicates are found within a window
    assert found["duplicates"] > 0
    assert 0 <= found["padding"] < 0.5
    assert found["model_loads"] + found["cache_hits"] == 2
    assert found["rows_per_second"] == pytest.approx(181 / found["seconds"], rel=0.1)
    assert found["tokens_per_second"] > found["rows_per_second"]
    assert found["run_seconds"] > 0
    assert found["tokenise_seconds"] > 0
    assert (found["load_seconds"] > 0) == (found["model_loads"] > 0)


def test_counters_do_not_carry_over(session_kind, model, repeated):
    again = model.copy({model.maxLength: 27})
    hits = []
    for _ in range(5):
        scored, observation = again.observe(repeated)
        scored.select("prediction").collect()
        assert observation.metrics["rows"] == 181
        hits.append(observation.metrics["cache_hits"])
        if (
            session_kind == "local-cluster" or hits[-1] == 2
        ):  # there are as many workers as tasks; elsewhere Spark may take another
            return
    raise AssertionError(hits)


def test_an_empty_table_is_scored_and_counted(model, test_df):
    scored, observation = model.observe(test_df.limit(0))
    assert scored.count() == 0
    assert scored.collect() == []
    assert observation.metrics["rows"] == 0


def test_the_same_without_arrow_udfs(model, repeated, monkeypatch):
    """As on Spark 4.0, which has pandas UDFs only."""
    expected = {(r["id"], r["predictedLabel"]): r["probability"] for r in model.transform(repeated).collect()}
    monkeypatch.delattr(F, "arrow_udf", raising=False)
    scored, observation = model.observe(repeated)
    found = {(r["id"], r["predictedLabel"]): r["probability"] for r in scored.collect()}
    assert found.keys() == expected.keys()
    assert observation.metrics["rows"] == 181
    for key, vector in found.items():
        assert vector is None if key[0] == 999 else vector.toArray() == pytest.approx(expected[key].toArray(), abs=1e-5)


def test_explain_says_how_it_would_run(session_kind, model, repeated):
    plan = model.copy({model.maxLength: 5}).explain(repeated.coalesce(1))
    assert (plan.rows, plan.partitions, plan.largest_partition) == (181, 1, 181)
    slots = 4 if session_kind == "local-cluster" else 2
    assert plan.cluster["slots"] == slots
    assert plan.engine["backend"] == "OpenVINO"
    assert plan.engine["rows_per_second"] > 1
    assert plan.seconds > 0
    assert plan.tokens["cut"] > 0.5
    text = str(plan)
    assert "rows        181 in 1 partition, 181 in the largest" in text
    assert "OpenVINO, float32: as precision='float32' says" in text
    assert f"1 partition cannot fill {slots} slots: df.repartition({slots})." in text
    assert "of the texts are truncated at maxLength=5" in text
    assert plan.as_dict()["advice"] == plan.advice


def test_explain_tells_where_tasks_are_most_of_the_work(model, test_df):
    plan = model.explain(test_df.repartition(45))
    assert any("tasks take longer to start than to score their few rows: df.coalesce(" in line for line in plan.advice)
    more = test_df.withColumn("n", F.explode(F.sequence(F.lit(1), F.lit(300)))).repartition(5)
    assert not any("coalesce" in line for line in model.explain(more).advice)


def test_explain_of_an_empty_table_and_of_a_wrong_one(model, test_df):
    assert model.explain(test_df.limit(0)).rows == 0
    with pytest.raises(InputError, match="column 'text'"):
        model.explain(test_df.drop("text"))


def test_what_executors_cannot_serve_fails_before_the_job(session_kind, spark, model, test_df, monkeypatch):
    if session_kind == "classic":
        with pytest.raises(InputError, match="a GPU for device 'cuda:7'"):  # it is this machine that will score
            model.copy({model.device: "cuda:7"}).transform(test_df)
    with pytest.raises(InputError, match=r"precision 'int8' on CPUs; found device 'cuda'|a GPU for device 'cuda'"):
        model.copy({model.device: "cuda", model.precision: "int8"}).transform(test_df)
    monkeypatch.setattr("sparknlp_tx.ml.fitted_model.is_local", lambda spark: False)  # as if executors were elsewhere
    with pytest.raises(InputError, match="a GPU for device 'cuda:7'; found"):
        model.copy({model.device: "cuda:7"}).check_executors(spark)
    model.check_executors(spark)
