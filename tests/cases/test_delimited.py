"""Delimited files as people write them: equal to what was written, or refused with the line; never equal but wrong."""

import csv
import io
import random

import pandas as pd
import pytest

from sparknlp_tx.data.corpora import Source, read_corpus
from sparknlp_tx.data.delimited import Dialect, read_delimited
from sparknlp_tx.errors import InputError

PARTS = [
    '"',
    "'",
    "\\",
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r\n",
    " ",
    "a",
    "card",
    "größe",
    "日本",
    "مرحبا",
    "👍",
    '""',
    '\\"',
    "1",
    "NA",
    "null",
    "#",
]


def table(draw):
    """Some (text, label) rows of odd texts."""
    rows = [("".join(draw.choices(PARTS, k=draw.randint(0, 6))), draw.choice(["x", "y", 'q"', "b\\", " z"])) for _ in range(8)]
    return [(text or None, label) for text, label in rows if text.strip("\r\n")]


def by_csv(rows, **dialect):
    sink = io.StringIO(newline="")
    csv.writer(sink, **dialect).writerows([("text", "label"), *rows])
    return sink.getvalue()


WRITERS = {
    "csv": (".csv", "utf-8", by_csv),
    "all quoted": (".csv", "utf-8", lambda rows: by_csv(rows, quoting=csv.QUOTE_ALL)),
    "spreadsheet": (".csv", "utf-8-sig", lambda rows: by_csv(rows, delimiter=";")),
    "sep=;": (".csv", "utf-8", lambda rows: "sep=;\r\n" + by_csv(rows, delimiter=";")),
    "unicode text": (".txt.tsv", "utf-16", lambda rows: by_csv(rows, delimiter="\t")),
    "tsv": (".tsv", "utf-8", lambda rows: by_csv(rows, delimiter="\t", lineterminator="\n")),
    "pandas": (".csv", "utf-8", lambda rows: pd.DataFrame(rows, columns=["text", "label"]).to_csv(index=False)),
    "line feeds": (".csv", "utf-8", lambda rows: by_csv(rows, lineterminator="\n")),
    "escaped": (".csv", "utf-8", lambda rows: by_csv(rows, escapechar="\\", doublequote=False)),
    "pandas, escaped": (
        ".csv",
        "utf-8",
        lambda rows: pd.DataFrame(rows, columns=["text", "label"]).to_csv(index=False, escapechar="\\", doublequote=False),
    ),
}


FLOOR = {"tsv": 5, "escaped": 1, "pandas, escaped": 1, "line feeds": 10, "pandas": 10}


@pytest.mark.parametrize("name", WRITERS)
def test_a_round_trip_is_equal_or_refused(name, tmp_path):
    """80 files of each of ten writers."""
    suffix, encoding, write = WRITERS[name]
    equal = 0
    for seed in range(80):
        rows = table(random.Random(seed))
        file = tmp_path / f"{seed}{suffix}"
        file.write_bytes(write(rows).encode(encoding))
        found = read_or_line(file)
        if found is None:
            continue
        assert found.header == ["text", "label"]
        assert [tuple(row) for row in found.rows] == rows, seed
        equal += 1
    assert equal >= FLOOR.get(name, 25)


def read_or_line(file):
    """The records; None where the file is refused, and the line named."""
    try:
        return read_delimited(file, Dialect())
    except InputError as error:
        refused = str(error)
    assert "line" in refused
    return None


def lines(file, *rows):
    file.write_text("\n".join(rows) + "\n", newline="")
    return file


