"""Behaviour tests: what a model has to say of single texts, and of pairs of texts that have to get the same label or another.

A CSV file or a table with the columns `text`, `expected` (a label), or `text_a`, `text_b`, `expected` (`same` or `differ`); one that has
all of them may mix both kinds. After Ribeiro et al. 2020 (CheckList, arXiv:2005.04118): minimum functionality and invariance tests.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION
from sparknlp_tx.spark import tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparknlp_tx.ml.model import TransformerClassificationModel

MOST = 10_000  # tests: they run on this machine
COLUMNS = "columns text, expected; or text_a, text_b, expected (same or differ)"


@dataclass(frozen=True)
class BehaviourTest:
    """One test: `expected` is a label of `text`; or `same` or `differ` of `text` and `other`."""

    text: str
    other: str | None
    expected: str

    def __str__(self) -> str:
        return (
            f"{self.text!r} is {self.expected}" if self.other is None else f"{self.text!r} and {self.other!r} {self.expected}"
        )


def read_tests(spark: "SparkSession", place: str, model: "TransformerClassificationModel") -> list[BehaviourTest]:
    """The tests of a CSV file or of a table.

    Raises:
        InputError: there is nothing there, columns are missing, a text is empty, an expected label is not the model's, or the model is of
            regression or of pairs.
    """
    if model.decision.problem_type == REGRESSION or len(model.text_columns) > 1:
        found = "one of regression" if model.decision.problem_type == REGRESSION else "one of pairs"
        raise InputError("a model of labels for single texts, for behaviour tests", found, "Leave the tests out.")
    rows = _rows_of_file(place) if Path(place).is_file() else _rows_of_table(spark, place)
    if not rows:
        raise InputError(f"behaviour tests in {place}", "no rows", "Write some, or leave them out.")
    names = set(rows[0])
    if "expected" not in names or not ({"text"} <= names or {"text_a", "text_b"} <= names):
        raise InputError(f"{COLUMNS}, in {place}", ", ".join(sorted(names)), "Rename them.")
    return [_test(row, n, place, model) for n, row in enumerate(rows, 1)]


def failures(model: "TransformerClassificationModel", tests: list[BehaviourTest]) -> list[tuple[BehaviourTest, str]]:
    """The tests that a model fails, each with what it says instead."""
    texts = [test.text for test in tests] + [test.other for test in tests if test.other is not None]
    column = model.getPredictedLabelCol() or "predictedLabel"
    said = model.copy({model.getParam("predictedLabelCol"): column}).predict(texts)[column].tolist()
    of_other = iter(said[len(tests) :])
    failed = []
    for test, label in zip(tests, said, strict=False):
        if test.other is None:
            right = test.expected in (label if isinstance(label, list | tuple) or hasattr(label, "tolist") else [label])
            shown = _shown(label)
        else:
            other = next(of_other)
            right = (_shown(label) == _shown(other)) == (test.expected == "same")
            shown = f"{_shown(label)} and {_shown(other)}"
        if not right:
            failed.append((test, shown))
    return failed


def _shown(label: Any) -> str:
    return label if isinstance(label, str) else ", ".join(sorted(label))


def _rows_of_file(file: str) -> list[dict[str, str]]:
    import pandas as pd

    try:
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig", nrows=MOST + 1)
    except (ValueError, OSError) as error:  # pandas' own are ValueErrors
        raise InputError(
            f"a CSV file of behaviour tests at {file}", " ".join(str(error).split()), f"Write {COLUMNS}."
        ) from None
    return _few(frame.to_dict("records"), file)


def _rows_of_table(spark: "SparkSession", table: str) -> list[dict[str, str]]:
    df = tables.read_table(spark, table)
    return _few([row.asDict() for row in df.limit(MOST + 1).collect()], table)


def _few(rows: list[dict[str, Any]], place: str) -> list[dict[str, Any]]:
    if len(rows) > MOST:
        raise InputError(f"at most {MOST:,} behaviour tests in {place}", "more", "Take some of them.")
    return rows


def _test(row: dict[str, Any], n: int, place: str, model: "TransformerClassificationModel") -> BehaviourTest:
    """A row as a test."""
    expected = str(row["expected"] or "").strip()
    single, pair = str(row.get("text") or ""), (str(row.get("text_a") or ""), str(row.get("text_b") or ""))
    if single and not any(pair):
        if expected not in model.labels:
            known = ", ".join(map(repr, list(model.labels)[:5]))
            more = "" if model.decision.problem_type != MULTI else ": one of those it has to have"
            raise InputError(f"a label of the model in test {n} of {place}{more}", repr(expected), f"It has {known}.")
        return BehaviourTest(single, None, expected)
    if all(pair) and not single:
        if expected not in ("same", "differ"):
            raise InputError(f"same or differ in test {n} of {place}", repr(expected), "Write one of the two.")
        return BehaviourTest(pair[0], pair[1], expected)
    raise InputError(f"text, or text_a and text_b, in test {n} of {place}", "neither or both", "Give each row one kind.")
