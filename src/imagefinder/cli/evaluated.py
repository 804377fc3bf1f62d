"""How an evaluation is shown: a table for people, JSON for programs."""

from typing import TYPE_CHECKING

from imagefinder.cli.output import counted, note, plain, show_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagefinder.evaluate import Evaluation
    from imagefinder.evaluate.interval import Interval
    from imagefinder.evaluate.limits import Failure
    from imagefinder.labels import Judgements


def show(evaluation: "Evaluation") -> None:
    """A row a setting, a column a measure, as far as a line holds them; then the differences."""
    plan = evaluation.plan
    last = max(plan.ks)
    names = ["mAP", f"P@{min(plan.ks)}", f"R@{last}", f"nDCG@{last}", f"F{plan.beta:g}@{last}"]
    rows = [
        (setting.name, *(with_half(setting.measures[name]) for name in names))
        for setting in evaluation.settings
    ]
    show_rows(("setting", *names), rows, right=" ".join(names))
    for difference in evaluation.differences:
        if difference.measure == "mAP":
            found = difference.interval
            sure = "" if found.low > 0 or found.high < 0 else ", which may be chance"
            note(
                f"{plain(difference.of)} to {plain(difference.to)}: mAP {found.value:+.3f}"
                f" ({found.low:+.3f} to {found.high:+.3f}){sure}"
            )


def with_half(interval: "Interval") -> str:
    """`0.412 ± 0.03`"""
    return f"{interval.value:.3f} ± {interval.half:.2f}"


def tell_left_out(judgements: "Judgements", evaluation: "Evaluation") -> None:
    """What was measured, and what was not."""
    classes = f" of {counted(evaluation.classes, 'class', 'es')}" if evaluation.classes else ""
    note(
        f"{counted(len(evaluation.queries), 'search', 'es')}"
        f" among {counted(evaluation.images, 'image')}{classes}"
    )
    if judgements.unlabelled:
        note(f"{counted(judgements.unlabelled, 'image')} without a label, left out")
    if judgements.unknown:
        note(f"{counted(judgements.unknown, 'label')} for no image of the collection")
    if judgements.alone:
        note(
            f"{counted(judgements.alone, 'image')} without a right answer, as no other one has the"
            " label: not searched with"
        )
    for setting in evaluation.settings:
        if setting.missing:
            note(
                f"{plain(setting.name)} lacks {counted(setting.missing, 'image')} that was searched"
                " with, which count as searches that find nothing"
            )


def as_json(evaluation: "Evaluation", failed: "Sequence[Failure]") -> dict[str, object]:
    """An evaluation as `--json` shows it."""
    return {
        "queries": len(evaluation.queries),
        "images": evaluation.images,
        "classes": evaluation.classes,
        "seed": evaluation.plan.seed,
        "depth": evaluation.plan.depth,
        "settings": [
            {
                "name": setting.name,
                "measures": {name: bounds(each) for name, each in setting.measures.items()},
                "per_class": {
                    name: {**means.measures, "queries": means.queries}
                    for name, means in setting.per_class.items()
                },
            }
            for setting in evaluation.settings
        ],
        "differences": [
            {
                "measure": difference.measure,
                "of": difference.of,
                "to": difference.to,
                **bounds(difference.interval),
            }
            for difference in evaluation.differences
        ],
        "failed": [
            {
                "setting": failure.setting,
                "measure": failure.measure,
                "value": failure.value,
                "least": failure.least,
            }
            for failure in failed
        ],
    }


def bounds(interval: "Interval") -> dict[str, float]:
    """The value and the ends of its interval."""
    return {"value": interval.value, "low": interval.low, "high": interval.high}
