"""Several models at a service: added, filled, used and asked for over HTTP."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from imagefinder import ImageFinder, Upload
from imagefinder.ingest.fill import Kept
from imagefinder.local import LocalFinder
from imagefinder.serve import map as map_module
from imagefinder.serve.batcher import Batcher
from imagefinder.serve.filling import Filling
from imagefinder.serve.jobs import Job, working_on
from imagefinder.serve.options import Access, Key, ServeOptions
from imagefinder.serve.service import Service
from imagefinder.testing import FakeEmbedder, FakeTextEmbedder
from imagefinder.types import ImageRef
from tests.hub_server import HubServer
from tests.image_server import encoded
from tests.pictures import picture, write_pictures
from tests.serving import Served, serving
from tests.toy_catalogue import NAMES, forget, pull, toy_collection, toy_hub
from tests.toy_models import write_clip

SOON = 30.0  # seconds; what takes as long as that never comes


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with toy_hub(monkeypatch, tmp_path) as server:
        yield server


@pytest.fixture
def home(server: HubServer, tmp_path: Path) -> Path:
    """A collection of photos, whose only space is toy-a."""
    return toy_collection(tmp_path)


@pytest.fixture
def both(server: HubServer, tmp_path: Path) -> Path:
    """The same with toy-b."""
    return toy_collection(tmp_path, "toy-b")


@contextmanager
def service_of(
    home: Path, options: ServeOptions | None = None, key: str | None = None
) -> Iterator[Served]:
    with serving(ImageFinder.open(home / "c"), home / "photos", options, key=key) as service:
        yield service


def models(service: Served) -> dict[str, dict]:
    answer = service.client.get("/v1/models")
    assert answer.status_code == 200, answer.text
    return {model["name"]: model for model in answer.json()["models"]}


def filled(service: Served) -> dict[str, dict]:
    """The models, once nothing is being filled any more."""
    until(lambda: service.client.get("/v1/models").json()["filling"] is None)
    return models(service)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def search(service: Served, seed: int = 3, **form: str) -> dict:
    files = {"image": ("query.png", png(seed))}
    answer = service.client.post("/v1/search", data={"k": "6", **form}, files=files)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert isinstance(found, dict)
    return found


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


class Slow:
    """A fill comes to a halt as it reads its first image, until it is let `go`."""

    def __init__(self) -> None:
        self.begun, self.go = Event(), Event()

    def read(self, real: Callable[[Kept, ImageRef], bytes], kept: Kept, ref: ImageRef) -> bytes:
        self.begun.set()
        assert self.go.wait(SOON)
        return real(kept, ref)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    slow, real = Slow(), Kept.read
    monkeypatch.setattr(Kept, "read", lambda kept, ref: slow.read(real, kept, ref))
    yield slow
    slow.go.set()


def test_a_space_is_added_while_the_others_answer(home: Path, slow: Slow) -> None:
    with service_of(home) as service:
        before = search(service)["hits"]
        begun = service.client.post("/v1/spaces", data={"model": "toy-b"})
        assert begun.status_code == 202
        assert begun.json()["filling"] == "toy-b"
        assert slow.begun.wait(SOON)
        for _ in range(3):
            assert search(service)["hits"] == before
        assert models(service)["toy-b"] == {
            "name": "toy-b",
            "dim": 4,
            "default": False,
            "text": False,
            "distance": "cosine",
            "images": 0,
            "behind": 6,
        }
        # one at a time
        for name in ("toy-b", "toy-a"):
            refused = service.client.post("/v1/spaces", data={"model": name})
            assert (refused.status_code, "already" in refused.json()["detail"]) == (409, True)
        slow.go.set()
        done = filled(service)
        assert (done["toy-b"]["images"], done["toy-b"]["behind"]) == (6, 0)
        assert service.client.get("/v1/status").json()["spaces"] == ["toy-a", "toy-b"]
        found = search(service, space="toy-b")
        assert (found["model"], found["hits"][0]["id"]) == ("toy-b", "3.png")
        # again: it is brought up to date, which it is
        assert service.client.post("/v1/spaces", data={"model": "toy-b"}).status_code == 202
        assert filled(service)["toy-b"]["behind"] == 0


def test_uploads_while_a_space_is_filled_are_in_both(home: Path, slow: Slow) -> None:
    with service_of(home) as service, ThreadPoolExecutor() as pool:
        service.client.post("/v1/spaces", data={"model": "toy-b"})
        assert slow.begun.wait(SOON)
        sent = [
            pool.submit(service.client.post, "/v1/images", files={"image": (f"up-{n}.png", png(n))})
            for n in range(50, 56)
        ]
        until(lambda: service.client.get("/v1/status").json()["images"] == 12)
        gone = service.client.delete("/v1/images/2.png")
        slow.go.set()
        assert gone.status_code == 204
        assert {answer.result().status_code for answer in sent} == {201}
        done = filled(service)
        assert [(m["images"], m["behind"]) for m in done.values()] == [(11, 0), (11, 0)]
        for space in done:
            assert search(service, 53, space=space, k="1")["hits"][0]["id"] == "up-53.png"


def test_the_end_of_the_service_ends_the_filling(
    home: Path, monkeypatch: pytest.MonkeyPatch, slow: Slow
) -> None:
    """What is done is kept, and the next service knows what is left."""
    write_pictures(home / "photos", [f"more-{n:03}.png" for n in range(200)], first=100)
    with ImageFinder.open(home / "c") as finder:
        finder.index(home / "photos")
    real = Filling.close

    def close(filling: Filling) -> None:
        filling._stop.set()
        slow.go.set()
        real(filling)

    monkeypatch.setattr(Filling, "close", close)
    with service_of(home) as service:
        service.client.post("/v1/spaces", data={"model": "toy-b"})
        assert slow.begun.wait(SOON)
        begun = time.monotonic()
    assert time.monotonic() - begun < SOON / 2
    assert not [thread for thread in threading.enumerate() if thread.name == "fill"]
    with service_of(home) as service:
        left = models(service)["toy-b"]
        assert 0 < left["images"] < 206
        assert left["images"] + left["behind"] == 206
        service.client.post("/v1/spaces", data={"model": "toy-b"})
        assert filled(service)["toy-b"] == {**left, "images": 206, "behind": 0}


def test_nothing_is_begun_once_the_service_ends(home: Path) -> None:
    with ImageFinder.open(home / "c") as finder:
        assert isinstance(finder, LocalFinder)
        filling = Filling(finder)
        filling.close()
        assert not filling.start("toy-b", "cosine")
        assert [space.name for space in finder.spaces()] == ["toy-a"]


def test_who_may_change_spaces(both: Path) -> None:
    keys = (
        Key("r", "a-key-that-may-read", Access.READ),
        Key("w", "a-key-that-may-write", Access.WRITE),
    )
    asked = [
        ("POST", "/v1/spaces", {"data": {"model": "toy-b"}}, 202),
        ("PATCH", "/v1/spaces/toy-b", {"json": {"default": True}}, 200),
    ]
    with service_of(both, ServeOptions(keys=keys)) as service:
        for method, path, body, good in asked:
            ask = partial(service.client.request, method, path, **body)
            assert ask().status_code == 401
            assert ask(headers={"X-API-Key": "a-key-that-may-read"}).status_code == 403
            assert models_with(service, "a-key-that-may-read") == "toy-a"
            assert ask(headers={"X-API-Key": "a-key-that-may-write"}).status_code == good
        assert models_with(service, "a-key-that-may-read") == "toy-b"
        until(lambda: not [one for one in threading.enumerate() if one.name == "fill"])
    with service_of(both, ServeOptions(keys=keys, read_only=True)) as service:
        for method, path, body, _ in asked:
            headers = {"X-API-Key": "a-key-that-may-write"}
            refused = service.client.request(method, path, **body, headers=headers)
            assert (refused.status_code, "read-only" in refused.json()["detail"]) == (403, True)


def models_with(service: Served, key: str) -> str:
    """The space in use."""
    answer = service.client.get("/v1/models", headers={"X-API-Key": key})
    (used,) = [model["name"] for model in answer.json()["models"] if model["default"]]
    return str(used)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("nope", "nope: no such model; there are: "),
        ("toy-c", "imagefinder models pull toy-c"),
        ("toy-a:fp16", "there is no such variant"),
        ("toys/toy-c", "no such model"),
        ("./models/toy-c", "no such model"),
        ("", "model"),
    ],
)
def test_a_client_names_models_of_the_catalogue_that_are_here(
    home: Path, server: HubServer, model: str, told: str
) -> None:
    folder = home / "models" / "toy-c"
    with service_of(home) as service:
        for name in [model, str(folder)] if model == "nope" else [model]:
            refused = service.client.post("/v1/spaces", data={"model": name})
            assert refused.status_code in {400, 422}
            if name == model:
                assert told in refused.json()["detail"]
        assert service.client.post("/v1/spaces").status_code == 422
        wrong = service.client.post("/v1/spaces", data={"model": "toy-b", "distance": "far"})
        assert wrong.status_code == 422
        assert service.client.post("/v1/spaces", json={"model": "toy-b"}).status_code == 415
        assert list(models(service)) == ["toy-a"]
    assert server.requests == []


def test_which_space_is_used(both: Path) -> None:
    with service_of(both) as service:
        first, second = search(service), search(service, space="toy-b")
        assert first["hits"] != second["hits"]
        use = partial(service.client.patch, json={"default": True})
        told = use("/v1/spaces/toy-b")
        assert (told.status_code, told.json()["models"][1]["default"]) == (200, True)
        assert search(service)["hits"] == second["hits"]
        assert search(service)["model"] == "toy-b"
        status = service.client.get("/v1/status").json()
        assert (status["model"], status["dim"]) == ("toy-b", 4)
        assert service.client.get("/health").json()["model_version"] == "toy-b"
        embedded = service.client.post("/v1/embed", data={"id": "1.png"}).json()
        assert (embedded["model"], embedded["dim"]) == ("toy-b", 4)
        listed = service.client.get("/v1/images", params={"embeddings": "true"}).json()
        assert {len(image["embedding"]) for image in listed["images"]} == {4}
        assert service.client.get("/readyz").status_code == 200
        for name in (
            "nope",
            "toy-a%2Ftoy-b",
            "toy-b%2C",
            "%C3%BC",
            "..%2Ftoy-a",
            "toy-a%00",
            "%20",
        ):
            refused = use(f"/v1/spaces/{name}")
            assert refused.status_code == 404
        wrong = [{"default": False}, {"default": "perhaps"}, {}, {"default": True, "name": "x"}, []]
        for body in wrong:
            assert use("/v1/spaces/toy-a", json=body).status_code == 422, body
        assert use("/v1/spaces/toy-a", content=b"default=true", json=None).status_code == 422
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert use("/v1/spaces/toy-a", headers=form).status_code == 415
        assert models_with(service, "any") == "toy-b"
        use("/v1/spaces/toy-a")
        assert search(service)["hits"] == first["hits"]
    with service_of(both) as service:
        assert search(service)["hits"] == first["hits"]


class Odd(FakeEmbedder):
    """A model whose name is like those of the hub."""

    spec = FakeEmbedder.spec.__class__(
        name="org/Fa ke ü",
        dim=FakeEmbedder.spec.dim,
        preprocessing=FakeEmbedder.spec.preprocessing,
        sha256="odd",
    )


def test_a_space_with_a_name_as_on_the_hub(home: Path) -> None:
    with ImageFinder.open(home / "odd", embedder=Odd()) as finder:
        finder.index(home / "photos")
    odd = ImageFinder.open(home / "odd", embedder=Odd())
    with serving(odd, home / "photos") as service:
        found = search(service, space="org/Fa ke ü")
        assert (found["model"], found["hits"][0]["id"]) == ("org/Fa ke ü", "3.png")
        for path in ("org/Fa%20ke%20%C3%BC", "org%2FFa%20ke%20%C3%BC"):
            answer = service.client.patch(f"/v1/spaces/{path}", json={"default": True})
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", ["nope", "toy-a,nope", "toy-a,", ",", " toy-a", "../toy-a", "ü"])
def test_a_space_that_is_not_there(both: Path, name: str) -> None:
    with service_of(both) as service:
        files = {"image": ("query.png", png(3))}
        for path in ("/v1/search", "/v1/embed"):
            refused = service.client.post(path, data={"space": name}, files=files)
            assert refused.status_code == 400
            assert "there is: toy-a, toy-b" in refused.json()["detail"]
        refused = service.client.post(
            "/predict/", data={"model_name": name}, files={"file": ("q.png", png(3))}
        )
        assert refused.status_code == 400


def test_several_spaces_in_one_question(both: Path) -> None:
    options = ServeOptions(model_aliases={"resnet50": "toy-b"})
    with service_of(both, options) as service:
        local = service.finder
        for form, spaces in (
            ("toy-a,toy-b", ["toy-a", "toy-b"]),
            ("toy-b,toy-a", ["toy-b", "toy-a"]),
            ("resnet50,toy-a", ["toy-b", "toy-a"]),
        ):
            found = search(service, space=form)
            assert found["model"] == ",".join(spaces)
            hits = local.search(png(3), k=6, space=spaces)
            assert [(hit["id"], hit["score"]) for hit in found["hits"]] == [
                (hit.id, pytest.approx(hit.score)) for hit in hits
            ]
            assert {hit["confidence"] for hit in found["hits"]} == {None}
        refused = service.client.post(
            "/v1/embed", data={"space": "toy-a,toy-b"}, files={"image": ("q.png", png(3))}
        )
        assert (refused.status_code, "one space" in refused.json()["detail"]) == (400, True)
        for name in ("toy-b", "resnet50", ""):
            answer = service.client.post(
                "/predict/",
                data={"model_name": name, "nb_similar_images": "3", "ignore_duplicate": "false"},
                files={"file": ("q.png", png(3))},
            ).json()
            assert answer["pretrained_model"] == (name or "resnet50")
            hits = local.search(png(3), k=3, space="toy-b")
            assert answer["top_3_similar_images"] == [
                {"id": hit.id, "name": hit.id, "score": pytest.approx(hit.score)} for hit in hits
            ]


def test_words_in_several_spaces(home: Path) -> None:
    write_clip(home / "clip-1")
    write_clip(home / "clip-2")
    with ImageFinder.open(home / "c") as finder:
        finder.add_space(str(home / "clip-1"))
        finder.add_space(str(home / "clip-2"))
        wanted = finder.search("text:red", k=6, space="clip-1")
    with service_of(home) as service:
        told = {name: model["text"] for name, model in models(service).items()}
        assert told == {"toy-a": False, "clip-1": True, "clip-2": True}
        ask = partial(service.client.post, "/v1/search")
        found = ask(data={"text": "red", "space": "clip-1,clip-2", "k": "6"}).json()["hits"]
        assert [hit["id"] for hit in found] == [hit.id for hit in wanted]
        assert found[0]["score"] == 1
        for space in ("", "clip-1,toy-a"):
            refused = ask(data={"text": "red", "space": space})
            assert refused.status_code == 422
            assert "toy-a: the model has no text side" in refused.json()["detail"]
            assert "a space that has one (clip-1, clip-2)" in refused.json()["detail"]


def test_a_model_that_is_not_here_any_more(both: Path, server: HubServer) -> None:
    """No request waits for a download, or begins one."""
    forget(server, "toy-b")
    with service_of(both) as service:
        for path in ("/v1/search", "/v1/embed"):
            files = {"image": ("query.png", png(3))}
            refused = service.client.post(path, data={"space": "toy-b"}, files=files)
            assert refused.status_code == 422
            assert "imagefinder models pull toy-b" in refused.json()["detail"]
        answer = service.client.post("/v1/search", data={"space": "toy-b", "id": "3.png"})
        assert answer.json()["hits"][0]["id"] == "3.png"
        sent = service.client.post("/v1/images", files={"image": ("up.png", png(50))})
        assert sent.status_code == 201
        assert [model["behind"] for model in models(service).values()] == [0, 1]
        refused = service.client.post("/v1/spaces", data={"model": "toy-b"})
        assert (refused.status_code, "models pull" in refused.json()["detail"]) == (400, True)
        assert server.requests == []
        pull("toy-b")
        assert service.client.post("/v1/spaces", data={"model": "toy-b"}).status_code == 202
        assert filled(service)["toy-b"]["behind"] == 0
        assert search(service, 50, space="toy-b", k="1")["hits"][0]["id"] == "up.png"


def test_an_empty_collection_fetches_nothing_within_a_request(
    home: Path, server: HubServer, caplog: pytest.LogCaptureFixture
) -> None:
    def empty() -> LocalFinder:
        finder = ImageFinder.open(home / "empty", model="toy-c")
        assert isinstance(finder, LocalFinder)
        finder.create()
        return finder

    image = {"image": ("up.png", png(50))}
    with caplog.at_level(logging.CRITICAL), serving(empty(), home / "photos") as service:
        for path in ("/v1/search", "/v1/images"):
            refused = service.client.post(path, files=image)
            assert refused.status_code == 422
            assert "imagefinder models pull toy-c" in refused.json()["detail"]
    assert server.requests == []
    finder = empty()
    finder.fetch_models()  # as `imagefinder serve` does
    assert server.requests
    server.requests.clear()
    with serving(finder, home / "photos") as service:
        assert service.client.post("/v1/images", files=image).status_code == 201
        assert search(service, 50)["hits"][0]["id"] == "up.png"
    assert server.requests == []


def test_no_folder_of_this_machine_is_told(home: Path) -> None:
    folder = home / "My Models, old" / "toy-d"
    folder.parent.mkdir()
    (home / "models" / "toy-b").rename(folder)
    with ImageFinder.open(home / "c") as finder:
        finder.add_space(str(folder))
    answers = []
    with service_of(home) as service:
        answers += [service.client.get("/v1/models"), service.client.get("/v1/status")]
        for spoil in (lambda: (folder / "model.onnx").write_bytes(b"no graph"), folder.rename):
            spoil(*[home / "gone"] * (spoil == folder.rename))
            for path in ("/v1/search", "/v1/embed"):
                files = {"image": ("query.png", png(3))}
                answers.append(service.client.post(path, data={"space": "toy-d"}, files=files))
                assert answers[-1].status_code == 422
                assert "toy-d" in answers[-1].json()["detail"]
    for answer in answers:
        for word in ("My Models", ", old", home.name):
            assert word not in answer.text


def test_every_request_is_expected_by_one_batcher(
    both: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request for two spaces, and one that fails on the way, leave none waiting for them."""
    services: list[Service] = []
    real = Service.__init__

    def init(self: Service, *args: object) -> None:
        services.append(self)
        real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Service, "__init__", init)
    with service_of(both) as service, ThreadPoolExecutor(8) as pool:
        spaces = ["toy-a", "toy-b", "toy-a,toy-b", "toy-b,toy-a"]
        jobs = [pool.submit(search, service, n % 6, space=spaces[n % 4]) for n in range(40)]
        broken = {"image": ("broken.png", b"no picture")}
        bad = [
            pool.submit(service.client.post, "/v1/search", data={"space": space}, files=broken)
            for space in spaces
        ]
        for number, job in enumerate(jobs):
            assert job.result()["hits"][0]["id"] == f"{number % 6}.png"
        assert {answer.result().status_code for answer in bad} == {422}
        (one,) = services
        batchers = one._batchers
        assert sorted(batchers) == ["toy-a", "toy-b"]
        until(lambda: [batcher._coming for batcher in batchers.values()] == [0, 0])
        text = service.client.get("/metrics").text
        assert "imagefinder_queue_depth 0.0" in text
        assert "imagefinder_collection_images 6.0" in text


