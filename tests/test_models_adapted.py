"""Adapted models: a folder with a projection, used as any model, filled without reading images."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from imagefinder import ImageFinder, Skipped, errors
from imagefinder.models import AdaptedModel, find_model
from imagefinder.models.description import DESCRIPTION, PROJECTION, Description
from imagefinder.models.onnx.embedder import OnnxEmbedder
from imagefinder.models.projected import Projection, save_adapted
from tests.pictures import picture, write_pictures
from tests.toy_models import write_model

NAMES = [f"{number:02}.png" for number in range(12)]
DIM, NARROW = 24, 5


def projection(seed: int = 7, dim: int = DIM, narrow: int = NARROW) -> Projection:
    numbers = np.random.default_rng(seed)
    mean = 0.1 * numbers.standard_normal(dim, dtype=np.float32)
    return Projection(mean, numbers.standard_normal((dim, narrow), dtype=np.float32))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of pictures, a model, and one that was adapted from it."""
    write_pictures(tmp_path / "photos", NAMES)
    base = write_model(tmp_path / "toy", dim=DIM)
    fingerprint = find_model(str(base)).load().spec.fingerprint
    save_adapted(
        tmp_path / "adapted",
        Description(str(base), fingerprint, "by hand", 0.7, {"seed": 7}),
        projection(),
    )
    return tmp_path


@pytest.fixture
def finder(home: Path) -> Iterator[ImageFinder]:
    with ImageFinder.open(home / "c", model=str(home / "toy")) as finder:
        finder.index(home / "photos")
    with ImageFinder.open(home / "c") as finder:
        yield finder


@pytest.fixture
def nothing_is_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: OnnxEmbedder, tensors: np.ndarray) -> np.ndarray:
        raise AssertionError("an image was embedded")

    monkeypatch.setattr(OnnxEmbedder, "embed", fail)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_a_projection_is_of_unit_rows() -> None:
    project = Projection(
        np.array([0.5, 0], dtype=np.float32), np.array([[1, 2], [3, 4]], dtype=np.float32)
    )
    rows = np.array([[3, 4], [0, 5], [0, 0]], dtype=np.float32)
    # (0.6 - 0.5, 0.8), (-0.5, 1), (-0.5, 0) times the matrix
    expected = [[2.5, 3.4], [2.5, 3.0], [-0.5, -1.0]]
    np.testing.assert_allclose(project(rows), expected, rtol=1e-6)
    assert project(rows).dtype == np.float32


def test_the_space_is_made_of_what_is_embedded_already(
    home: Path, finder: ImageFinder, nothing_is_embedded: None
) -> None:
    told: list[tuple[int, int | None]] = []
    shutil.rmtree(home / "photos")  # not even needed
    report = finder.add_space(
        str(home / "adapted"), on_progress=lambda *progress: told.append(progress)
    )
    assert (report.space, report.added, report.skipped) == ("adapted", len(NAMES), 0)
    assert told[-1] == (len(NAMES), len(NAMES))
    assert finder.spaces()[1].behind == 0
    base = finder.embeddings(NAMES, space="toy")  # type: ignore[attr-defined]
    made = finder.embeddings(NAMES, space="adapted")  # type: ignore[attr-defined]
    for name in NAMES:
        expected = unit(projection()(base[name][None])[0])
        np.testing.assert_allclose(made[name], expected, atol=1e-6)


def test_a_picture_is_embedded_as_the_images_were(home: Path, finder: ImageFinder) -> None:
    finder.add_space(str(home / "adapted"))
    finder.use_space("adapted")
    for name in NAMES[:4]:
        hit = finder.search(home / "photos" / name, 1)[0]
        assert (hit.id, hit.score) == (name, pytest.approx(1, abs=1e-5))
    with pytest.raises(errors.ModelError, match="no text side"):
        finder.search("text:red")
    finder.use_space("toy")  # and back
    assert finder.search(home / "photos" / NAMES[0], 1)[0].id == NAMES[0]


def test_new_images_come_into_both(home: Path, finder: ImageFinder) -> None:
    finder.add_space(str(home / "adapted"))
    picture(50).save(home / "photos" / "new.png")
    assert finder.index(home / "photos").added == 1
    assert [(state.images, state.behind) for state in finder.spaces()] == [(13, 0), (13, 0)]
    found = finder.embeddings(["new.png"], space="toy")["new.png"]  # type: ignore[attr-defined]
    made = finder.embeddings(["new.png"], space="adapted")["new.png"]  # type: ignore[attr-defined]
    np.testing.assert_allclose(made, unit(projection()(found[None])[0]), atol=1e-6)


