"""Bars, histograms, curves and maps of points as SVG for a page, which inks them light or dark.

Drawings take plain numbers and names, and are the same for the same ones.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from imagefinder.errors import MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Axes: TypeAlias = Any  # matplotlib ships no types

WIDTH = 5.2  # inches of 72 points, of which a page makes its own width
SHOWN = 30  # bars; more have no room for their names
MANY = 1500  # points that are drawn one by one; more become a picture, or the page would be large
LONGEST = 28  # letters of a name

# Inks that the page's style knows, as colours that nothing else has.
INKS = {"#010203": "var(--ink)", "#010204": "var(--soft)", "#010205": "var(--line)",
        "#010206": "var(--accent)"}  # fmt: skip
INK, SOFT, LINE, ACCENT = INKS
# They can be told apart on black and on white, by most who see few colours, too (after Okabe-Ito).
COLOURS = (
    *("#0d9488", "#e07a1f", "#4f7cde", "#c2549d", "#a08a12"),
    *("#5aa9d6", "#d6453d", "#6b9e3c", "#8b6fd1", "#8a8f98"),
)


def bars(
    values: Mapping[str, float],
    *,
    label: str,
    spans: "Mapping[str, tuple[float, float]] | None" = None,
    whole: bool = False,
) -> str:
    """A bar a name, from the top in their order; the first 30 at most. `spans` are the ends of
    intervals, drawn as whiskers; `whole` numbers are written at the bars."""
    names = list(values)[:SHOWN]
    with drawing(0.5 + 0.27 * len(names)) as (axes, done):
        places = np.arange(len(names))
        lengths = np.array([values[name] for name in names], dtype=float)
        drawn = axes.barh(places, lengths, color=ACCENT, height=0.68)
        if spans is not None:
            ends = np.array([spans[name] for name in names], dtype=float)
            beyond = np.abs(ends - lengths[:, None]).T
            axes.errorbar(lengths, places, xerr=beyond, fmt="none", ecolor=INK, elinewidth=1)
        axes.set_yticks(places, [clipped(name) for name in names])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.invert_yaxis()
        axes.set_xlabel(label)
        axes.set_xlim(left=min(0, lengths.min(initial=0)))
        axes.margins(y=0.02)
        if whole:
            axes.bar_label(drawn, fmt="{:,.0f}", padding=4, color=SOFT, fontsize=9)
            axes.margins(x=0.12)
            axes.xaxis.set_visible(False)
            axes.spines["bottom"].set_visible(False)
        else:
            gridded(axes, "x")
    return done()


def histogram(
    values: "NDArray[Any] | Mapping[str, NDArray[Any]]",
    *,
    label: str,
    log: bool = False,
    bins: int = 40,
) -> str:
    """How often which values occur; of several by name their shares, one over the other. `log`:
    bins that widen, for what spans from small to large (and is above 0)."""
    groups = values if isinstance(values, Mapping) else {"": values}
    named = isinstance(values, Mapping)
    parts = [np.ravel(each) for each in groups.values()]
    every = np.concatenate([np.empty(0), *parts]).astype(float)
    with drawing(2.6) as (axes, done):
        edges = edges_of(every, log, bins)
        for number, part in enumerate(parts):
            colour = COLOURS[number % len(COLOURS)] if named else ACCENT
            weights = np.full(len(part), 1 / max(len(part), 1)) if named else None
            axes.hist(
                part, edges, weights=weights, color=colour, alpha=0.6 if named else 1.0,
                histtype="stepfilled",
            )  # fmt: skip
        axes.set_xlabel(label)
        axes.set_ylabel("share" if named else "images")
        if log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(plain_number)
            axes.xaxis.set_minor_formatter("")
        if named:
            with_legend(axes, list(groups))
        gridded(axes, "y")
    return done()


def curve(
    lines: "Mapping[str, tuple[ArrayLike, ArrayLike]]",
    *,
    x: str,
    y: str,
    unit: bool = True,
) -> str:
    """A line a name through its points (xs, ys). `unit`: both axes go from 0 to 1."""
    with drawing(3.6) as (axes, done):
        for number, (xs, ys) in enumerate(lines.values()):
            axes.plot(np.ravel(xs), np.ravel(ys), color=COLOURS[number % len(COLOURS)], lw=2)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if unit:
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1.02)
        if len(lines) > 1:
            with_legend(axes, list(lines))
        gridded(axes, "both")
    return done()


def scatter(points: "ArrayLike", classes: Sequence[str] = ()) -> str:
    """(n, 2) points with the colours of their classes: the nine most common ones, and others. The
    axes of a map mean nothing, so none are drawn."""
    places = np.asarray(points, dtype=float).reshape(-1, 2)
    with drawing(5.0) as (axes, done):
        groups = grouped(classes, len(places))
        for number, rows in enumerate(groups.values()):
            colour = COLOURS[number % len(COLOURS)] if classes else ACCENT
            axes.scatter(
                *places[rows].T, s=14 if len(places) < MANY else 7, color=colour, alpha=0.75,
                linewidths=0, rasterized=len(places) > MANY,
            )  # fmt: skip
        axes.set_aspect("equal")
        axes.set_axis_off()
        if classes:
            with_legend(axes, list(groups))
    return done()


def grouped(classes: Sequence[str], count: int) -> dict[str, list[int]]:
    """class -> the numbers of its points, most common first; what comes after nine is `others`."""
    if not classes:
        return {"": list(range(count))}
    found: dict[str, list[int]] = {}
    for number, name in enumerate(classes):
        found.setdefault(name, []).append(number)
    order = sorted(found, key=lambda name: (-len(found[name]), name))
    if len(order) <= len(COLOURS):
        return {name: found[name] for name in order}
    first = order[: len(COLOURS) - 1]
    rest = [number for name in order[len(first) :] for number in found[name]]
    return {**{name: found[name] for name in first}, "others": rest}


def edges_of(values: "np.ndarray[Any, np.dtype[np.float64]]", log: bool, bins: int) -> Any:
    """(bins + 1,) where the bars of a histogram begin and end."""
    low, high = (values.min(), values.max()) if len(values) else (1.0, 1.0)
    if low == high:
        low, high = (low / 1.5, high * 1.5) if log else (low - 0.5, high + 0.5)
    return np.geomspace(low, high, bins + 1) if log else np.linspace(low, high, bins + 1)


def plain_number(value: float, _: object = None) -> str:
    """1500 -> 1,500; no powers."""
    return f"{value:,.10g}"


def clipped(name: str) -> str:
    """Short enough to stand beside a bar."""
    name = "".join(letter if letter.isprintable() else " " for letter in name)
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def gridded(axes: Axes, axis: str) -> None:
    axes.grid(axis=axis, color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)


def with_legend(axes: Axes, names: Sequence[str]) -> None:
    """Below the drawing, so that it hides nothing."""
    handles = [*axes.collections, *axes.lines, *axes.patches]
    legend = axes.figure.legend(
        handles, [clipped(name) for name in names], loc="outside lower center", frameon=False,
        ncols=min(len(names), 3 if max(map(len, names)) > LONGEST // 2 else 5),
        labelcolor=INK, handlelength=1.1, columnspacing=1.4,
    )  # fmt: skip
    for handle in legend.legend_handles:
        handle.set_alpha(1)


@contextmanager
def drawing(height: float) -> Iterator[tuple[Axes, Callable[[], str]]]:
    """Axes to draw on, so many inches high, and what gives the SVG when the block has ended.
    Raises MissingExtraError."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a report with plots", "evaluate") from error
    with rc_context(SETTINGS), warnings.catch_warnings():
        # of letters that its font lacks: the browser has them
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        made = StringIO()
        yield axes, lambda: inked(made.getvalue())
        figure.savefig(
            made, format="svg", transparent=True, dpi=200,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )  # fmt: skip


SETTINGS: Any = {  # its types name every setting there is
    "svg.fonttype": "none",  # letters, which the browser draws and finds
    "svg.hashsalt": "imagefinder",
    "text.parse_math": False,  # names come from users
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "text.color": INK,
}


def inked(svg: str) -> str:
    """The drawing as it stands in a page: no prologue, no size of its own, no ids that a second
    drawing has as well, and the page's inks."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)
    svg = re.sub(r"[\x00-\x09\x0b-\x1f\x7f]", " ", svg)  # names come from users
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return re.sub("|".join(INKS), lambda found: INKS[found[0]], svg)
