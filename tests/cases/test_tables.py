"""The main job by table name: exit code 0 exactly when the table is written, and nothing that a team has is lost.

From what people report of jobs that read and write tables by name, by another spelling, through views, beside other writers.
"""

import json
import os

import pytest
from pyspark.sql import functions as F

from sparknlp_tx.cli import main as cli
from sparknlp_tx.spark import tables
from sparknlp_tx.spark.outputs import Output
from sparknlp_tx.spark.table_names import sql_name

pytestmark = pytest.mark.every_session
SCORES = ["rawPrediction", "probability", "prediction", "predictedLabel"]


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """The folder of a saved model."""
    folder = tmp_path_factory.mktemp("tables") / "model"
    model.save(str(folder))
    return str(folder)


@pytest.fixture
def team(spark, test_df):
    """A schema of its own with a table `tickets` (id, text, label), 90 rows."""
    spark.sql("DROP SCHEMA IF EXISTS team CASCADE")
    spark.sql("CREATE SCHEMA team")
    test_df.write.format("delta").saveAsTable("team.tickets")
    yield "team"
    spark.sql("DROP SCHEMA IF EXISTS team CASCADE")


@pytest.fixture
def score(saved, capsys):
    """Run `score`: exit code, result, standard error; never a stack trace."""

    def run(source, target, *flags):
        argv = ["score", "--model", saved, "--input", source, "--output", target, *flags]
        code = cli.main([str(word) for word in argv])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert "\tat " not in err
        return code, json.loads(out.splitlines()[-1]) if code == 0 else None, err

    return run


def versions(spark, table):
    return [row["version"] for row in spark.sql(f"DESCRIBE HISTORY {sql_name(table)}").select("version").collect()]


@pytest.mark.parametrize("place", ["name", "folder"])
def test_twice_in_each_mode(spark, team, score, tmp_path, place):
    target = "team.scored" if place == "name" else str(tmp_path / "scored")
    rows = 90
    for mode, expected in (("overwrite", rows), ("overwrite", rows), ("append", 2 * rows), ("append", 3 * rows)):
        code, result, err = score("team.tickets", target, "--mode", mode)
        assert (code, result["rows"]) == (0, rows), err
        assert result["version"] == max(versions(spark, target))
        assert result["metrics"]["rows"] == rows
        df = tables.read_table(spark, target)
        assert df.columns == ["id", "text", "label", *SCORES]
        assert df.count() == expected
    assert spark.table("team.tickets").count() == rows


def test_a_user_s_own_write_of_an_observed_frame(spark, team, model):
    """Spark has no counters of a create- or replace-table-as-select: that is told, and fails nothing."""
    scored, observation = model.observe(spark.table("team.tickets"))
    scored.write.format("delta").mode("overwrite").saveAsTable("team.own")
    assert observation.metrics.get("rows", 90) == 90
    scored, observation = model.observe(spark.table("team.tickets"))
    scored.writeTo("team.own").overwrite(F.lit(True))
    assert observation.metrics["rows"] == 90
    assert spark.table("team.own").count() == 90


def spellings(spark, team):
    location = spark.sql("DESCRIBE DETAIL team.tickets").collect()[0]["location"].removeprefix("file:")
    folder, name = os.path.split(location)
    link = os.path.join(os.path.dirname(folder), "link")
    if not os.path.islink(link):
        os.symlink(location, link)
    return [
        *("team.tickets", "team.TICKETS", "`team`.`tickets`", "spark_catalog.team.tickets", "team.tickets "),
        *(location, location + "/", f"file:{location}", f"file://{location}", f"{folder}/../{os.path.basename(folder)}/{name}"),
        *(f"delta.`{location}`", link, f"{location}/scored", folder),
    ]


def test_an_output_that_is_the_input_by_another_spelling_is_refused(spark, team, score):
    spark.sql("CREATE VIEW team.open AS SELECT id, text FROM team.tickets")
    for target in spellings(spark, team):
        for mode in ("overwrite", "append"):
            code, _, err = score("team.tickets", target, "--mode", mode)
            assert code == 2, (target, mode, err)
    for target in ("team.tickets", "Team.Tickets"):
        code, _, err = score("team.open", target)
        assert (code, "open" in err) == (2, True)
    spark.table("team.tickets").filter("id > 3").createOrReplaceTempView("some_tickets")
    assert score("some_tickets", "team.tickets")[0] == 2
    assert (spark.table("team.tickets").columns, versions(spark, "team.tickets")) == (["id", "text", "label"], [0])


