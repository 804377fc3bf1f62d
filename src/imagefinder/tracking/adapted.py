"""What is kept of an adaptation in a run."""

from typing import TYPE_CHECKING

from imagefinder._version import __version__
from imagefinder.sources.address import redact
from imagefinder.tracking.measured import bounds

if TYPE_CHECKING:
    from imagefinder.adapt import Adaptation, Plan
    from imagefinder.tracking.digest import DataSet
    from imagefinder.tracking.runs import Run


def planned(plan: "Plan", *, labels: str | None, collection: str) -> dict[str, object]:
    """The parameters that are known before anything is learned."""
    return {
        "labels": redact(labels or "metadata"),
        "collection": redact(collection),
        "label": plan.label,
        "test share": plan.test,
        "seed": plan.seed,
        "precision": plan.precision,
        "beta": f"{plan.beta:g}",
        "imagefinder": __version__,
    }


def log_adaptation(run: "Run", result: "Adaptation", data: "DataSet | None" = None) -> None:
    """What was tried, what it is worth on the part that nothing was learned from, and, where it was
    kept, the model. `data` is what was learned from."""
    if data is not None:
        run.data(data, "training")
    run.parameters(
        {
            "base": result.base,
            "method": result.method,
            "kind": result.kind,
            "measure": result.measure,
            "train": result.train,
            "test": result.test,
            "space": result.space,
        }
    )
    intervals = {
        f"{result.measure}_before": result.before,
        f"{result.measure}_after": result.after,
        "difference": result.difference,
    }
    run.metrics(
        {
            **bounds(intervals),
            "chance": result.chance,
            "kept": int(result.kept),
            "threshold": result.operating.threshold,
            "precision": result.operating.precision,
            "recall": result.operating.recall,
            **{f"tried/{one.name}": one.mean for one in result.tried},
        }
    )
    if result.kept and result.folder is not None:
        run.folder(result.folder, "model")
