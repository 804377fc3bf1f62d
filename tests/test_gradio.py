"""The Gradio app: what it answers, in a service and in a notebook."""

import base64
import os
import re
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the app needs its extra")

from imagefinder import ImageFinder
from imagefinder.errors import CollectionNotFoundError, StoreError, UsageError
from imagefinder.serve.gradio import gradio_app
from imagefinder.serve.gradio.uploads import Uploads
from imagefinder.serve.options import ServeOptions
from imagefinder.serve.problems import OverloadedError
from imagefinder.serve.service import Service
from tests.gradio_requests import API, captions, gallery, refused, search, told, upload
from tests.image_server import encoded
from tests.pictures import TURNED, picture
from tests.serving import NAMES, Served, served

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as Gradio is imported

KEPT = "private, max-age=86400"
NOT_THERE = "The image is not here any more; give it again"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    options = ServeOptions(max_results=20)
    with served(tmp_path_factory.mktemp("service"), options) as service:
        yield service


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


def jpeg_of(url: str) -> Image.Image:
    kind, _, data = url.partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(BytesIO(base64.b64decode(data)))


def test_the_gallery_is_captioned_with_scores_and_ids(service: Served) -> None:
    found = gallery(search(service.client, upload(service.client, png(1)), k=4))
    expected = service.finder.search(png(1), k=4)
    assert [caption for caption, _ in found] == [f"{hit.score:.3f} · {hit.id}" for hit in expected]
    assert found[0][0] == f"1.000 · {NAMES[1]}"
    first = jpeg_of(found[0][1])
    assert first.size == (40, 30)
    away = np.abs(np.asarray(first, int) - np.asarray(picture(1), int))
    assert away.mean() < 15  # of 255: it is the same picture, by JPEG


def test_a_duplicate_is_left_out_when_asked_for(service: Served) -> None:
    path = upload(service.client, png(2))
    assert captions(search(service.client, path))[0] == f"1.000 · {NAMES[2]}"
    others = captions(search(service.client, path, ignore_duplicate=True))
    assert len(others) == 3
    assert not any(NAMES[2] in caption for caption in others)


def test_an_upload_is_turned_upright_by_our_decoder(service: Served) -> None:
    turn = TURNED[6]
    assert turn is not None
    exif = Image.Exif()
    exif[0x0112] = 6
    data = BytesIO()
    picture(3).transpose(turn).save(data, "JPEG", quality=95, exif=exif)
    path = upload(service.client, data.getvalue(), "phone.jpg")
    assert captions(search(service.client, path))[0].endswith(f" · {NAMES[3]}")


def test_nothing_given_nothing_found(service: Served) -> None:
    assert captions(search(service.client, None)) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no picture at all", "query: "),
        (encoded(Image.new("1", (11_000, 10_000)), "PNG"), "110 megapixels, the limit is 100"),
        (b"", "query: "),
    ],
)
def test_an_image_that_cannot_be_read(service: Served, data: bytes, said: str) -> None:
    assert said in told(search(service.client, upload(service.client, data)))


@pytest.mark.parametrize("k", [0, 21, -1, 1e9, True, "3", None, [3], {"a": 1}])
def test_a_number_that_makes_no_sense(service: Served, k: object) -> None:
    answer = search(service.client, upload(service.client, png(1)), k=k)
    assert told(answer) == "The number of similar images must be between 1 and 20"


def test_another_model(service: Served) -> None:
    answer = search(service.client, upload(service.client, png(1)), model="resnet")
    assert told(answer) == "There is no such model here; there is fake"


@pytest.mark.parametrize("data", [[], ["a"], [1, 2, 3, 4], [{}, "fake", 3, False]])
def test_what_no_page_sends_is_the_senders_fault(service: Served, data: list[object]) -> None:
    answer = service.client.post(f"{API}/run/search", json={"data": data})
    assert refused(answer)


