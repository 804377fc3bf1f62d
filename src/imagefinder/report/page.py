"""A report as one HTML file: a title, sections, and in them facts, tables, plots and pictures.

What the functions give is HTML; every text that they take is escaped.
"""

import html
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template

from imagefinder._version import __version__
from imagefinder.errors import UsageError
from imagefinder.report.style import STYLE

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title - ImageFinder</title>
<style>$style</style>
<header>
<h1>$title</h1>
<p>$intro</p>
<nav aria-label="Sections">$links</nav>
</header>
<main>
$sections
</main>
<footer>Made with ImageFinder $version.</footer>
</html>
""")


class Page:
    """A report in the making: sections are added in their order, and `render` gives the whole."""

    def __init__(self, title: str, intro: str) -> None:
        self._title, self._intro = title, intro
        self._sections: list[tuple[str, str]] = []

    def section(self, title: str, *parts: str) -> None:
        """Add a section; its parts are HTML. Without any there is none."""
        if content := "\n".join(part for part in parts if part):
            self._sections.append((title, content))

    def render(self) -> str:
        """The HTML of the whole page."""
        numbered = list(enumerate(self._sections, start=1))
        return PAGE.substitute(
            title=shown(self._title),
            intro=shown(self._intro),
            style=STYLE,
            links="".join(
                f'<a href="#part-{number}">{shown(title)}</a>' for number, (title, _) in numbered
            ),
            sections="\n".join(
                f'<section id="part-{number}"><h2>{shown(title)}</h2>\n{content}</section>'
                for number, (title, content) in numbered
            ),
            version=__version__,
        )

    def write(self, path: Path) -> None:
        """The page as a file, whole or not at all. Raises UsageError where none can be."""
        partial = ""
        try:
            with tempfile.NamedTemporaryFile(
                "w", dir=path.parent, prefix=".imagefinder-", delete=False, encoding="utf-8"
            ) as file:
                partial = file.name
                file.write(self.render())
            os.chmod(partial, 0o666 & ~mask())  # a temporary file is for its owner only
            os.replace(partial, path)
        except OSError as error:
            if partial:
                Path(partial).unlink(missing_ok=True)
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"{path}: the report cannot be written: {reason}") from error


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """A few numbers that stand out: names and values."""
    cells = "".join(
        f"<div><dt>{shown(name)}</dt><dd>{shown(value)}</dd></div>" for name, value in pairs
    )
    return f'<dl class="facts">{cells}</dl>' if cells else ""


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", note: str = ""
) -> str:
    """Rows below the names of columns; numbers go to the right. Nothing where there is no row."""
    rows = [list(row) for row in rows]
    if not rows:
        return ""
    right = [
        all(is_number(row[place]) for row in rows) and place > 0 for place in range(len(columns))
    ]
    head = "".join(
        f'<th scope="col"{aligned(to_right)}>{shown(name)}</th>'
        for name, to_right in zip(columns, right, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<td{aligned(to_right)}>{shown(cell)}</td>"
            for cell, to_right in zip(row, right, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return card(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{shown(title or "Table")}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>",
        title,
        note,
    )


def plot(title: str, drawing: str, *, note: str = "") -> str:
    """A drawing of `report.plots` with what it shows, and what is to be seen."""
    caption = f"<figcaption>{shown(note)}</figcaption>" if note else ""
    return (
        f'<figure class="card plot"><h3>{shown(title)}</h3>'
        f'<div role="img" aria-label="{shown(title)}">{drawing}</div>{caption}</figure>'
    )


def swatches(colours: Iterable[tuple[tuple[int, int, int], float]], *, title: str) -> str:
    """Colours (red, green, blue, 0 to 255) side by side, as wide as their shares."""
    bands = "".join(
        f'<i style="flex: {1000 * share:.1f}; background: rgb({red} {green} {blue})"'
        f' title="#{red:02x}{green:02x}{blue:02x}, {share:.0%}"></i>'
        for (red, green, blue), share in colours
    )
    return card(
        f'<div class="swatches" role="img" aria-label="{shown(title)}">{bands}</div>', title
    )


def beside(*parts: str) -> str:
    """Parts side by side where there is room for it."""
    return f'<div class="beside">{"".join(parts)}</div>' if any(parts) else ""


def paragraph(text: str) -> str:
    """A sentence or several."""
    return f'<p class="soft">{shown(text)}</p>' if text else ""


def card(content: str, title: str = "", note: str = "") -> str:
    """HTML in a box, with a title above and a sentence below."""
    above = f"<h3>{shown(title)}</h3>" if title else ""
    return f'<div class="card">{above}{content}{f"<p>{shown(note)}</p>" if note else ""}</div>'


def shown(value: object) -> str:
    """Text or a number as HTML; letters that cannot be stored or shown are replaced."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value).encode("utf-8", "replace").decode()
    return html.escape("".join(letter if letter.isprintable() else " " for letter in text))


def is_number(cell: object) -> bool:
    """Whether the cell is to be compared by its digits: a number, or text that begins as one."""
    if isinstance(cell, (int, float)):
        return True
    return str(cell).lstrip("+-")[:1].isdigit() or cell in ("", "-")


def aligned(to_right: bool) -> str:
    """The attribute of a cell."""
    return ' class="right"' if to_right else ""


def mask() -> int:
    """What the process takes away from the permissions of new files."""
    current = os.umask(0)
    os.umask(current)
    return current
