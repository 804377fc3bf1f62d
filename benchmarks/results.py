"""Figures, their targets, and the results of earlier runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks import machine

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of `runs`, with what it must be at most or at least."""

    name: str
    runs: tuple[float, ...]
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def value(self) -> float:
        return median(self.runs)

    @property
    def met(self) -> bool | None:
        """None where there is no target."""
        if self.at_most is None and self.at_least is None:
            return None
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)

    @property
    def target(self) -> str:
        if self.at_most is not None:
            return f"at most {number(self.at_most)}"
        return "" if self.at_least is None else f"at least {number(self.at_least)}"


def table(figures: Sequence[Figure], last: Mapping[str, float]) -> str:
    """One line a figure: value, target, whether it is met, change against the last result."""
    lines = [
        f"  {figure.name:<44}{number(figure.value):>10} {figure.unit:<10}"
        f"{figure.target:<17}{ {True: 'met', False: 'MISSED', None: ''}[figure.met]:<8}"
        f"{change(figure, last.get(figure.name))}".rstrip()
        for figure in figures
    ]
    return "\n".join(lines) + "\n"


def change(figure: Figure, before: float | None) -> str:
    if before is None:
        return "new"
    return f"{(figure.value / before - 1) * 100:+.0f}%" if before else f"was {number(before)}"


def number(value: float) -> str:
    """Three digits that count, and no more than the figure has."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def last(name: str) -> dict[str, float]:
    """Figure -> value of the last committed result, else of the last run."""
    file = RESULTS / f"{name}.json"
    path = file.relative_to(machine.ROOT).as_posix()
    text = machine.git("show", f"HEAD:{path}") or (file.read_text() if file.exists() else "{}")
    return {figure["name"]: figure["value"] for figure in json.loads(text).get("figures", [])}


def keep(name: str, figures: Sequence[Figure]) -> None:
    """Write the result that is to be committed."""
    result = {
        "benchmark": name,
        "command": f"python -m benchmarks {name}",
        "commit": machine.commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "figures": [as_json(figure) for figure in figures],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")


def as_json(figure: Figure) -> dict[str, object]:
    facts = {key: value for key, value in asdict(figure).items() if value is not None}
    runs = [float(f"{value:.5g}") for value in figure.runs]
    return facts | {"runs": runs, "value": float(f"{figure.value:.5g}"), "met": figure.met}
