"""Pictures of a fit and of what a model gets right and wrong, as PNG files, and its most confident mistakes as a table.

Knows neither Spark nor MLflow.
"""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparknlp_tx.errors import InputError
from sparknlp_tx.files import local_path
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, DecisionRule
from sparknlp_tx.metrics.compute import CALIBRATION_BINS

MISTAKES = 100
DRAWN = 200  # labels, at most, in a picture that has a place for each
WRITTEN = 2_000  # counts, at most, that are written into a confusion matrix
NAMED = 100  # labels: with more of them, a confusion matrix shows no names


def check_pictures_folder(path: str, inputs: Sequence[str] = ()) -> None:
    """Raise InputError where pictures cannot go to a folder: a file is there or above it, it is an input's, or is read-only.

    Args:
        inputs: tables, by path or name, and folders of models that are read.
    """
    if not path.strip():
        raise InputError("a folder for pictures", "an empty name", "Give one.")
    folder = Path(os.path.realpath(local_path(path)))
    for name in inputs:
        if "://" in name or not (place := local_path(name)).exists():
            continue  # a table's name, or elsewhere
        place = Path(os.path.realpath(place))
        if folder == place or (place in folder.parents and (place / "_delta_log").exists()):
            raise InputError(f"a folder of their own for pictures, --pictures {path}", f"that of {name}", "Give another one.")
    there = folder if os.path.lexists(folder) else next(above for above in folder.parents if os.path.lexists(above))
    if not there.is_dir():
        raise InputError(f"a folder for pictures at {path}", f"a file at {there}", "Give another one.")
    if (there / "_delta_log").exists():
        raise InputError(
            f"a folder of their own for pictures, --pictures {path}", f"a Delta table at {there}", "Give another one."
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"a folder that can be written, for pictures at {path}", f"{there} cannot", "Give another one.")


def draw_learning_curves(history: Sequence[dict[str, float]], folder: Path, metric: str) -> list[Path]:
    """`learning_curves.png`: loss by step, of training and validation, and the metric that says which epoch is kept."""
    figure, axes = _figure(7, 4)
    for name, label in (("loss", "training loss"), ("eval_loss", "validation loss")):
        points = [(entry["step"], entry[name]) for entry in history if name in entry]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="o" if name == "eval_loss" else None)
    axes.set(xlabel="step", ylabel="loss", ylim=(0, None))
    points = [(entry["step"], entry[f"eval_{metric}"]) for entry in history if f"eval_{metric}" in entry]
    if points:
        right = axes.twinx()
        right.plot(*zip(*points, strict=True), color="tab:green", marker="s", label=f"validation {metric}")
        right.set(ylabel=metric)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return [_save(figure, folder / "learning_curves.png")]


