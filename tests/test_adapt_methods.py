"""What the methods of adaptation learn, on numbers that are known beforehand."""

import numpy as np
import pytest

from imagefinder.adapt.examples import Examples
from imagefinder.adapt.held_out import mean_precisions
from imagefinder.adapt.methods import discriminant, methods, neighbours, whitening, within
from imagefinder.adapt.threshold import at_threshold, operating_point
from imagefinder.models.projected import Projection


def examples(rows: list[list[float]], classes: str, groups: list[int] | None = None) -> Examples:
    """With ids a, b, c ... and contents of their own."""
    ids = [chr(ord("a") + number) for number in range(len(rows))]
    unit = np.array(rows, dtype=np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return Examples(ids, unit, list(classes), ids, groups or list(range(len(rows))))


def noise(images: int, dim: int, seed: int = 0) -> np.ndarray:
    scale = np.linspace(0.2, 2, dim)
    rows = np.random.default_rng(seed).standard_normal((images, dim)) * scale
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def projected(rows: np.ndarray, projection: Projection) -> np.ndarray:
    return (rows - projection.mean) @ projection.matrix


def test_whitening_makes_every_direction_vary_alike() -> None:
    rows = noise(400, 32)
    found = projected(rows, whitening(16)(rows, [], 0))
    np.testing.assert_allclose(np.cov(found.T), np.eye(16), atol=1e-3)


def test_within_class_whitening_makes_what_classes_have_in_common_vary_alike() -> None:
    rows = noise(3000, 8)
    classes = ["x" if number % 2 else "y" for number in range(len(rows))]
    rows[::2, 0] += 1
    found = projected(rows, within("auto")(rows, classes, 0))
    inside = np.concatenate([part - part.mean(axis=0) for part in (found[::2], found[1::2])])
    np.testing.assert_allclose(np.cov(inside.T), np.eye(8), atol=0.1)


@pytest.mark.parametrize("method", [discriminant(2, "auto"), discriminant(2, 0.01), neighbours(2)])
def test_directions_that_tell_classes_apart_are_found(method) -> None:
    rows = np.random.default_rng(3).standard_normal((240, 6)).astype(np.float32)
    names = ["x", "y", "z"] * 80
    for number, name in enumerate(names):
        rows[number, 4:] = 0.05 * rows[number, 4:]
        rows[number, 4] += name == "x"
        rows[number, 5] += name == "y"
    projection = method(rows, names, 0)
    weights = np.abs(projection.matrix).sum(axis=1)
    assert weights[4:].min() > 2 * weights[:4].max()


def test_the_choice_depends_on_what_there_is() -> None:
    few, two, many = methods(20, 256, 3), methods(100, 48, 2), methods(5000, 256, 10)
    assert list(few)[:3] == [
        "whitening, 16",
        "within-class whitening, shrunk auto",
        "discriminant analysis, 2, shrunk auto",
    ]
    assert not any(name.startswith("discriminant") for name in two)
    assert "neighbourhoods, 32" in two
    assert "neighbourhoods, 32" not in many
    assert "whitening, 128" in many


def test_mean_precision_is_that_by_hand() -> None:
    # cosines to a: b 0.96, c 0.8, d 0.6; to b: a 0.96, c 0.936, d 0.8
    some = examples([[1, 0], [0.96, 0.28], [0.8, 0.6], [0.6, 0.8]], "xyxy")
    found = mean_precisions(some, queries=10, seed=0)
    # a finds c second; b finds d third; c (a 0.8, b 0.936, d 0.96) finds a third; d finds b second
    assert found == pytest.approx([1 / 2, 1 / 3, 1 / 3, 1 / 2])


def test_copies_are_neither_found_nor_in_two_folds() -> None:
    rows = noise(60, 4).tolist()
    some = examples(rows, "xyz" * 20, [number // 2 for number in range(60)])
    twins = Examples(some.ids, some.rows, some.classes, ["same"] * 60, some.groups)
    assert len(mean_precisions(twins, queries=60, seed=0)) == 0  # no query is left
    for learned, asked in some.folds(0):
        assert not set(learned.groups) & set(asked.groups)
        assert len(learned) + len(asked) == 60


def test_a_threshold_by_hand() -> None:
    # pairs: ab 0.96 right, ac 0.8, bc 0.936, cd 0.96 right, bd 0.8, ad 0.6
    some = examples([[1, 0], [0.96, 0.28], [0.8, 0.6], [0.6, 0.8]], "xxyy")
    scored = some.scored(0)
    scores, right = scored
    assert scores == pytest.approx([0.96, 0.8, 0.6, 0.936, 0.8, 0.96], abs=1e-3)
    assert right.tolist() == [True, False, False, False, False, True]
    found = operating_point(scored, precision=0.9, beta=1)
    assert (found.precision, found.recall) == (1, 1)
    assert found.threshold == pytest.approx(0.96, abs=1e-3)
    at = at_threshold(scored, 0.9)
    assert (at.precision, at.recall) == (pytest.approx(2 / 3), 1)
    nothing = at_threshold(scored, 1.1)
    assert (nothing.precision, nothing.recall) == (0, 0)


def test_pairs_of_copies_do_not_count() -> None:
    some = examples([[1, 0], [1, 0], [0, 1]], "xxy", [0, 0, 1])
    assert len(some.scored(0)[0]) == 2
