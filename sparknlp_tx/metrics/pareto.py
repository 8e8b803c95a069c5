"""Quality against speed: which models no other one beats in both, and a picture of all of them."""

from collections.abc import Sequence
from pathlib import Path


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The positions of the points that no other point is at least as good as in both numbers, and better in one; by the first, ascending."""

    def beaten(one: tuple[float, float]) -> bool:
        return any(other[0] >= one[0] and other[1] >= one[1] and other != one for other in points)

    return sorted((n for n, point in enumerate(points) if not beaten(point)), key=lambda n: points[n])


def draw_pareto(
    names: Sequence[str],
    rates: Sequence[float],
    qualities: Sequence[tuple[float, float, float]],
    metric: str,
    file: str | Path,
    less_is_better: bool = False,
) -> None:
    """A picture of quality against speed, as SVG or PNG by the file's ending; the front is a line.

    Args:
        names: of the points.
        rates: rows a second.
        qualities: value, low and high end of its interval.
        metric: the name of the quality; less_is_better: of an error.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    sign = -1 if less_is_better else 1
    front = pareto_front([(rate, sign * quality[0]) for rate, quality in zip(rates, qualities, strict=True)])
    axes.plot(
        [rates[n] for n in front],
        [qualities[n][0] for n in front],
        color="#2a6fbb",
        linewidth=1.5,
        zorder=1,
        label="Pareto front",
    )
    for n, (name, rate, (value, low, high)) in enumerate(zip(names, rates, qualities, strict=True)):
        color = "#2a6fbb" if n in front else "#8a8f98"
        axes.errorbar(rate, value, yerr=[[value - low], [high - value]], fmt="o", color=color, capsize=3, zorder=2)
        right = rate > max(rates) ** 0.75 * min(rates) ** 0.25  # a name at the right edge goes to the left of its point
        axes.annotate(
            name, (rate, value), xytext=(-8 if right else 8, 7), textcoords="offset points", ha="right" if right else "left"
        )
    axes.set_xscale("log")
    for side in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        side(FuncFormatter(lambda rate, _: f"{rate:,.0f}" if f"{rate:e}"[0] in "125" else ""))
    axes.set(xlabel="rows a second on this machine", ylabel=f"{metric}, 95 % interval")
    if less_is_better:
        axes.invert_yaxis()
    axes.margins(x=0.15, y=0.15)
    axes.grid(alpha=0.25, which="both")
    axes.legend(loc="lower left")
    figure.savefig(file, dpi=120)