def draw_scores(decision: DecisionRule, logits: np.ndarray, truth: Any, texts: Sequence[str], folder: Path) -> list[Path]:
    """All pictures of scored rows with known labels.

    Args:
        decision, logits, truth: as `compute.metrics_of` takes them.
        texts: of the rows.
        folder: where the files go.

    Returns:
        The files: `confusion_matrix.png` (one label a row), `reliability.png`, `f1_by_label.png`, `precision_recall.png`,
        `mistakes.csv`; for regression `predicted_against_true.png` and `mistakes.csv`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth = np.asarray(truth)
    if decision.problem_type == REGRESSION:
        return _draw_numbers(truth, decision.predict(logits), texts, folder)
    probabilities = decision.probabilities(logits)
    predicted = decision.predict(probabilities)
    if decision.problem_type == MULTI:
        has, chosen, files = truth > 0, predicted, []
        confidence, right = probabilities.ravel(), has.ravel()
    else:
        kept = truth >= 0
        truth, probabilities, predicted = truth[kept].astype(int), probabilities[kept], predicted[kept].astype(int)
        texts = [text for text, keep in zip(texts, kept, strict=True) if keep]
        labels = np.arange(len(decision.labels))
        has, chosen = truth[:, None] == labels, predicted[:, None] == labels
        files = [_draw_confusion(truth, predicted, decision.labels, folder)]
        confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    files.append(_draw_reliability(confidence, right, folder))
    files.append(_draw_f1(has, chosen, decision.labels, folder))
    files.append(_draw_precision_recall(has, probabilities, folder))
    files.append(_write_mistakes(has, chosen, probabilities, decision.labels, texts, folder))
    return files


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path


def _draw_confusion(truth: np.ndarray, predicted: np.ndarray, labels: Sequence[str], folder: Path) -> Path:
    """Shares of each true label's rows; the count is written into each cell where there are few labels."""
    from matplotlib.colors import PowerNorm

    shown = _most_confused(truth, predicted, len(labels))
    places = np.full(len(labels), -1)
    places[shown] = np.arange(len(shown))
    kept = (places[truth] >= 0) & (places[predicted] >= 0)
    size, all_labels, labels = len(shown), len(labels), [labels[index] for index in shown.tolist()]
    counts = np.zeros((size, size), int)
    np.add.at(counts, (places[truth[kept]], places[predicted[kept]]), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    edge = min(30, max(5, 0.22 * size + 3))
    figure, axes = _figure(edge + 1, edge)
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1))  # a few mistakes of many rows can be seen
    figure.colorbar(image, ax=axes, shrink=0.6, label="share of the true label's rows")
    axes.set(xlabel="predicted", ylabel="true")
    if size < all_labels:
        axes.set_title(f"the {size} of {all_labels:,} labels with most mistakes", fontsize=9, loc="left")
    if size <= NAMED:
        font = 9 if size <= 20 else 7
        axes.set_xticks(range(size), [_short(label) for label in labels], rotation=90, fontsize=font)
        axes.set_yticks(range(size), [_short(label) for label in labels], fontsize=font)
    if size <= 20:
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[row, column] > 0.4 else "black"
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=color, fontsize=9)
    else:
        mistakes = counts * (1 - np.eye(size, dtype=int))  # the diagonal's shade says enough, and the mistakes can be read
        for cell in np.argsort(-mistakes, axis=None, kind="stable")[: min(WRITTEN, np.count_nonzero(mistakes))].tolist():
            row, column = divmod(cell, size)
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7)
    return _save(figure, folder / "confusion_matrix.png")


def _most_confused(truth: np.ndarray, predicted: np.ndarray, labels: int) -> np.ndarray:
    """The labels that a confusion matrix has a place for, in their order: all, or those that have most mistakes."""
    if labels <= DRAWN:
        return np.arange(labels)
    wrong = truth != predicted
    mistakes = np.bincount(truth[wrong], minlength=labels) + np.bincount(predicted[wrong], minlength=labels)
    return np.sort(np.argsort(-mistakes, kind="stable")[:DRAWN])


