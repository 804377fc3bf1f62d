"""The tables of `docs/benchmarks.md`, written from the results: `python -m benchmarks.page`."""

import json
import re
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.results import RESULTS, number

PAGE = ROOT / "docs" / "benchmarks.md"
TABLE = re.compile(r"<!-- results: (\w+) -->\n.*?<!-- end -->\n", re.DOTALL)


def write() -> None:
    """Bring the page up to date."""
    PAGE.write_text(rendered(PAGE.read_text()))


def rendered(page: str) -> str:
    """The page with the tables of the results that there are."""
    return TABLE.sub(lambda match: f"<!-- results: {match[1]} -->\n{table(match[1])}", page)


def table(name: str) -> str:
    file = RESULTS / f"{name}.json"
    if not file.exists():
        return "Not measured yet.\n<!-- end -->\n"
    result = json.loads(file.read_text())
    rows = [
        "| figure | value | target |",
        "| --- | ---: | --- |",
        *(
            f"| {f['name']} | {number(f['value'])} {f['unit']} | {target(f)} |"
            for f in result["figures"]
        ),
    ]
    return "\n".join([*rows, "", provenance(result), "<!-- end -->", ""])


def provenance(result: dict[str, Any]) -> str:
    """When, what and on what: one line."""
    machine = result["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        f"Measured {result['time'][:10]} at commit `{result['commit']}` with"
        f" `{result['command']}`: {machine['processor']}, {machine['cores']} cores,"
        f" {machine['memory_gb']:.0f} GB, {machine['system']}, Python {machine['python']},"
        f" {packages}."
    )


def target(figure: dict[str, float]) -> str:
    """What it must be, and whether it is."""
    if figure["met"] is None:
        return ""
    bound = "at most" if "at_most" in figure else "at least"
    limit = number(figure[bound.replace(" ", "_")])
    return f"{bound} {limit}" + ("" if figure["met"] else ", **missed**")


if __name__ == "__main__":
    write()
