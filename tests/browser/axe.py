"""axe-core's rules of accessibility."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

SCRIPT = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
SEVERE = ("serious", "critical")


def violations(page: Page, *, best_practice: bool = False) -> list[str]:
    """The serious and critical ones of WCAG 2.2 A and AA, each with its rule, its elements and the
    remedy; or all of axe's own best practices."""
    page.evaluate(script())  # the page's policy keeps out script elements, not the debugger
    tags = ["best-practice"] if best_practice else list(WCAG)
    result = page.evaluate(
        "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", tags
    )
    assert result["passes"], "axe looked at nothing"
    found = result["violations"]
    return [told(item) for item in found if best_practice or item["impact"] in SEVERE]


def told(violation: dict[str, Any]) -> str:
    nodes = "\n".join(
        f"  {' '.join(map(str, node['target']))}: {node['html'][:200]}\n"
        f"    {node['failureSummary'].replace(chr(10), ' ')}"
        for node in violation["nodes"]
    )
    return f"{violation['id']} ({violation['impact']}): {violation['help']}\n{nodes}"


@cache
def script() -> str:
    if not SCRIPT.exists():
        pytest.skip("axe-core is not installed; make test-all installs it with npm")
    return SCRIPT.read_text(encoding="utf-8")
