"""Every model that is on this machine, and the page about models, which has the figures.

    python -m benchmarks.models

writes docs/reference/models.md anew from the catalogue and the last result; a test compares the
committed page with what this makes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, TypeAlias

from benchmarks import page, results
from benchmarks.machine import ROOT
from benchmarks.model_run import ModelRun, model_run
from benchmarks.results import Figure, number
from imagefinder.ingest.run import BATCH
from imagefinder.models import Model, RowModel, catalog
from imagefinder.models.catalog import package_rows
from imagefinder.models.row import ModelRow
from tools.retrieval_quality import demo_images

PAGE = ROOT / "docs" / "reference" / "models.md"
GRAPH, SPEED, MEMORY = "graph", "images embedded", "peak memory"
MAP, LOW, HIGH = "mAP", "mAP, 95% from", "mAP, 95% to"
FIRST, FIVE = "precision at 1", "precision at 5"
PROCESSES, ROUNDS = 3, 3

Result: TypeAlias = Mapping[str, Any]  # of a file in results/
Row: TypeAlias = Sequence[object]

NOT_MEASURED = ("not measured", *[""] * 6)
LEFT, RIGHT = "---", "---:"
TITLES = {
    "model": LEFT,
    "dimension": RIGHT,
    "input": RIGHT,
    "download": RIGHT,
    "licence": LEFT,
    "text": LEFT,
    "variants": LEFT,
    "tried with": LEFT,
}
MEASURED = {
    "model": LEFT,
    "dimension": RIGHT,
    "graph": RIGHT,
    "images/s": RIGHT,
    "memory": RIGHT,
    "mAP (95% interval)": LEFT,
    "precision at 1": RIGHT,
    "precision at 5": RIGHT,
}
TEXT = """\
# Model table

This page is made from the catalogue and from the last result of `make bench-models`. How models are
fetched, added and chosen is in [Search by several models](../how-to/models.md).

## The catalogue

{catalogue}

{tried}
The others were tried with stand-ins: small graphs of the same structure, under the same file names,
from a server that speaks the hub's protocol. So it is known of those that they are fetched, that
the right output is taken, and that images are found with it. How well the real ones find images,
how fast they are and how much memory they take is not known, unless it stands below.

The download is about what all files of a model take, the text side included. A variant is another
graph of the model, given as `NAME:VARIANT`.

## Measured

{measured}

{provenance}

`make bench-models` measures the models whose files are on the machine, each in processes of its
own, on the CPU. `imagefinder models pull NAME` brings files there, and
`make bench-models ARGS="--model ./my-model"` measures a model of your own besides. A run replaces
all figures, so that those of one table are of one machine. *Not measured* means that the files were
not there.

- **Dimension** is the length of the embeddings that came out.
- **Graph** is the file that embeds pictures, as it lies on the disk; a text side is not counted.
- **Images/s** is of embedding the {images} demo images from their decoded pixels, preprocessing
  included, as indexing does it: one thread a core, {batch} images a task. Reading, decoding and
  storing are not in it; with them it is [less](../benchmarks.md). The median of {rounds} rounds in
  each of {processes} processes.
- **Memory** is the most that such a process held at once, mapped files included, while it loaded
  the model, with its text side, and embedded the demo images from their files. A collection is not
  open. The median of the processes.
- **mAP and precision** are of the demo images, {images} drawings of {labels} kinds of things. Each
  is a query against the {others} others, by the cosine, and those of its kind are the right ones.
  mAP is the mean of the average precision over the whole ranking, with its interval by bootstrap
  over the queries; precision at 1 and at 5 is the share of right ones among the first, and among
  the first five, which would be {by_chance} by chance. The set is small and has no photographs:
  what is better here may not be so with your images.

[Scores of different models cannot be compared](../explanation/scores.md): each spreads them in its
own way. What can be compared is the order of their hits, as mAP does.

