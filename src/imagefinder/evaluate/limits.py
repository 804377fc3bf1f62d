"""What is good enough: `mAP=0.4`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from imagefinder.errors import UsageError
from imagefinder.evaluate.run import Evaluation


@dataclass(frozen=True, slots=True)
class Limit:
    """A measure, and its least value."""

    measure: str
    least: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A setting that is below a limit."""

    setting: str
    measure: str
    value: float
    least: float


def parse_limit(text: str, names: Sequence[str]) -> Limit:
    """`MEASURE=VALUE`, the measure one of these. Raises UsageError."""
    name, _, number = text.partition("=")
    known = {each.casefold(): each for each in names}
    measure = known.get(name.strip().casefold())
    if measure is None:
        raise UsageError(
            f"--fail-under {text}: {name} is not measured; there is {', '.join(names)}"
        )
    try:
        least = float(number)
    except ValueError:
        least = math.nan
    if not 0 <= least <= 1:
        raise UsageError(f"--fail-under {text}: it is MEASURE=VALUE with a value between 0 and 1")
    return Limit(measure, least)


def failures(evaluation: Evaluation, limits: Sequence[Limit]) -> list[Failure]:
    """Every setting has to reach every limit."""
    return [
        Failure(setting.name, limit.measure, value, limit.least)
        for setting in evaluation.settings
        for limit in limits
        if (value := setting.measures[limit.measure].value) < limit.least
    ]