def test_an_upload_that_was_removed_meanwhile(service: Served) -> None:
    path = upload(service.client, png(4))
    Path(path).unlink()
    assert told(search(service.client, path)) == NOT_THERE


def test_an_image_whose_file_is_gone_has_a_sign_in_its_place(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        (service.pictures / NAMES[2]).unlink()
        found = dict(gallery(search(service.client, upload(service.client, png(2)), k=5)))
    gone = found.pop(f"1.000 · {NAMES[2]}")
    assert gone.startswith("data:image/svg+xml,%3Csvg")
    assert len(found) == 4
    assert all(url.startswith("data:image/jpeg") for url in found.values())


def test_overload_and_mistakes_are_said_in_a_sentence(
    service: Served, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = upload(service.client, png(1))
    for error, said in (
        (OverloadedError(2), "The service is busy; try again in 2 s"),
        (ZeroDivisionError(path), "Internal error; give the request id to the operator"),
        (StoreError(path), "The collection cannot be used at the moment; try again later"),
        (UsageError("<b>&"), "<b>&"),
    ):

        async def work(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(Service, "work", work)
        assert told(search(service.client, path)) == said
    assert "Traceback" not in capfd.readouterr().err


def test_searches_are_counted_with_the_others(service: Served) -> None:
    def embedded() -> float:
        text = service.client.get("/metrics").text
        [line] = re.findall(r'stage_seconds_count\{stage="embed"\} (\S+)', text)
        return float(line)

    path, before = upload(service.client, png(1)), embedded()
    search(service.client, path)
    assert embedded() == before + 1
    assert 'route="/gradio"' in service.client.get("/metrics").text


def test_the_upload_is_shown(service: Served) -> None:
    answer = service.client.get(f"{API}/file={upload(service.client, png(1))}")
    assert (answer.status_code, answer.content) == (200, png(1))


@pytest.mark.parametrize("root", ["", "/photos"])
def test_the_page_loads_below_any_prefix(tmp_path: Path, root: str) -> None:
    """All its links are relative: a proxy takes the prefix off before the service sees it."""
    with served(tmp_path, root_path=root) as service:
        assert service.client.get("/gradio").headers["location"] == "gradio/"
        page = service.client.get("/gradio/")
        assert page.status_code == 200
        assert service.client.head("/gradio/").headers["content-length"] == str(len(page.content))
        [script] = re.findall(r'<script type="module" crossorigin src="\./([^"]+)"', page.text)
        asset = service.client.get(f"/gradio/{script}")
        assert (asset.status_code, asset.headers["cache-control"]) == (200, KEPT)
        assert captions(search(service.client, upload(service.client, png(1))))


def test_uploads_are_bounded_and_private(tmp_path: Path) -> None:
    uploads = Uploads()
    try:
        assert uploads.folder.stat().st_mode & 0o077 == 0
        for number in range(5):
            (uploads.folder / str(number)).mkdir()
            (uploads.folder / str(number) / "a.png").write_bytes(b"x" * 100)
        uploads.make_room(most_bytes=250, kept=60)
        assert len(list(uploads.folder.rglob("*.png"))) == 2
        uploads.make_room(most_bytes=250, kept=-1)
        assert list(uploads.folder.rglob("*.png")) == []
    finally:
        uploads.remove()
    assert not uploads.folder.exists()


def test_old_uploads_make_way(service: Served) -> None:
    old, yesterday = Path(upload(service.client, png(1))), time.time() - 86_400
    os.utime(old, (yesterday, yesterday))
    new = Path(upload(service.client, png(2)))
    assert (old.exists(), new.exists()) == (False, True)


def test_uploads_are_gone_when_the_service_ends(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        path = Path(upload(service.client, png(1)))
        assert path.exists()
    assert not path.exists()
    assert not path.parent.parent.exists()


def test_a_collection_that_is_missing(tmp_path: Path) -> None:
    with (
        ImageFinder.open(tmp_path / "none") as finder,
        pytest.raises(CollectionNotFoundError),
    ):
        gradio_app(finder)