def _draw_reliability(confidence: np.ndarray, right: np.ndarray, folder: Path) -> Path:
    """How often predictions of a confidence are right: on the diagonal, as often as they say."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    sizes = np.bincount(bins, minlength=CALIBRATION_BINS)
    there = sizes > 0
    said, true = (np.bincount(bins, values, CALIBRATION_BINS)[there] / sizes[there] for values in (confidence, right))
    figure, axes = _figure(5, 5)
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    axes.scatter(said, true, s=20 + 380 * sizes[there] / sizes.max(), alpha=0.5)
    axes.plot(said, true, linewidth=1)
    axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title("the larger a dot, the more predictions", fontsize=9, loc="left")
    return _save(figure, folder / "reliability.png")


def _draw_f1(has: np.ndarray, chosen: np.ndarray, labels: Sequence[str], folder: Path) -> Path:
    """A bar for each label, the worst at the top; how many rows have it is written beside it."""
    right, sizes = (has & chosen).sum(axis=0), has.sum(axis=0) + chosen.sum(axis=0)
    f1 = np.divide(2 * right, sizes, out=np.zeros(len(labels)), where=sizes > 0)
    order = np.argsort(-f1, kind="stable")[-DRAWN:]
    figure, axes = _figure(7, max(2.5, 0.2 * len(order) + 1))
    axes.barh(range(len(order)), f1[order], color="tab:blue", height=0.7)
    names = [f"{_short(labels[index])} ({has[:, index].sum():,})" for index in order]
    axes.set_yticks(range(len(order)), names, fontsize=8)
    axes.set(xlabel="F1", xlim=(0, 1), ylim=(-0.6, len(order) - 0.4))
    if len(order) < len(labels):
        axes.set_title(f"the {len(order)} worst of {len(labels):,} labels", fontsize=9, loc="left")
    axes.grid(axis="x", alpha=0.3)
    return _save(figure, folder / "f1_by_label.png")


def _draw_precision_recall(has: np.ndarray, probabilities: np.ndarray, folder: Path) -> Path:
    """Precision and recall of all labels together against the threshold; of two labels those of label 1."""
    if has.shape[1] == 2 and (has.sum(axis=1) == 1).all():
        has, probabilities = has[:, 1:], probabilities[:, 1:]
    thresholds = np.linspace(0, 1, 101)
    hits, sizes = np.zeros(len(thresholds), int), np.zeros(len(thresholds), int)
    for begin in range(0, len(has), 256):  # some rows at a time: there may be thousands of labels
        rows = slice(begin, begin + 256)
        below = np.searchsorted(thresholds, probabilities[rows])  # how many thresholds each probability is above
        for totals, some in ((hits, below[has[rows]]), (sizes, below.ravel())):
            totals += some.size - np.cumsum(np.bincount(some, minlength=len(thresholds) + 1))[:-1]
    figure, axes = _figure(6, 4)
    axes.plot(thresholds, np.divide(hits, sizes, out=np.ones(len(hits)), where=sizes > 0), label="precision")
    axes.plot(thresholds, hits / max(1, has.sum()), label="recall")
    axes.set(xlabel="threshold of the probability", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(frameon=False)
    return _save(figure, folder / "precision_recall.png")


def _write_mistakes(
    has: np.ndarray, chosen: np.ndarray, probabilities: np.ndarray, labels: Sequence[str], texts: Sequence[str], folder: Path
) -> Path:
    """The rows that are wrong with the largest probability: of a wrong label that was predicted, or against a right one."""
    sure = np.where(chosen & ~has, probabilities, np.where(~chosen & has, 1 - probabilities, 0.0)).max(axis=1)
    worst = [row for row in np.argsort(-sure, kind="stable")[:MISTAKES] if sure[row] > 0]

    def names(marks: np.ndarray) -> str:
        return ", ".join(labels[index] for index in np.flatnonzero(marks).tolist())

    rows = [(f"{sure[row]:.4f}", names(has[row]), names(chosen[row]), texts[row]) for row in worst]
    return _write_csv(("confidence", "true", "predicted", "text"), rows, folder)


def _draw_numbers(truth: np.ndarray, predicted: np.ndarray, texts: Sequence[str], folder: Path) -> list[Path]:
    figure, axes = _figure(5, 5)
    axes.scatter(truth, predicted, s=8, alpha=0.4)
    ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    axes.plot(ends, ends, color="grey", linestyle="--", linewidth=1)
    axes.set(xlabel="true", ylabel="predicted")
    worst = np.argsort(-np.abs(predicted - truth), kind="stable")[:MISTAKES]
    rows = [(f"{predicted[row] - truth[row]:.4f}", f"{truth[row]:g}", f"{predicted[row]:.4f}", texts[row]) for row in worst]
    return [
        _save(figure, folder / "predicted_against_true.png"),
        _write_csv(("error", "true", "predicted", "text"), rows, folder),
    ]


def _write_csv(header: Sequence[str], rows: Sequence[tuple], folder: Path) -> Path:
    path = folder / "mistakes.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def _short(label: str) -> str:
    """A label as a picture shows it: not too long, on one line, and no `$` read as the begin of a formula."""
    label = " ".join(label.split())
    return (label if len(label) <= 40 else label[:39] + "…").replace("$", r"\$")
