"""The tables of `docs/explanation/capacity.md` and the sizes in `deploy/milvus`, written from the
results: `python -m benchmarks.capacity_page`."""

import re
from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path

from benchmarks.capacity import (
    BUSY,
    GIB,
    LOADED,
    MEDIA,
    MONTH,
    PRICES,
    SEARCHES,
    SHAPES,
    SIZES,
    Figures,
    Index,
    Node,
    Plan,
    Shape,
    plan,
    result,
)
from benchmarks.machine import ROOT
from benchmarks.page import provenance
from benchmarks.results import number

PAGE = ROOT / "docs" / "explanation" / "capacity.md"
DEPLOY = ROOT / "deploy" / "milvus"
TABLE = re.compile(r"<!-- plan: (\w+) -->\n.*?<!-- end -->\n", re.DOTALL)
SIZE = re.compile(r"^(?P<key>[ -]*[\w-]+: )\S+(?P<mark>\s*# plan: (?P<what>[\w ]+))$", re.MULTILINE)
INDEXES: tuple[Index, ...] = ("hnsw", "ivf_sq8", "diskann")
NAMES = {"1m": "1 million", "100m": "100 million", "1b": "1 billion"}
STEPS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # GiB, as machines come


def write() -> None:
    """Bring page and files up to date."""
    for file in (PAGE, *files()):
        file.write_text(rendered(file))


def files() -> list[Path]:
    """The files with sizes in them."""
    return sorted(DEPLOY.glob("*.yaml"))


def rendered(file: Path) -> str:
    """The page, or the file, with what the last results say."""
    text = file.read_text(encoding="utf-8")
    if file == PAGE:
        return TABLE.sub(lambda match: f"<!-- plan: {match[1]} -->\n{TABLES[match[1]]()}\n", text)
    sizes = every_size()
    name = file.stem.removeprefix("values-")

    def replaced(match: re.Match[str]) -> str:
        what = match["what"]
        return match["key"] + sizes[what if what in sizes else f"{name} {what}"] + match["mark"]

    return SIZE.sub(replaced, text)


# what runs in a cluster, beside the query nodes


def nodes(size: str, of: Plan) -> dict[str, Node]:
    """Everything that runs all the time, by the name that it has in the table."""
    service = Node(max(2, ceil(of.service_cores / 2)), 2, 2 * GIB)
    if size == "1m":
        needs = max(of.memory + 2 * GIB, of.shape.node.memory)
        cores = max(of.shape.node.cores, ceil(of.search_cores))
        return {
            "Milvus, one process": Node(1, cores, step(needs) * GIB),
            "etcd": Node(1, 1, 2 * GIB),
            "services": service,
        }
    segment = of.shape.segment
    return {
        "query nodes": of.query_nodes,
        # a segment and its index are in memory while it is built
        "index nodes": Node(max(2, ceil(of.build_cores / 8)), 8, step(4 * segment) * GIB),
        "data nodes": Node(max(2, ceil(of.build_cores / 16)), 4, step(2 * segment) * GIB),
        "proxies": Node(2, 2, 8 * GIB),
        "coordinator": Node(1, 4, 16 * GIB),
        "etcd": Node(3, 1, 4 * GIB),
        "Pulsar": Node(10, 1, 8 * GIB),
        "services": service,
    }


def every_size() -> dict[str, str]:
    """What stands behind each `plan:`, as YAML has it."""
    found: dict[str, str] = {}
    for size in SIZES:
        of = plan(size)
        running = nodes(size, of)
        sizes: dict[str, str] = {"segment": f"{of.shape.segment / 2**20:.0f}"}
        objects = storage(2 * of.objects)  # what was merged is kept for a while
        if size == "1m":
            one = running["Milvus, one process"]
            sizes |= named("standalone", one) | {"objects": objects}
            found["1m milvus memory"] = f"{one.memory / GIB:.0f}g"
        else:
            for kind in ("query", "index", "data"):
                sizes |= named(kind, running[f"{kind} nodes"])
                sizes[f"{kind} nodes"] = str(running[f"{kind} nodes"].count)
            sizes |= named("proxy", running["proxies"]) | named(
                "coordinator", running["coordinator"]
            )
            sizes["proxies"] = str(running["proxies"].count)
            # half of what four of them have is redundancy
            sizes["objects of each"] = storage(2 * of.objects * 2 / 4)
        found |= {f"{size} {what}": value for what, value in sizes.items()}
    return found


def named(kind: str, node: Node) -> dict[str, str]:
    return {
        f"{kind} cores": f'"{node.cores:g}"',
        f"{kind} memory": f"{node.memory / GIB:.0f}Gi",
        f"{kind} ssd": storage(node.ssd),
    }


def step(size: float) -> int:
    """GiB, as machines come."""
    return next((each for each in STEPS if size <= each * GIB), ceil(size / GIB))


def storage(size: float) -> str:
    """Rounded up to a number with one digit, or half of one, and not less than 20 GiB."""
    gib = max(20.0, size / GIB)
    unit = 10.0 ** (len(str(int(gib))) - 1) / 2
    return f"{ceil(gib / unit) * unit:.0f}Gi"


# the tables