def test_by_another_file_system(spark, team, score, tmp_path, tmp_path_factory, test_df):
    test_df.write.format("delta").save(str(tmp_path / "t"))
    other = f"viewfs://store/files/{tmp_path.relative_to(tmp_path_factory.getbasetemp())}/t"
    assert tables.read_table(spark, other).count() == 90
    assert score(str(tmp_path / "t"), other)[0] == 2
    assert versions(spark, str(tmp_path / "t")) == [0]


def test_a_copy_that_was_written_to_since_is_another_table(spark, team, score, tmp_path, test_df):
    test_df.write.format("delta").save(str(tmp_path / "a"))
    import shutil

    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert score(str(tmp_path / "a"), str(tmp_path / "b"))[0] == 2
    test_df.limit(3).write.format("delta").mode("append").save(str(tmp_path / "b"))
    assert score(str(tmp_path / "a"), str(tmp_path / "b"))[0] == 0


def test_views_and_tables_of_other_formats_are_not_replaced(spark, team, score):
    spark.sql("CREATE VIEW team.a_view AS SELECT 1 AS x")
    spark.sql("CREATE TABLE team.a_parquet (x INT) USING parquet")
    spark.range(3).createOrReplaceTempView("a_temporary_view")
    for target in ("team.a_view", "team.a_parquet", "a_temporary_view"):
        for mode in ("overwrite", "append"):
            code, _, err = score("team.tickets", target, "--mode", mode)
            assert (code, "it stays as it is" in err.lower()) == (2, True), err
    assert spark.table("team.a_view").collect() == [(1,)]
    assert spark.sql("DESCRIBE DETAIL team.a_parquet").collect()[0]["format"] == "parquet"


LAYOUTS = {
    "partitioned": "PARTITIONED BY (label)",
    "clustered": "CLUSTER BY (label)",
    "plain": "",
}


@pytest.mark.slow  # and so not on a cluster
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_team_has_made_of_its_table_stays(spark, team, score, layout):
    spark.sql(f"""CREATE TABLE team.scored (id BIGINT COMMENT 'of the ticket', label STRING NOT NULL, seen TIMESTAMP)
        USING delta {LAYOUTS[layout]} COMMENT 'nightly' TBLPROPERTIES ('team.owner' = 'us')""")
    spark.sql("ALTER TABLE team.scored ADD CONSTRAINT positive CHECK (id >= 0)")
    for mode in ("overwrite", "overwrite"):
        code, result, err = score("team.tickets", "team.scored", "--keep-cols", "id", "label", "--mode", mode)
        assert (code, result["rows"], result["metrics"]["rows"]) == (0, 90, 90), err
    detail = spark.sql("DESCRIBE DETAIL team.scored").collect()[0]
    assert detail["partitionColumns"] == (["label"] if layout == "partitioned" else [])
    if "clusteringColumns" in detail.asDict():
        assert list(detail["clusteringColumns"] or []) == (["label"] if layout == "clustered" else [])
    assert detail["description"] == "nightly"
    assert detail["properties"]["team.owner"] == "us"
    assert detail["properties"]["delta.constraints.positive"] == "id >= 0"
    df = spark.table("team.scored")
    assert df.columns == ["id", "label", "seen", *SCORES]
    assert df.schema["id"].metadata["comment"] == "of the ticket"
    assert not df.schema["label"].nullable
    assert df.count() == 90


def test_a_column_of_another_type(spark, team, score):
    """It changes where nothing is lost by it, with the comments; else the job is refused before it scores."""
    spark.sql("CREATE TABLE team.plain (id STRING COMMENT 'of the ticket', prediction STRING) USING delta")
    assert score("team.tickets", "team.plain", "--mode", "append", "--keep-cols", "id")[0] == 2
    assert score("team.tickets", "team.plain", "--keep-cols", "id")[0] == 0
    assert spark.table("team.plain").schema["id"].dataType.simpleString() == "bigint"
    assert spark.table("team.plain").schema["id"].metadata["comment"] == "of the ticket"
    spark.sql("CREATE TABLE team.parts (id STRING, label STRING) USING delta PARTITIONED BY (label)")
    code, _, err = score("team.tickets", "team.parts", "--keep-cols", "id", "label")
    assert (code, "partitions" in err) == (2, True)
    assert versions(spark, "team.parts") == [0]


def test_the_version_and_the_rows_are_those_of_this_job(spark, team, score, monkeypatch):
    """Others commit to the table right behind it: upkeep, an upsert, a job without metrics in its history."""
    written = Output.write

    def write(self, df):
        written(self, df)
        spark.sql(f"ALTER TABLE {self.name.sql} SET TBLPROPERTIES ('a' = 'b')")
        spark.sql(f"OPTIMIZE {self.name.sql}")

    monkeypatch.setattr(Output, "write", write)
    code, result, _ = score("team.tickets", "team.scored")
    assert (code, result["rows"], result["version"]) == (0, 90, 1)
    spark.conf.set("spark.databricks.delta.history.metricsEnabled", "false")
    try:
        for mode in ("overwrite", "append"):
            code, result, err = score("team.tickets", "team.scored", "--mode", mode)
            assert (code, result["rows"]) == (0, 90), err
    finally:
        spark.conf.unset("spark.databricks.delta.history.metricsEnabled")