def test_what_the_base_lacks_is_embedded(home: Path) -> None:
    write_model(home / "other", dim=4, seed=5)
    with ImageFinder.open(home / "c", model=str(home / "other")) as finder:
        finder.index(home / "photos")
    with ImageFinder.open(home / "c") as finder:  # has no space of the base at all
        assert finder.add_space(str(home / "adapted")).added == len(NAMES)
        assert finder.search(home / "photos" / NAMES[3], 1, space="adapted")[0].id == NAMES[3]


def test_a_run_that_is_stopped_goes_on(home: Path, finder: ImageFinder) -> None:
    stop = Event()
    stop.set()
    first = finder.add_space(str(home / "adapted"), stop=stop)
    assert (first.added, first.interrupted) == (0, True)
    assert finder.add_space(str(home / "adapted")).added == len(NAMES)


def test_rows_that_come_to_nothing_are_told(home: Path, finder: ImageFinder) -> None:
    description = find_model(str(home / "adapted")).description  # type: ignore[attr-defined]
    nothing = Projection(projection().mean, np.zeros((DIM, 2), dtype=np.float32))
    save_adapted(home / "nothing", description, nothing)
    skipped: list[Skipped] = []
    report = finder.add_space(str(home / "nothing"), on_skipped=skipped.append)
    assert (report.added, report.skipped) == (0, len(NAMES))
    assert sorted(one.id for one in skipped) == NAMES
    assert {one.reason for one in skipped} == {"the model gives no embedding of it"}


def test_another_version_of_the_base_is_refused(home: Path) -> None:
    shutil.rmtree(home / "toy")
    write_model(home / "toy", dim=DIM, seed=9)
    with pytest.raises(errors.ModelError, match="made of another version of toy"):
        find_model(str(home / "adapted")).load()


def test_a_base_that_is_gone_is_told(home: Path) -> None:
    shutil.rmtree(home / "toy")
    with pytest.raises(errors.ModelError, match=r"made of cannot be found: .*toy"):
        find_model(str(home / "adapted")).load()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (DESCRIPTION, b"{"),
        (DESCRIPTION, b"[]"),
        (DESCRIPTION, b'{"base": "toy"}'),
        (PROJECTION, b""),
        (PROJECTION, b"PK\x03\x04 cut short"),
    ],
)
def test_a_damaged_folder_is_told(home: Path, file: str, content: bytes) -> None:
    (home / "adapted" / file).write_bytes(content)
    with pytest.raises(errors.ModelError, match=f"{file}: this adapted model cannot be read"):
        find_model(str(home / "adapted")).load()


@pytest.mark.parametrize(
    ("mean", "matrix", "reason"),
    [
        (np.zeros(3, np.float32), np.ones((3, 2), np.float32), "takes 3 numbers"),
        (np.zeros(DIM, np.float32), np.ones((3, 2), np.float32), "do not fit"),
        (np.zeros(DIM), np.ones((DIM, 2)), "must be float32"),
        (np.full(DIM, np.nan, np.float32), np.ones((DIM, 2), np.float32), "not finite"),
        (np.array([{}] * DIM), np.ones((DIM, 2), np.float32), "Object arrays"),
    ],
)
def test_arrays_that_cannot_be_are_told(
    home: Path, mean: np.ndarray, matrix: np.ndarray, reason: str
) -> None:
    np.savez(home / "adapted" / PROJECTION, mean=mean, matrix=matrix, allow_pickle=True)
    with pytest.raises(errors.ModelError, match=reason):
        find_model(str(home / "adapted")).load()


def test_saving_takes_no_folder_that_is_there(home: Path) -> None:
    with pytest.raises(errors.UsageError, match="there is one already"):
        save_adapted(home / "adapted", Description("toy", "toy:1", "by hand"), projection())
    model = find_model(str(home / "adapted"))
    assert isinstance(model, AdaptedModel)
    assert (model.name, model.present, model.has_text) == ("adapted", True, False)
    assert model.description.threshold == 0.7
    assert json.loads((home / "adapted" / DESCRIPTION).read_text())["facts"] == {"seed": 7}
    assert sorted(path.name for path in home.iterdir()) == ["adapted", "photos", "toy"]
