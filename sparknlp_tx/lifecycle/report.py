"""A report as one HTML page that holds all it shows: no other host is asked, light and dark, readable on a phone."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEXT = 40  # characters from which a cell gets the room of a text
TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass
class Section:
    """A part of a report: a table or a picture under a heading.

    Attributes:
        title, note: the heading, and a sentence or two below it.
        columns, rows: of the table; a cell is a text, a number, None, or a bool, which is shown as passed or failed.
        picture: base64 of an image file; picture_type: its media type. `Section.of_picture` reads them from a file.
    """

    title: str
    note: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    picture: str = ""
    picture_type: str = ""

    @classmethod
    def of_picture(cls, title: str, file: Path, note: str = "") -> "Section":
        """A section that shows an SVG or PNG file."""
        return cls(title, note, picture=base64.b64encode(file.read_bytes()).decode(), picture_type=TYPES[file.suffix])


@dataclass
class Report:
    """What a report says.

    Attributes:
        title: the page's.
        verdict: one sentence; good: whether it is a good one, None for neither.
        facts: what was looked at, by name: models, tables, versions, time.
        sections: shown in their order; those without rows and picture show their note alone.
    """

    title: str
    verdict: str
    good: bool | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)

    def html(self) -> str:
        """The page."""
        from jinja2 import Environment, PackageLoader
        from markupsafe import Markup

        pages = Environment(loader=PackageLoader(__package__, "."), autoescape=True, trim_blocks=True, lstrip_blocks=True)
        return pages.get_template("report.html.jinja").render(report=self, show=lambda cell: Markup(_cell(cell)))

    def write(self, file: str | Path) -> None:
        """Write the page to a file, UTF-8."""
        Path(file).write_text(self.html(), encoding="utf-8")


def _cell(value: Any) -> Any:
    """A cell of a table as HTML."""
    from markupsafe import Markup

    if isinstance(value, bool):
        return Markup('<td class="{}">{}</td>').format(*(("good", "passed") if value else ("bad", "failed")))
    if value is None:
        return Markup("<td>-</td>")
    if isinstance(value, int | float):
        return Markup('<td class="number">{}</td>').format(f"{value:,}" if isinstance(value, int) else f"{value:.4g}")
    return Markup('<td class="text">{}</td>' if len(str(value)) > TEXT else "<td>{}</td>").format(value)