def test_what_fails_after_the_table_is_written_fails_nothing(spark, team, score, monkeypatch):
    def fails(*args):
        raise RuntimeError("no history for you")

    monkeypatch.setattr(Output, "_found", fails)
    code, result, err = score("team.tickets", "team.scored")
    assert (code, result["rows"], result["version"]) == (0, 90, None), err
    assert spark.table("team.scored").count() == 90


def refused_before_scoring(spark, score, monkeypatch, expected, source, target, *flags):
    def forbidden(*args):
        raise AssertionError("it has scored")

    with monkeypatch.context() as patch:
        patch.setattr(Output, "write", forbidden)
        code, _, err = score(source, target, *flags)
    assert code == 2, err
    assert "Expected" in err
    for word in expected:
        assert word in err, (word, err)


def test_what_spark_would_refuse_after_scoring_is_refused_before(spark, team, score, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "a.txt").touch()
    tickets = spark.table("team.tickets")
    tickets.withColumnRenamed("label", "the label, spaced").createOrReplaceTempView("spaced")
    tickets.withColumn("more", F.lit(1)).createOrReplaceTempView("wider")
    assert score("team.tickets", "team.scored")[0] == 0

    def refused(*words_and_flags, words=()):
        refused_before_scoring(spark, score, monkeypatch, words, *words_and_flags)

    refused("team.tickets", "absent.scored", words=["absent", "CREATE SCHEMA"])
    refused("team.tickets", "no.such.scored", words=["no.such"])
    refused("team.tickets", str(tmp_path / "file"), words=["file"])
    refused("team.tickets", str(tmp_path / "file" / "scored"), words=["a file"])
    refused("team.tickets", str(tmp_path / "junk"), words=["other files"])
    refused("team.tickets", "team..scored", words=["name of a table"])
    refused("team.tickets", "team.scored@v0", words=["older version"])
    refused("spaced", "team.new", words=["the label, spaced", "columnMapping"])
    refused("wider", "team.scored", "--mode", "append", words=["more"])
    refused("team.tickets", "team.scored", "--mode", "append", "--keep-cols", "id", words=["text"])
    refused("team.tickets", "team.scored", "--keep-cols", "id", "id", words=["twice"])
    refused("team.tickets", "team.scored", "--keep-cols", "idd", words=["Did you mean 'id'"])
    spark.sql("CREATE TABLE team.only_more (id BIGINT) USING delta TBLPROPERTIES ('delta.appendOnly' = 'true')")
    refused("team.tickets", "team.only_more", words=["appendOnly", "--mode append"])
    spark.sql("CREATE TABLE team.checked (id BIGINT) USING delta")
    spark.sql("ALTER TABLE team.checked ADD CONSTRAINT small CHECK (id < 50)")
    refused("team.tickets", "team.checked", "--keep-cols", "id", words=["id < 50"])
    assert not spark.catalog.tableExists("team.new")
    assert spark.table("team.scored").count() == 90


@pytest.mark.slow  # and so not on a cluster
def test_names_that_need_quotes_simply_work(spark, team, score, tmp_path):
    spark.table("team.tickets").createOrReplaceTempView("`raw-tickets`")
    spark.table("team.tickets").createOrReplaceTempView("`support tickets.v2`")
    for source in ("raw-tickets", "`raw-tickets`", "`support tickets.v2`"):
        assert score(source, "team.scored", "--keep-cols", "ID")[0] == 0, source
    assert spark.table("team.scored").columns == ["id", *SCORES]
    code, _, err = score("team.tickets", "team.scored-tickets")  # this catalog takes no hyphens
    assert (code, "scored-tickets" in err) == (2, True)
    for name in ("a`b", "with space", "a#b", "100%25", "täxt"):
        assert score("team.tickets", str(tmp_path / name), "--keep-cols", "id")[0] == 0, name
        assert (tmp_path / name / "_delta_log").is_dir()
        assert score(str(tmp_path / name), str(tmp_path / "again"), "--mode", "overwrite")[0] == 2  # there is no text in it
    dotted = spark.table("team.tickets").select("text", F.col("id").alias("ticket.id"), F.col("label").alias("a`b"))
    dotted.createOrReplaceTempView("dotted")
    assert score("dotted", "team.dots", "--keep-cols", "ticket.id", "a`b")[0] == 0
    assert spark.table("team.dots").columns == ["ticket.id", "a`b", *SCORES]


