"""What a space compares by: the scores are what the numbers say."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefinder import ImageFinder, ImagePart, Query, errors
from tests.pictures import write_pictures
from tests.toy_models import write_model

NAMES = [f"{number}.png" for number in range(8)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", NAMES)
    write_model(tmp_path / "toy", dim=12, seed=5, scale=3)
    return tmp_path


def opened(home: Path) -> ImageFinder:
    return ImageFinder.open(home / "collection", model=str(home / "toy"))


def rows_of(finder: ImageFinder) -> dict[str, np.ndarray]:
    return {record.id: row.astype(np.float64) for record, row in finder.embedded()}


@pytest.mark.parametrize("distance", ["euclidean", "dot"])
def test_a_space_of_another_distance(home: Path, distance: str) -> None:
    with opened(home) as finder:
        finder.index(home / "photos", distance=distance)  # type: ignore[arg-type]
        (state,) = finder.spaces()
        assert (state.name, state.distance) == (f"toy-{distance}", distance)
        rows = rows_of(finder)
        lengths = [float(np.linalg.norm(row)) for row in rows.values()]
        assert max(lengths) > 1.5 * min(lengths)  # as long as the model makes them
        query = finder.embed(home / "photos" / "3.png").astype(np.float64)
        np.testing.assert_array_equal(query, rows["3.png"])
        wanted = {
            id: float(row @ query) if distance == "dot" else -float(np.linalg.norm(row - query))
            for id, row in rows.items()
        }
        hits = finder.search(home / "photos" / "3.png", k=8)
        assert [hit.id for hit in hits] == sorted(wanted, key=lambda id: -wanted[id])
        for hit in hits:
            assert hit.score == pytest.approx(wanted[hit.id], rel=1e-5, abs=1e-5)
            assert hit.confidence is None
        assert hits == finder.search("id:3.png", k=8)


def test_a_mean_keeps_the_lengths(home: Path) -> None:
    with opened(home) as finder:
        finder.index(home / "photos", distance="euclidean")
        rows = rows_of(finder)
        first, second = home / "photos" / "1.png", home / "photos" / "2.png"
        query = Query((ImagePart(first, 3), ImagePart(second)))
        found = finder.embed(query)
        np.testing.assert_allclose(found, (3 * rows["1.png"] + rows["2.png"]) / 4, rtol=1e-5)
        nothing = Query((ImagePart(first, 0),))
        with pytest.raises(errors.UsageError, match="cancel out"):
            finder.search(nothing)


def test_copies_are_left_out_whatever_the_distance(home: Path) -> None:
    copy = home / "photos" / "copy.webp"
    with Image.open(home / "photos" / "3.png") as image:
        image.save(copy, lossless=True)
    with opened(home) as finder:
        finder.index(home / "photos", distance="dot")
        hits = finder.search("id:3.png", k=7, exclude_same=True)
        assert sorted(hit.id for hit in hits) == sorted(set(NAMES) - {"3.png"})


def test_one_model_by_two_distances(home: Path) -> None:
    with opened(home) as finder:
        finder.index(home / "photos")
        assert finder.add_space(str(home / "toy"), distance="dot").space == "toy-dot"
        assert [(space.name, space.distance) for space in finder.spaces()] == [
            ("toy", "cosine"),
            ("toy-dot", "dot"),
        ]
        assert finder.search("id:0.png", k=1)[0].score == pytest.approx(1)
        assert finder.search("id:0.png", k=8, space="toy-dot")[0].score > 1.5


def test_the_distance_of_a_space_stays(home: Path) -> None:
    with opened(home) as finder:
        finder.index(home / "photos", distance="dot")
        assert finder.index(home / "photos").unchanged == len(NAMES)
        with pytest.raises(errors.UsageError, match=r"compares by dot.*when a space is made"):
            finder.index(home / "photos", distance="cosine")
    with ImageFinder.open(home / "collection") as finder:
        assert finder.search("id:0.png", k=1)[0].score > 1.5