def test_a_job_is_expected_by_the_first_batcher_only() -> None:
    first, second = Batcher(FakeEmbedder(), threads=1), Batcher(FakeTextEmbedder(), threads=1)
    try:
        job = Job()
        first.expect(job)
        with working_on(job):
            second.embed(np.zeros((1, 3, 4, 4), np.float32))
            assert (first._coming, second._coming) == (1, 0)
            first.embed(np.zeros((1, 3, 4, 4), np.float32))
            second.embed(np.zeros((1, 3, 4, 4), np.float32))
        first.unexpect(job)
        second.unexpect(job)
        assert (first._coming, second._coming) == (0, 0)
    finally:
        first.close()
        second.close()


def test_requests_do_not_wait_for_images_that_none_waits_for() -> None:
    """A model on a CPU embeds one image after the other: what a fill has brought comes one by one,
    and after what requests have."""
    batches: list[list[float]] = []
    held, go = Event(), Event()

    class Model(FakeEmbedder):
        def embed(self, tensors: np.ndarray) -> np.ndarray:
            batches.append(tensors[:, 0, 0, 0].tolist())
            held.set()
            assert go.wait(SOON)
            return super().embed(tensors)

    def embed(*numbers: float, job: Job | None = None) -> np.ndarray:
        tensors = np.ones((len(numbers), 3, 4, 4), np.float32)
        tensors *= np.array(numbers, np.float32)[:, None, None, None]
        if job is None:
            return batcher.embed(tensors)
        with working_on(job):
            return batcher.embed(tensors)

    batcher = Batcher(Model(), threads=1, max_wait=None)
    with ThreadPoolExecutor() as pool:
        first = [pool.submit(embed, 1.0)]
        assert held.wait(SOON)
        first.append(pool.submit(embed, 2.0, 3.0))
        until(lambda: batcher.depth == 2)
        first.append(pool.submit(embed, 4.0, 5.0, job=Job()))
        until(lambda: batcher.depth == 4)
        go.set()
        assert [len(answer.result(SOON)) for answer in first] == [1, 2, 2]
    batcher.close()
    assert batches == [[1.0], [4.0, 5.0], [2.0], [3.0]]


