"""What a comparison found, for people: a table, CSV, a picture, a page."""

import csv
from pathlib import Path
from typing import Any

from sparknlp_tx.files import local_path
from sparknlp_tx.lifecycle.comparison.outcome import CompareResult
from sparknlp_tx.lifecycle.report import Report, Section
from sparknlp_tx.metrics.paired import LESS_IS_BETTER
from sparknlp_tx.metrics.pareto import draw_pareto


def model_table(result: CompareResult) -> tuple[list[str], list[list[Any]]]:
    """Head and lines of the table of the models."""
    precisions, metrics = list(result.models[0].rates), list(result.models[0].metrics)
    head = ["model", *metrics, "MB", "training minutes", *(f"rows/s {name}" for name in precisions), "s per 1,000 rows"]
    priced = result.models[0].cost_of_a_million is not None
    lines = []
    for row in result.models:
        line = [row.name, *(str(row.metrics[name]) for name in metrics), round(row.size_mb, 1)]
        line += [None if row.training_minutes is None else round(row.training_minutes, 2)]
        line += [None if rate is None else round(rate) for rate in row.rates.values()]
        lines.append(
            [*line, round(row.seconds_per_1000_rows, 3), *([round(row.cost_of_a_million or 0.0, 4)] if priced else [])]
        )
    return head + (["cost of a million"] if priced else []), lines


def text_table(result: CompareResult) -> str:
    """The table of the models for a terminal."""
    head, lines = model_table(result)
    shown = [head, *(["-" if cell is None else str(cell) for cell in line] for line in lines)]
    widths = [max(len(line[n]) for line in shown) for n in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in shown)


def write_csv(result: CompareResult, file: str | Path) -> None:
    """A line for each model, figures apart from their intervals."""
    lines = []
    for row in result.models:
        line: dict[str, Any] = {"model": row.name, "uri": row.uri}
        for name, value in row.metrics.items():
            line |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        line |= {"size_mb": row.size_mb, "training_minutes": row.training_minutes}
        line |= {f"rows_per_second_{name}": rate for name, rate in row.rates.items()}
        lines.append(line | {"seconds_per_1000_rows": row.seconds_per_1000_rows, "cost_of_a_million": row.cost_of_a_million})
    write_lines(lines, file)


def write_lines(lines: list[dict[str, Any]], file: str | Path) -> None:
    """Dicts with the same keys as a CSV file."""
    with open(local_path(file), "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def draw(result: CompareResult, folder: Path) -> Path:
    """The picture as SVG, for the page, and as PNG."""
    names = [row.name for row in result.models]
    rates = [1000 / row.seconds_per_1000_rows for row in result.models]
    found = [row.metrics[result.metric] for row in result.models]
    qualities = [(each.value, each.low, each.high) for each in found]
    for ending in ("png", "svg"):
        draw_pareto(
            names, rates, qualities, result.metric, folder / f"quality_and_speed.{ending}", result.metric in LESS_IS_BETTER
        )
    return folder / "quality_and_speed.svg"


def comparison_page(result: CompareResult, picture: Path) -> Report:
    front = [row.name for row in result.models if row.on_front]
    best = result.models[0]
    level = [pair["worse"] for pair in result.differences if pair["better"] == best.name and not pair["beyond_chance"]]
    verdict = f"{best.name} has the best {result.metric}, {best.metrics[result.metric]}"
    verdict += (
        f"; {', '.join(level)} cannot be told from it by these rows." if level else "; all others are worse beyond chance."
    )
    facts = {
        "Table": result.table,
        "Rows": f"{result.rows:,}",
        "Processor": result.processor,
        "On the Pareto front": ", ".join(front),
    }
    head, lines = model_table(result)
    pairs = [
        (
            pair["better"],
            pair["worse"],
            pair["difference"],
            f"{pair['low']:.4f} to {pair['high']:.4f}",
            pair["p"],
            "yes" if pair["beyond_chance"] else "no",
        )
        for pair in result.differences
    ]
    pair_head = ("Better", "Worse", "Difference", "95 % interval", "p after Holm", "Beyond chance")
    sections = [
        Section(
            "Models",
            f"The best {result.metric} first; 95 % intervals. Speed was measured in turn, in one process.",
            head,
            lines,
        ),
        Section.of_picture("Quality and speed", picture),
        Section("Differences", "By the paired bootstrap on the same rows.", pair_head, pairs),
        Section("Where they are", "", ("Model", "URI"), [(row.name, row.uri) for row in result.models]),
    ]
    return Report("Comparison", verdict, None, facts, sections)