def test_a_standard_output_that_is_not_utf_8(spark, team, saved, tmp_path, capsys, monkeypatch):
    import io
    import sys

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    argv = ["score", "--model", saved, "--input", "team.tickets", "--output", str(tmp_path / "täxt"), "--keep-cols", "id"]
    assert cli.main(argv) == 0
    assert json.loads(raw.getvalue().decode("ascii").splitlines()[-1])["output"] == str(tmp_path / "täxt")


@pytest.mark.slow  # and so not on a cluster
def test_time_travel_has_one_spelling_for_names_and_folders(spark, team, score, tmp_path):
    spark.table("team.tickets").limit(40).write.format("delta").mode("overwrite").saveAsTable("team.tickets")
    folder = spark.sql("DESCRIBE DETAIL team.tickets").collect()[0]["location"]
    for table in ("team.tickets", folder, f"delta.`{folder}`"):
        assert tables.open_table(spark, table).version == 1
        for old in ("@v0", " VERSION AS OF 0", " version as of 0"):
            opened = tables.open_table(spark, table + old)
            assert (opened.version, opened.df.count()) == (0, 90)
    stamps = [row["timestamp"] for row in spark.sql("DESCRIBE HISTORY team.tickets").orderBy("version").collect()]
    digits = stamps[0].strftime("%Y%m%d%H%M%S") + f"{stamps[0].microsecond // 1000:03d}"
    assert tables.open_table(spark, f"team.tickets@{digits}").version == 0
    assert tables.open_table(spark, f"team.tickets TIMESTAMP AS OF '{stamps[1]}'").version == 1
    code, result, _ = score("team.tickets@v0", "team.old")
    assert (code, result["rows"]) == (0, 90)
    spark.sql("CREATE VIEW team.open AS SELECT * FROM team.tickets")
    for wrong in ("team.tickets@v9", "team.tickets@20010101", "team.tickets@29990101", "team.open@v0", "team.tickets@20269999"):
        assert score(wrong, "team.none")[0] == 2, wrong
    assert score("team.tickets VERSION AS OF yesterday", "team.none")[0] == 2
    assert not spark.catalog.tableExists("team.none")


def test_views_and_other_formats_are_inputs_everywhere_and_logged_as_what_they_are(spark, team, score, saved, tracking, capsys):
    import mlflow

    spark.sql("CREATE VIEW team.open AS SELECT * FROM team.tickets")
    spark.table("team.tickets").createOrReplaceTempView("for_now")
    spark.sql("CREATE TABLE team.plain USING parquet AS SELECT * FROM team.tickets")
    for source, kind in (("team.open", "spark"), ("for_now", "spark"), ("team.plain", "spark"), ("team.tickets@v0", "delta")):
        code, result, err = score(source, "team.scored", "--experiment", "nightly")
        assert (code, result["rows"]) == (0, 90), err
        [logged] = mlflow.get_run(result["run_id"]).inputs.dataset_inputs
        assert kind in logged.dataset.source_type
        assert source.partition("@")[0] in logged.dataset.source
        assert cli.main(["evaluate", "--model", saved, "--input", source, "--experiment", "nightly"]) == 0
    capsys.readouterr()


def test_the_later_of_two_jobs_on_one_table_says_so(spark, team, score, monkeypatch):
    """A job that replaces the table's columns meanwhile: what stands is its, and this one ends with 1 and a sentence."""
    assert score("team.tickets", "team.scored")[0] == 0
    written = Output._write

    def overtaken(self, df):
        raise RuntimeError("[DELTA_CONCURRENT_APPEND] Files were added")

    monkeypatch.setattr(Output, "_write", overtaken)
    code, _, err = score("team.tickets", "team.scored")
    assert (code, "another job" in err) == (1, True)
    code, _, err = score("team.tickets", "team.new")
    assert code == 1
    assert not spark.catalog.tableExists("team.new")  # it was made for this job
    monkeypatch.setattr(Output, "_write", written)
    assert score("team.tickets", "team.new")[0] == 0


def test_an_executor_s_refusal_ends_with_1_and_leaves_the_table(spark, team, score):
    spark.sql("INSERT INTO team.tickets VALUES (1000, NULL, 'card')")
    assert score("team.tickets", "team.scored")[0] == 0
    code, _, err = score("team.tickets", "team.scored", "--handle-invalid", "error")
    assert (code, "no null and no empty text" in err) == (1, True)
    assert spark.table("team.scored").count() == 91
    code, _, err = score("team.tickets", "team.fresh", "--handle-invalid", "error")
    assert code == 1
    assert not spark.catalog.tableExists("team.fresh")
