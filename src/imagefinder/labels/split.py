"""Two parts of labelled images: one to learn from, one to be measured by."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from imagefinder.errors import UsageError


def split(
    ids: Sequence[str],
    classes: Mapping[str, str],
    groups: Sequence[int],
    *,
    test: float,
    seed: int,
) -> tuple[list[str], list[str]]:
    """The ids of the two parts, in their order; the same for the same seed.

    Each class gives the share `test` (0 to 1) of its images to the second part, as near as whole
    groups of copies allow; a class of two groups or more has at least one in each. `groups` is the
    number of each id's group; a group of several classes counts for its most common one. An id
    without a class is taken for one of a class of its own kind.
    """
    if not 0 < test < 1:
        raise UsageError(f"the test part is {test}; it must be a share between 0 and 1")
    rng = np.random.default_rng(seed)
    tested: set[int] = set()
    sizes = Counter(groups)
    for numbers in groups_of_classes(ids, classes, groups).values():
        tested |= chosen(rng.permutation(numbers).tolist(), sizes, test)
    sides: tuple[list[str], list[str]] = ([], [])
    for id, group in zip(ids, groups, strict=True):
        sides[group in tested].append(id)
    return sides


def split_by(
    ids: Sequence[str], values: Mapping[str, str], groups: Sequence[int], *, test: Collection[str]
) -> tuple[list[str], list[str], list[str]]:
    """The parts that a column makes: the second has the images whose value is one of `test`, the
    third those of them that have a copy in the first, which belong in neither.

    Raises UsageError where a part is empty.
    """
    numbered = list(zip(ids, groups, strict=True))
    train = [(id, group) for id, group in numbered if values.get(id) not in test]
    known = {group for _, group in train}
    rest = [(id, group) for id, group in numbered if values.get(id) in test]
    kept = [id for id, group in rest if group not in known]
    if not train or not kept:
        there = ", ".join(sorted(set(values.values()))[:20])
        raise UsageError(f"one part is empty with {', '.join(test)} as the test; there is: {there}")
    return [id for id, _ in train], kept, [id for id, group in rest if group in known]


def groups_of_classes(
    ids: Sequence[str], classes: Mapping[str, str], groups: Sequence[int]
) -> dict[str, list[int]]:
    """class -> its groups, in the order of their first ids."""
    named: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for id, group in zip(ids, groups, strict=True):
        named[group][classes.get(id, "")] += 1
    found: defaultdict[str, list[int]] = defaultdict(list)
    for group, counts in named.items():
        found[min(counts, key=lambda name: (-counts[name], name))].append(group)
    return {name: found[name] for name in sorted(found)}


def chosen(numbers: Sequence[int], sizes: Mapping[int, int], test: float) -> set[int]:
    """Of the shuffled groups of a class, those whose images come nearest to the share."""
    wanted = test * sum(sizes[number] for number in numbers)
    taken: set[int] = set()
    count = 0
    for number in numbers[: len(numbers) - 1]:  # one stays
        if abs(count + sizes[number] - wanted) < abs(count - wanted):
            taken.add(number)
            count += sizes[number]
    if not taken and len(numbers) > 1:
        taken.add(min(numbers, key=lambda number: sizes[number]))
    return taken