def looked(service: Served) -> dict:
    found = service.client.get("/v1/map").json()
    assert isinstance(found, dict)
    return found


def drawn(service: Served) -> dict:
    until(lambda: not looked(service)["drawing"])
    return looked(service)


def test_the_map_is_of_the_space_in_use(both: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each space has its own, which is drawn once; none is taken for another's, not even where the
    space changes while it is drawn."""
    calls: list[int] = []
    begun, go = Event(), Event()
    real = map_module.project

    def project(rows: np.ndarray) -> object:
        calls.append(rows.shape[1])
        begun.set()
        assert go.wait(SOON)
        return real(rows)

    def use(name: str) -> None:
        answer = service.client.patch(f"/v1/spaces/{name}", json={"default": True})
        assert answer.status_code == 200

    monkeypatch.setattr(map_module, "project", project)
    with service_of(both) as service:
        assert looked(service)["drawing"]
        assert begun.wait(SOON)
        use("toy-b")
        meanwhile = looked(service)
        assert (meanwhile["model"], meanwhile["ids"]) == ("toy-b", [])
        go.set()
        second = drawn(service)
        assert (second["model"], sorted(second["ids"])) == ("toy-b", NAMES)
        use("toy-a")
        first = looked(service)
        assert (first["model"], sorted(first["ids"])) == ("toy-a", NAMES)
        assert (first["x"], first["y"]) != (second["x"], second["y"])
        first = drawn(service)
        use("toy-b")
        assert looked(service) | {"drawing": False} == second
        assert calls == [24, 4]
    with service_of(both) as service:
        assert looked(service) | {"drawing": False} == second
        use("toy-a")
        assert looked(service) | {"drawing": False} == first
        assert drawn(service) == first
    assert calls == [24, 4]


def test_what_the_library_adds_beside_the_service_is_in_both(both: Path) -> None:
    with service_of(both) as service:
        service.finder.add([Upload(png(70), "one.png")])
        assert [model["images"] for model in models(service).values()] == [7, 7]