def test_what_the_cases_tell(tmp_path):
    backslashes = [f'"ticket {n}, he said \\"no, {n}\\"",card' for n in range(30)]
    found = read_delimited(lines(tmp_path / "a.csv", "text,label", *backslashes), Dialect())
    assert found.rows[7] == ['ticket 7, he said "no, 7"', "card"]
    lone = [f'"quoted {n} is not\tb' if n % 2 else f"plain {n}\ta" for n in range(100)]
    lines(tmp_path / "b.tsv", "text\tlabel", *lone)
    for dialect in (Dialect(), Dialect(quote="")):
        found = read_delimited(tmp_path / "b.tsv", dialect)
        assert (len(found.rows), found.rows[1][0]) == (100, '"quoted 1 is not')
    both = ['a "b"\tx', '"c\tx', 'd"\tx']
    with pytest.raises(InputError, match=r"line 3.*--quote"):
        read_delimited(lines(tmp_path / "bb.tsv", "text\tlabel", *both), Dialect())
    with pytest.raises(InputError, match=r"3 in line 3.*--sep"):
        read_delimited(lines(tmp_path / "c.csv", "text,label", "fine,a", "hello, where is my money,b"), Dialect())
    (tmp_path / "d.csv").write_bytes(b"text,label\r\na,x\nb,y\r\nc,x\r\n")
    assert [row[1] for row in read_delimited(tmp_path / "d.csv", Dialect()).rows] == ["x", "y", "x"]
    (tmp_path / "e.csv").write_bytes("text,label\nx,grün\n".encode("latin-1"))
    with pytest.raises(InputError, match="line 2.*--encoding"):
        read_delimited(tmp_path / "e.csv", Dialect())
    assert read_delimited(tmp_path / "e.csv", Dialect(encoding="windows-1252")).rows == [["x", "grün"]]
    with pytest.raises(InputError, match="its header alone"):
        read_delimited(lines(tmp_path / "f.csv", "text,label"), Dialect())
    with pytest.raises(InputError, match="twice"):
        read_delimited(lines(tmp_path / "g.csv", "text,Text", "a,b"), Dialect())
    import gzip

    (tmp_path / "H.CSV.GZ").write_bytes(gzip.compress(b"text,label\na,NA\n,null\n"))
    assert read_delimited(tmp_path / "H.CSV.GZ", Dialect()).rows == [["a", "NA"], [None, "null"]]


def test_what_else_goes_wrong_in_silence(tmp_path):
    def refused(name, text, words, **dialect):
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        with pytest.raises(InputError) as told:
            read_delimited(tmp_path / name, Dialect(**dialect))
        assert words in str(told.value)

    refused("a.csv", 'text,label\n"hi,x\nb,y\nc",z\n', "line 2")
    refused("b.csv", 'text,label\n"a, b", "x"\n', "space")
    refused("c.csv", "", "empty")
    refused("d.csv", b"\xef\xbb\xbf", "empty")
    refused("e.csv.zst", b"(\xb5/\xfd", "Unpack")
    refused("f.csv", "text;label\na;b\n", "';'", sep=",")
    refused("g.csv", "text,label\n\\\\server\\a,x\n", "line 2")
    refused("h.csv", "text,label\na\rb,x\n", "line 2")
    (tmp_path / "i.csv").write_text('"sep=;"\ntext;label\na;b\n')
    (tmp_path / "j.tsv").write_text("text,label\na,b\n")
    (tmp_path / "k.csv").write_bytes("\ufefftext,label\na,b\n".encode("utf-8"))
    for name, encoding in (("i.csv", None), ("j.tsv", None), ("k.csv", "utf-8")):
        found = read_delimited(tmp_path / name, Dialect(encoding=encoding))
        assert (found.header, found.rows) == (["text", "label"], [["a", "b"]]), name


def test_files_that_spark_itself_writes(spark, tmp_path):
    """40 files of Spark's csv writer, whose quotes are escaped by backslashes, and 40 of its json writer."""
    written = {n: table(random.Random(n)) for n in range(40)}
    rows = [(n, place, *row) for n, part in written.items() for place, row in enumerate(part)]
    df = spark.createDataFrame(rows, "n int, place int, text string, label string").repartition(1).sortWithinPartitions("place")
    kept = {"header": True, "ignoreLeadingWhiteSpace": False, "ignoreTrailingWhiteSpace": False}
    df.drop("place").write.options(**kept).partitionBy("n").csv(str(tmp_path / "csv"))
    df.drop("place").write.partitionBy("n").json(str(tmp_path / "json"))
    equal = 0
    for n, part in written.items():
        [file] = (tmp_path / "csv" / f"n={n}").glob("part-*.csv")
        if (found := read_or_line(file)) is not None:
            assert [tuple(row) for row in found.rows] == part, n
            equal += 1
    assert equal >= 30
    found = read_corpus(spark, Source(str(tmp_path / "json")))["train"]
    assert sorted(str(tuple(row)) for row in found.collect()) == sorted(str((text, label)) for _, _, text, label in rows)
