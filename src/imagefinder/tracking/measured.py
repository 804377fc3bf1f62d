"""What is kept of an evaluation in a run, or of several settings in a run each."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from imagefinder._version import __version__
from imagefinder.evaluate.curves import RECALL, precision_by_recall
from imagefinder.local import LocalFinder
from imagefinder.report import plots
from imagefinder.sources.address import redact
from imagefinder.tracking.digest import labelled

if TYPE_CHECKING:
    from imagefinder.evaluate import Evaluation, Plan
    from imagefinder.evaluate.interval import Interval
    from imagefinder.evaluate.run import Measured
    from imagefinder.finder import ImageFinder
    from imagefinder.labels import Judgements
    from imagefinder.report import Page
    from imagefinder.tracking.runs import Run

# A drawing takes its inks from the page that it is in; alone it brings them along.
ALONE = "<style>svg{--ink:#1f2933;--soft:#52606d;--line:#cbd2d9;--accent:#0d9488}</style>"


def decided(plan: "Plan", *, labels: str | None, collection: str | None) -> dict[str, object]:
    """The parameters that are known before anything is measured."""
    return {
        "labels": redact(labels or "metadata"),
        "collection": None if collection is None else redact(collection),
        "ks": ",".join(map(str, plan.ks)),
        "beta": f"{plan.beta:g}",
        "queries": plan.queries,
        "seed": plan.seed,
        "depth": plan.depth,
        "imagefinder": __version__,
    }


def log_evaluation(
    run: "Run",
    evaluation: "Evaluation",
    page: "Page",
    judgements: "Judgements",
    finder: "ImageFinder",
    *,
    labels: str | None,
    collection: str | None,
) -> None:
    """The measures with their intervals, the classes, its `page` and the plots; of several settings
    each has a run within this one, so that MLflow compares them side by side. `labels` is where the
    right answers stand, None for the metadata of the `collection`, which is None where images were
    indexed for the measuring."""
    run.data(labelled(finder, judgements, labels, collection), "evaluation")
    run.parameters(
        {"searches": len(evaluation.queries), "images": evaluation.images}
        | ({"classes": evaluation.classes} if evaluation.classes else {})
    )
    if len(evaluation.settings) == 1:
        log_setting(run, finder, evaluation.settings[0])
    else:
        for setting in evaluation.settings:
            with run.child(setting.name) as own:
                own.parameters(decided(evaluation.plan, labels=labels, collection=collection))
                log_setting(own, finder, setting)
        for one in evaluation.differences:
            name = f"{one.measure}_{one.of}_to_{one.to}"
            run.metrics(bounds({name: one.interval}))
    run.text(page.render(), "report.html")
    lines = {
        setting.name: (
            RECALL,
            precision_by_recall(judgements, evaluation.queries, setting.rankings),
        )
        for setting in evaluation.settings
    }
    run.text(alone(plots.curve(lines, x="recall", y="precision")), "precision_by_recall.svg")


def log_setting(run: "Run", finder: "ImageFinder", setting: "Measured") -> None:
    """What one space, or several that are fused, is worth."""
    run.parameters({"space": setting.name, "fingerprint": fingerprint_of(finder, setting.name)})
    run.metrics(bounds(setting.measures))
    if setting.missing:
        run.metrics({"missing": setting.missing})
    if setting.per_class:
        classes = [
            {"class": name, "queries": means.queries, **means.measures}
            for name, means in setting.per_class.items()
        ]
        run.json(classes, "per_class.json")
        worst = sorted(setting.per_class, key=lambda name: setting.per_class[name].measures["mAP"])
        values = {name: setting.per_class[name].measures["mAP"] for name in worst}
        run.text(alone(plots.bars(values, label="mAP")), "per_class.svg")


def fingerprint_of(finder: "ImageFinder", spaces: str) -> str | None:
    """Which models made these spaces; None where that is not told, as by a service."""
    if not isinstance(finder, LocalFinder):
        return None
    entries = finder.collection.ledger.spaces.entries()
    known = [entries[name].fingerprint for name in finder.named(spaces) if name in entries]
    return ",".join(known) or None


def bounds(intervals: "Mapping[str, Interval]") -> dict[str, float]:
    """The values, and the ends of their intervals."""
    named: dict[str, float] = {}
    for name, one in intervals.items():
        named |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
    return named


def alone(svg: str) -> str:
    """A drawing of a page as a file of its own."""
    return re.sub(r"(<svg[^>]*>)", lambda found: found[1] + ALONE, svg, count=1)
