"""Adaptation: what separates classes is learned, noise is refused, and all of it can be undone."""

import json
from pathlib import Path

import numpy as np
import pytest

from imagefinder import ImageFinder, errors
from imagefinder.adapt import Plan, adapt
from imagefinder.adapt.choose import AS_IT_IS
from tests.faint_classes import CLASSES, EACH, found_right, write_classes


def test_what_separates_classes_is_learned(trees: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with ImageFinder.open(trees / "c") as finder:
        found = adapt(finder, trees / "photos", on_progress=lambda *progress: told.append(progress))
        assert found.kept
        assert (found.base, found.space) == ("toy", "toy-adapted")
        assert found.train + found.test == len(CLASSES) * EACH
        assert (found.kind, found.measure) == (f"images of {len(CLASSES)} classes", "mAP")
        assert found.before.value < 0.4  # by chance it is 0.25
        assert found.after.value > 0.9
        assert found.difference.value == pytest.approx(found.after.value - found.before.value)
        assert 0.4 < found.difference.low < found.difference.value < found.difference.high
        assert found.tried[0].name == found.method
        assert AS_IT_IS in [one.name for one in found.tried]
        assert told[-1] == (len(found.tried), len(found.tried))

        # nothing changes for who does not want it, and who does can search by it
        assert finder.status().model == "toy"
        states = {state.name: state for state in finder.spaces()}
        assert (states["toy-adapted"].images, states["toy-adapted"].behind) == (200, 0)
        new = trees / "new"
        write_classes(new, seed=99)
        right = found_right(finder, new, CLASSES, ["toy", "toy-adapted"])
        assert right["toy-adapted"] >= 15 > 10 > right["toy"]

        description = json.loads((found.folder / "adapted.json").read_text())
        assert description["facts"]["seed"] == 0
        assert description["facts"]["mAP after"] == pytest.approx(found.after.value)
        with pytest.raises(errors.UsageError, match="there is such a space already"):
            adapt(finder, trees / "photos")
        finder.drop_space("toy-adapted")
        assert finder.status().spaces == ("toy",)
        assert adapt(finder, trees / "photos").difference == found.difference  # the same again
        finder.drop_space("toy-adapted")


def test_noise_is_refused(trees: Path, tmp_path: Path) -> None:
    numbers = np.random.default_rng(5)
    with ImageFinder.open(trees / "c") as finder:
        rows = [f"{record.id},{numbers.choice(['x', 'y', 'z'])}" for record in finder.images()]
        table = tmp_path / "noise.csv"
        table.write_text("id,label\n" + "\n".join(rows) + "\n")
        for seed in range(2):
            found = adapt(finder, table, plan=Plan(seed=seed), name="noisy")
            assert not found.kept
            assert (found.space, found.folder) == (None, None)
        assert finder.status().spaces == ("toy",)
    assert not (trees / "c" / "models" / "noisy").exists()


def test_a_threshold_has_the_precision_that_is_wanted(trees: Path) -> None:
    with ImageFinder.open(trees / "c") as finder:
        strict = adapt(finder, trees / "photos", plan=Plan(precision=0.99), name="strict")
        loose = adapt(finder, trees / "photos", plan=Plan(precision=0.6), name="loose")
        for name in ("strict", "loose"):
            finder.drop_space(name)
    assert strict.operating.precision > 0.9
    assert strict.operating.threshold > loose.operating.threshold
    assert strict.operating.recall < loose.operating.recall


def test_labels_may_stand_in_metadata(trees: Path) -> None:
    with ImageFinder.open(trees / "m", model=str(trees / "toy")) as finder:
        table = trees / "photos.csv"
        rows = [
            f"photos/{name}/{number:02}.png,{name}" for name in CLASSES for number in range(EACH)
        ]
        table.write_text("path,tree\n" + "\n".join(rows) + "\n")
        finder.index(table)
        assert adapt(finder, plan=Plan(label="tree"), name="trees").space == "trees"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "../x"}, "a space's name begins with"),
        ({"space": "other"}, "other: there is no such space here; there is: toy"),
        ({"plan": Plan(test=0.99)}, "in one of the two parts"),
        ({"plan": Plan(test=1.5)}, "must be a share between 0 and 1"),
    ],
)
def test_what_cannot_be_is_told(trees: Path, options: dict[str, object], reason: str) -> None:
    with (
        ImageFinder.open(trees / "c") as finder,
        pytest.raises(errors.UsageError, match=reason),
    ):
        adapt(finder, trees / "photos", **options)  # type: ignore[arg-type]


def test_too_few_labels_are_told(trees: Path, tmp_path: Path) -> None:
    table = tmp_path / "few.csv"
    table.write_text("id,label\nash/00.png,a\nelm/00.png,b\n")
    with (
        ImageFinder.open(trees / "c") as finder,
        pytest.raises(errors.UsageError, match="2 labelled images of 2 classes: too few"),
    ):
        adapt(finder, table)


def test_imported_embeddings_are_told(trees: Path, tmp_path: Path) -> None:
    with ImageFinder.open(trees / "c") as finder:
        finder.export(tmp_path / "rows.npz")
    with ImageFinder.open(tmp_path / "other") as finder:
        finder.import_embeddings(tmp_path / "rows.npz", space="rows")
        with pytest.raises(errors.UsageError, match="rows: its embeddings were imported"):
            adapt(finder, trees / "photos")
