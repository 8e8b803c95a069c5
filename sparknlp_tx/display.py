"""What estimators, models and summaries show of themselves: in a terminal, and as a table in a notebook."""

import html
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError

if TYPE_CHECKING:
    from sparknlp_tx.classification import TransformerClassificationModel, TransformerClassifier

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


def estimator_lines(estimator: "TransformerClassifier") -> tuple[str, dict[str, str]]:
    """The checkpoint, the columns, and the Params that were set to something else than their defaults."""
    own = {param.name: value for param, value in estimator._paramMap.items() if estimator._defaultParamMap.get(param) != value}
    columns = [own.pop(name, None) or estimator._column(name) for name in ("textCol", "textPairCol")]
    learns = f"{own.pop('labelCol', estimator.getLabelCol())} from {' and '.join(filter(None, columns))}"
    own.pop("checkpoint", None)
    told = ", ".join(f"{name}={value!r}" for name, value in sorted(own.items()))
    return estimator.uid, {"checkpoint": estimator.getCheckpoint(), "learns": learns, "Params set": told}


def model_lines(model: "TransformerClassificationModel") -> tuple[str, dict[str, str]]:
    """What a model predicts and from what, how it was trained, and how it scores."""
    if model._model_dir is None:
        return model.uid, {"files": "none: not fitted, not loaded"}
    size = sum(file.stat().st_size for file in model._model_dir.rglob("*") if file.is_file())
    decision, report = model.decision, model.summary.get("int8") or {}
    scores = model.getPrecision() + (f"; int8 agrees in {report['agreement']:.2%}" if "agreement" in report else "")
    return model.uid, {
        "predicts": f"{_names(model.labels)}" if model.labels else "a number",
        "task": decision.problem_type,
        "reads": " and ".join(model.text_columns) + f", up to {model.getMaxLength()} tokens",
        "threshold": f"{model.getOrDefault('threshold'):.3g}" if model.isSet("threshold") else "",
        "thresholds": ", ".join(f"{t:.3g}" for t in model.getOrDefault("thresholds")[:NAMES])
        if model.isSet("thresholds")
        else "",
        **dict(zip(("trained", "best epoch"), training_lines(model.summary), strict=True)),
        "precision": scores,
        "files": f"{model._model_dir} ({size / 1e6:,.1f} MB)",
    }


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


def _names(labels: list[str]) -> str:
    return f"{len(labels)} labels: {', '.join(labels[:NAMES])}" + ", ..." * (len(labels) > NAMES)
