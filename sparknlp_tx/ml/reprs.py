"""What estimators, models and summaries show of themselves: in a terminal, and as a table in a notebook."""

import html
from typing import Any

from sparknlp_tx.errors import InputError

NAMES = 12  # labels that are named


class Shown:
    """Shows what `_shown` tells; goes before Spark ML's classes, whose own `repr` is the uid."""

    def _shown(self) -> tuple[str, dict[str, str]]:
        """A title, and lines by their names; empty ones are left out."""
        raise NotImplementedError

    def _told(self) -> tuple[str, dict[str, str]]:
        """As `_shown`; what cannot be told because of what is set or missing says so."""
        try:
            return self._shown()
        except InputError as error:
            return getattr(self, "uid", type(self).__name__), {"problem": str(error)}

    def __repr__(self) -> str:
        title, lines = self._told()
        return "\n".join([title, *(f"  {name:<12}  {text}" for name, text in lines.items() if text)])

    def _repr_html_(self) -> str:
        title, lines = self._told()
        cells = (f"<tr><th>{html.escape(n)}</th><td>{html.escape(text)}</td></tr>" for n, text in lines.items() if text)
        style = "text-align:left"
        return f'<table style="{style}"><caption style="{style}"><b>{html.escape(title)}</b></caption>{"".join(cells)}</table>'


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
