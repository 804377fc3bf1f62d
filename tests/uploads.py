"""Collections of uploaded pictures: made, and looked at from all sides."""

from hashlib import sha256
from pathlib import Path

import pytest

from imagefinder import ImageFinder
from imagefinder.testing import FakeEmbedder
from tests.image_server import encoded
from tests.pictures import picture


def opened(place: Path, **options: object) -> ImageFinder:
    return ImageFinder.open(place, **{"embedder": FakeEmbedder(), **options})  # type: ignore[arg-type]


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


def media(place: Path) -> set[str]:
    """The names of all files that are kept, whatever they are."""
    return {path.name for path in (place / "media").rglob("*") if path.is_file()}


def named(*images: bytes) -> set[str]:
    """What these are called where they are kept."""
    return {f"{sha256(data).hexdigest()}.png" for data in images}


def assert_whole(finder: ImageFinder, **images: bytes) -> None:
    """Exactly these are there: their bytes, what is known of them, and each is found."""
    assert {record.id for record in finder.images()} == set(images)
    for id, data in images.items():
        assert finder.read(id) == data
        assert finder.get(id).sha256 == sha256(data).hexdigest()
        scores = {hit.id: hit.score for hit in finder.search(data, k=len(images) + 1)}
        assert scores.keys() == images.keys()
        assert scores[id] == pytest.approx(1, abs=1e-5)