def measured() -> str:
    """What an image costs, a row a figure, a column an index."""
    figures = Figures.last()
    units = {index: figures.unit(index) for index in INDEXES}
    largest = figures.sizes[-1]
    rows = {
        "memory of a query node": lambda unit: f"{unit.memory:,.0f} bytes",
        "object store": lambda unit: f"{unit.disk:,.0f} bytes",
        "SSD of a query node": lambda unit: f"{unit.ssd:,.0f} bytes" if unit.ssd else "none",
        "processor time until it is indexed": lambda unit: f"{1000 * unit.build:.2f} ms",
        f"processor time of a search of {largest:,}": lambda unit: (
            f"{1000 * unit.search(largest, ceil(largest / unit.rows)):.2f} ms"
        ),
    }
    lines = [
        f"| an image costs | HNSW | IVF_SQ8 | DiskANN, computed |\n{'| --- ' + '| ---: ' * 3}|",
        *(
            f"| {name} | " + " | ".join(show(units[index]) for index in units) + " |"
            for name, show in rows.items()
        ),
    ]
    return "\n".join([*lines, "", provenance(result("milvus")), "<!-- end -->"])


def sizes() -> str:
    """The plan: a row a quantity, a column a size."""
    plans = {size: plan(size) for size in SIZES}
    running = {size: nodes(size, of) for size, of in plans.items()}
    rows: dict[str, Callable[[str, Plan], str]] = {
        "index": lambda _, of: {"hnsw": "HNSW", "ivf_sq8": "IVF_SQ8", "diskann": "DiskANN"}[
            of.shape.index
        ],
        "figures": lambda _, of: "extrapolated" if of.unit.measured else "computed, see below",
        "memory of query nodes": lambda _, of: gib(of.memory),
        "their SSD": lambda _, of: gib(of.ssd) if of.ssd else "none",
        "object store": lambda _, of: gib(of.objects),
        "uploads, if all were": lambda _, of: gib(of.media),
        "segments": lambda _, of: f"{of.segments:,}",
        "processor time of a search": lambda _, of: f"{1000 * of.search_seconds:,.1f} ms",
        f"cores for {SEARCHES:.0f} searches a second": lambda _, of: f"{of.search_cores:,.0f}",
        "cores of the services then": lambda _, of: f"{of.service_cores:,.0f}",
        "embedding, core-hours": lambda _, of: f"{of.embedding_seconds / 3600:,.0f}",
        "building, core-hours": lambda _, of: f"{of.build_seconds / 3600:,.0f}",
        "to be done in": lambda _, of: days(of.shape.weeks),
        "Ray workers for that": lambda _, of: f"{of.workers:,}",
        "cores of Milvus for that": lambda _, of: f"{of.build_cores:,}",
        **{
            name: lambda size, _, name=name: machines(running[size].get(name))  # type: ignore[misc]
            for name in {name: None for each in running.values() for name in each}
        },
        "a month, example": lambda size, of: f"{of.monthly(running[size]):,.0f}",
        "the first build, example": lambda _, of: f"{of.one_off:,.0f}",
    }
    lines = [f"| | {' | '.join(NAMES[size] for size in plans)} |", "| --- " + "| ---: " * 3 + "|"]
    for name, show in rows.items():
        lines.append(f"| {name} | {' | '.join(show(*each) for each in plans.items())} |")
    return "\n".join([*lines, "<!-- end -->"])


def indexes() -> str:
    """The same images with each index: memory, and cores for the searches."""
    lines = [
        "| images | "
        + " | ".join(f"{i}: memory | cores" for i in ("HNSW", "IVF_SQ8", "DiskANN"))
        + " |",
        "| --- " + "| ---: " * 6 + "|",
    ]
    figures = Figures.last()
    for size, images in SIZES.items():
        cells = []
        for index in INDEXES:
            like = SHAPES[size]
            of = Plan(images, Shape(index, like.segment, like.node, like.weeks), figures)
            cells.append(f"{gib(of.memory)} | {of.search_cores:,.0f}")
        lines.append(f"| {NAMES[size]} | {' | '.join(cells)} |")
    return "\n".join([*lines, "<!-- end -->"])


def assumptions() -> str:
    """What was chosen, not measured."""
    rows: Mapping[str, str] = {
        "searches at the busiest time": f"{SEARCHES:.0f} a second",
        "a query node's memory is filled to": f"{LOADED:.0%}",
        "a core is busy": f"{BUSY:.0%} of the time",
        "an uploaded photograph": f"{MEDIA / 1e6:g} MB",
        "a core-hour": f"{PRICES['vcpu_hour']:g}",
        "a GiB of memory for an hour": f"{PRICES['gib_hour']:g}",
        "a GiB of SSD for a month": f"{PRICES['ssd_gib_month']:g}",
        "a GiB in the object store for a month": f"{PRICES['object_gib_month']:g}",
        "a month": f"{MONTH / 3600:.0f} hours",
    }
    lines = ["| assumed | |", "| --- | ---: |", *(f"| {a} | {b} |" for a, b in rows.items())]
    return "\n".join([*lines, "<!-- end -->"])


TABLES: Mapping[str, Callable[[], str]] = {
    "measured": measured,
    "sizes": sizes,
    "indexes": indexes,
    "assumptions": assumptions,
}


def gib(size: float) -> str:
    return f"{number(size / GIB)} GiB" if size < 1024 * GIB else f"{number(size / GIB / 1024)} TiB"


def machines(node: Node | None) -> str:
    if node is None:
        return "none"
    text = f"{node.count} x {node.cores:g} cores, {node.memory / GIB:.0f} GiB"
    return text + (f", {storage(node.ssd)[:-2]} GiB SSD" if node.ssd else "")


def days(weeks: float) -> str:
    return f"{7 * weeks:.0f} days" if weeks > 1 / 7 else "a day"


if __name__ == "__main__":
    write()
