"""What estimators, models and summaries print: in a terminal, and as a table in a notebook."""

import html
from typing import Any, TypeVar

from sparknlp_tx.errors import InputError

NAMES = 12  # labels that are named
Class = TypeVar("Class", bound=type)


def with_repr(cls: Class) -> Class:
    """Give a class `__repr__` and `_repr_html_`, from its `_lines()`: a title, and texts by their names; empty ones are left out."""
    cls.__repr__ = _text  # type: ignore[assignment]
    cls._repr_html_ = _table  # type: ignore[attr-defined]
    return cls


def _title_and_lines(thing: Any) -> tuple[str, dict[str, str]]:
    """Its lines; if the Params do not go together or files are missing, the problem instead."""
    try:
        title, lines = thing._lines()
    except InputError as error:
        return getattr(thing, "uid", type(thing).__name__), {"problem": str(error)}
    return title, {name: text for name, text in lines.items() if text}


def _text(self: Any) -> str:
    title, lines = _title_and_lines(self)
    return "\n".join([title, *(f"  {name:<12}  {text}" for name, text in lines.items())])


def _table(self: Any) -> str:
    title, lines = _title_and_lines(self)
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in lines.items())
    style = "text-align:left"
    return f'<table style="{style}"><caption style="{style}"><b>{html.escape(title)}</b></caption>{rows}</table>'


def training_lines(summary: Any) -> tuple[str, str]:
    """How a model was trained; which epoch was kept, and its metrics. Empty texts where that is not known."""
    if not summary.get("train_rows"):
        return "", ""
    rows, rate = f"{summary['train_rows']:,} rows", f"{summary['rows_per_second']:,.0f} rows/s"
    trained = f"{rows} in {summary['train_seconds']:,.1f} s on {summary['device']}, {rate}"
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in metric_items(summary["metrics"]))
    return trained, f"{summary['best_epoch']:.3g}: {metrics}" if metrics else ""


def metric_items(metrics: dict[str, float]) -> list[tuple[str, float]]:
    """The metrics that say most, in their order; all where there are few."""
    first = ("accuracy", "micro_f1", "macro_f1", "matthews", "pearson", "spearman", "rmse", "loss", "log_loss")
    return [(name, metrics[name]) for name in first if isinstance(metrics.get(name), (int, float))]


def names(labels: list[str]) -> str:
    """How many labels there are, and the first of them."""
    return f"{len(labels)} labels: {', '.join(labels[:NAMES])}" + ", ..." * (len(labels) > NAMES)
