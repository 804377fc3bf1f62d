"""Embeddings in two dimensions."""

import sys
import warnings

import numpy as np
import pytest

from imagefinder import projection
from imagefinder.arrays import Embeddings
from imagefinder.decode.silence import silence
from imagefinder.projection import Points, best_method, project

METHODS = ["t-SNE", "PCA"]


def unit(rows: np.ndarray) -> Embeddings:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def drawn(seed: int, count: int, dim: int) -> Embeddings:
    return unit(np.random.default_rng(seed).standard_normal((count, dim)))


def groups(each: int) -> tuple[Embeddings, np.ndarray]:
    """Four of them, and which row is in which; far apart beside their own spread."""
    centres = 8 * drawn(1, 4, 64)
    labels = np.repeat(np.arange(4), each)
    noise = np.random.default_rng(2).standard_normal((4 * each, 64))
    return unit(centres[labels] + 0.2 * noise), labels


def assert_inside(points: Points) -> None:
    """One axis from 0 to 1, and both centred."""
    assert np.isfinite(points).all()
    low, high = points.min(axis=0), points.max(axis=0)
    assert (low + high) / 2 == pytest.approx([0.5, 0.5])
    assert (high - low).max() == pytest.approx(1)


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both, with scikit-learn and as if it were not installed."""
    if request.param == "PCA":
        hide_sklearn(monkeypatch)
    return request.param


def hide_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where another test has imported it."""
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)


def test_like_lies_beside_like(method: str) -> None:
    assert best_method() == method
    rows, labels = groups(20)
    found = project(rows)
    assert found.method == method
    assert found.points.shape == (80, 2)
    assert_inside(found.points)
    apart = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (labels[apart.argmin(axis=1)] == labels).all()


def test_the_same_rows_give_the_same_points(method: str) -> None:
    rows = drawn(3, 60, 16)
    assert (project(rows).points == project(rows.copy()).points).all()


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 11, 31])
@pytest.mark.parametrize("dim", [1, 2, 3, 48])
def test_small_collections(method: str, count: int, dim: int) -> None:
    rows = drawn(count, count, dim)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = project(rows)
    assert found.points.shape == (count, 2)
    if np.ptp(rows, axis=0).max() > 0:
        assert_inside(found.points)
        assert found.method == (method if count >= 10 else "PCA")


def test_no_images() -> None:
    found = project(np.empty((0, 48), np.float32))
    assert found.points.shape == (0, 2)
    assert found.method == "PCA"


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_images_that_are_all_the_same_lie_in_the_middle(method: str, count: int) -> None:
    rows = np.repeat(drawn(4, 1, 48), count, axis=0)
    rows[0] += np.float32(1e-8)  # as other processors would have it
    assert (project(rows).points == 0.5).all()


def test_a_few_pictures_again_and_again(method: str) -> None:
    rows = np.repeat(drawn(5, 3, 48), [20, 15, 5], axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_inside(project(rows).points)


def test_pca_keeps_distances_where_two_dimensions_are_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hide_sklearn(monkeypatch)
    flat = np.random.default_rng(6).standard_normal((50, 2)) * [3, 1]
    basis, _ = np.linalg.qr(np.random.default_rng(7).standard_normal((300, 2)))
    points = project((flat @ basis.T + 1).astype(np.float32)).points

    def distances(places: np.ndarray) -> np.ndarray:
        return np.linalg.norm(places[:, None] - places[None], axis=2)[~np.eye(50, dtype=bool)]

    ratio = distances(points) / distances(flat)
    assert ratio == pytest.approx(ratio[0], rel=1e-3)


def test_one_thread_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that fight for a busy core take three times as long as one."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_info

    seen = []
    fit = TSNE.fit_transform

    def watched(self, rows):
        seen.extend(p["num_threads"] for p in threadpool_info() if p["user_api"] == "openmp")
        assert self.n_jobs == 1
        return fit(self, rows)

    monkeypatch.setattr(TSNE, "fit_transform", watched)
    assert project(drawn(8, 20, 16)).method == "t-SNE"
    assert seen
    assert set(seen) == {1}


@pytest.mark.parametrize("dim", [2, 15, 16, 48])
def test_the_warning_filters_of_the_process_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, dim: int
) -> None:
    def fail() -> None:
        raise AssertionError("other threads may be warned meanwhile")

    monkeypatch.setattr(warnings, "resetwarnings", fail)
    with silence():
        found = project(drawn(10, 200, dim))  # of fewer it looks at all
    assert found.method == "t-SNE"


def test_scikit_learn_can_be_used_beside_the_decoder() -> None:
    """It copies the warning filters to its threads, and the decoder's is not one of Python's."""
    from sklearn.manifold import trustworthiness

    rows, _ = groups(20)
    points = project(rows).points
    with silence():
        assert trustworthiness(rows, points, n_neighbors=10) > 0.9


def test_what_a_broken_installation_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    found = projection.project(drawn(9, 20, 16))
    assert found.method == "PCA"
    assert_inside(found.points)