A variant has embeddings of its own, and so a space of its own and a row of its own here, once it
was measured. The weights of `fp16` are half as large; on the CPU it need not be faster. An 8-bit
graph (`quantized`) may make something else of the same image on another processor: with such a
graph of the built-in model, embeddings of two processors agreed to a cosine of 0.79 only
([decision 2](../decisions/0002-fp32-not-int8.md)). So its figures hold for one kind of processor,
and its embeddings should stay on it.
"""


def run(quick: bool, models: Sequence[Model] = ()) -> list[Figure]:
    """The models of the catalogue that are here, their variants, and `models` besides.

    They take turns, each time in a new process, so that a machine that gets faster or slower does
    so for all."""
    processes, rounds, images = 1, 1, 24
    if not quick:
        processes, rounds, images = PROCESSES, ROUNDS, len(demo_images()[0])
    named = {model.name: model for model in (*present(), *models)}
    runs: dict[str, list[ModelRun]] = {name: [] for name in named}
    for _ in range(processes):
        for name, model in named.items():
            runs[name].append(model_run(model.reference, rounds, images))
    return [figure for name, of_model in runs.items() for figure in figures(name, of_model)]


def present() -> list[Model]:
    """Those of the catalogue that need no network."""
    rows = catalog().values()
    models = [RowModel(row, variant) for row in rows for variant in ("", *row.variants)]
    return [model for model in models if model.present]


def figures(name: str, runs: Sequence[ModelRun]) -> Iterator[Figure]:
    """Of one model. Its embeddings are the same in each run, so that their quality is of one."""
    first, quality = runs[0], runs[0].quality
    speeds = tuple(speed for one in runs for speed in one.images_per_second)
    yield Figure(f"{name}: dimension", (first.dim,), "")
    yield Figure(f"{name}: {GRAPH}", (first.graph_bytes / 1e6,), "MB")
    yield Figure(f"{name}: {SPEED}", speeds, "images/s")
    yield Figure(f"{name}: {MEMORY}", tuple(one.peak_bytes / 1e6 for one in runs), "MB")
    yield Figure(f"{name}: {MAP}", (quality.mean_average_precision,), "")
    yield Figure(f"{name}: {LOW}", (quality.low,), "")
    yield Figure(f"{name}: {HIGH}", (quality.high,), "")
    yield Figure(f"{name}: {FIRST}", (quality.precision_at_1,), "")
    yield Figure(f"{name}: {FIVE}", (quality.precision_at_5,), "")


def write() -> None:
    """Bring the page up to date."""
    PAGE.write_text(rendered(last()), encoding="utf-8")


def last() -> Result:
    """The last result; empty where there is none."""
    file = results.RESULTS / "models.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def rendered(result: Result) -> str:
    """The page. Rows that users added are no part of it, unless they were measured."""
    rows = package_rows()
    labels = demo_images()[1].tolist()
    others = len(labels) - 1
    facts = {
        "catalogue": table(TITLES, [facts_of(row) for row in rows.values()]),
        "tried": tried(rows),
        "measured": table(MEASURED, measured(result, rows)),
        "provenance": page.provenance(dict(result)) if result else "Nothing was measured yet.",
        "batch": BATCH,
        "rounds": ROUNDS,
        "processes": PROCESSES,
        "images": len(labels),
        "labels": len(set(labels)),
        "others": others,
        "by_chance": f"{fmean(labels.count(label) - 1 for label in labels) / others:.3f}",
    }
    return TEXT.format_map(facts)


def facts_of(row: ModelRow) -> Row:
    """What the catalogue says of a model."""
    download = f"{number(row.bytes / 1e6)} MB" if row.bytes else "in the package"
    return (
        f"`{row.name}`",
        row.dim,
        f"{row.size} px",
        download,
        row.licence,
        "yes" if row.text else "no",
        ", ".join(f"`:{variant}`" for variant in row.variants),
        "real files" if row.tried else "stand-ins",
    )


def tried(rows: Mapping[str, ModelRow]) -> str:
    """Which models, in words."""
    names = [f"`{row.name}`" for row in rows.values() if row.tried]
    if len(names) == 1:
        return f"Only {names[0]} was tried with its real files."
    return f"{', '.join(names[:-1])} and {names[-1]} were tried with their real files."


def measured(result: Result, rows: Mapping[str, ModelRow]) -> Iterator[Row]:
    """The models of the catalogue, measured or not, and then what else was measured."""
    values: dict[str, dict[str, float]] = {}
    for figure in result.get("figures", ()):
        name, _, what = figure["name"].rpartition(": ")
        values.setdefault(name, {})[what] = figure["value"]
    for name in (*rows, *(name for name in values if name not in rows)):
        yield (f"`{name}`", *(figures_of(values[name]) if name in values else NOT_MEASURED))


def figures_of(values: Mapping[str, float]) -> Row:
    """Of one model, as they stand in the table."""
    return (
        number(values["dimension"]),
        f"{number(values[GRAPH])} MB",
        number(values[SPEED]),
        f"{number(values[MEMORY])} MB",
        f"{values[MAP]:.3f} ({values[LOW]:.3f} to {values[HIGH]:.3f})",
        f"{values[FIRST]:.3f}",
        f"{values[FIVE]:.3f}",
    )


def table(titles: Mapping[str, str], rows: Iterable[Row]) -> str:
    lines = [tuple(titles), tuple(titles.values()), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


if __name__ == "__main__":
    write()
