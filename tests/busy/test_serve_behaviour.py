"""The service with more to do than it can, all kinds of it at once, and bad images among it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.busy.service import (
    DARK,
    SOON,
    WORKING,
    Ask,
    Model,
    Serve,
    admitted,
    assert_at_rest,
    assert_busy,
    assert_found,
    image,
    metric,
    png,
    readiness,
    until,
)
from tests.image_server import encoded
from tests.pictures import picture
from tests.serving import NAMES, served

# more than it can do


@pytest.mark.parametrize("waiting", [0, 3])
def test_overload_is_answered_at_once(serve: Serve, model: Model, ask: Ask, waiting: int) -> None:
    service = serve(max_waiting=waiting)
    model.open.clear()
    places = WORKING + waiting
    accepted = [ask(service, **image(png(number % 5))) for number in range(places)]
    admitted(service, places)
    for number in range(6):
        assert_busy(service.client.post("/v1/search", **image(png(number % 5))))
    assert_busy(service.client.get("/v1/status"))
    model.open.set()
    for number, answer in enumerate(accepted):
        assert_found(answer.result(SOON), number % 5)
    assert_at_rest(service)
    assert metric(service, "rejected_total") == 7
    assert metric(service, "dropped_total") == 0
    assert metric(service, "requests_total", route="/v1/search", status="200") == places
    assert metric(service, "requests_total", status="503") == 7
    assert_found(service.client.post("/v1/search", **image(png(2))), 2)


def test_health_is_told_while_nothing_else_moves(serve: Serve, model: Model, ask: Ask) -> None:
    service = serve(max_waiting=4)
    model.open.clear()
    answers = [ask(service, **image(png(0))) for _ in range(WORKING + 4)]
    admitted(service, WORKING + 4)
    for path in ("/ping", "/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert service.client.get(path).status_code == 200
    assert not any(answer.done() for answer in answers)
    model.open.set()
    for answer in answers:
        assert_found(answer.result(SOON), 0)


def test_a_request_that_takes_too_long(serve: Serve, model: Model, ask: Ask) -> None:
    service = serve(request_seconds=0.3)
    model.open.clear()
    assert_busy(service.client.post("/v1/search", **image(png(0))))
    waited = ask(service, "/v1/images", **image(png(8), "new.png")).result(SOON)
    assert_busy(waited)
    model.open.set()
    assert_at_rest(service)
    assert_found(service.client.post("/v1/search", **image(png(1))), 1)
    assert metric(service, "dropped_total") == 0
    assert metric(service, "rejected_total") == 2
    # nobody was told that it is there, so it was given up
    assert service.client.get("/v1/images/new.png").status_code == 404


def test_concurrent_requests_are_embedded_together(serve: Serve, model: Model, ask: Ask) -> None:
    service = serve()
    model.open.clear()
    first = ask(service, **image(png(0)))
    until(lambda: model.batches == [1])
    before = metric(service, "batch_size_count")
    others = [ask(service, **image(png(number))) for number in range(5)]
    until(lambda: metric(service, "queue_depth") == 5)
    model.open.set()
    assert_found(first.result(SOON), 0)
    for number, answer in enumerate(others):
        assert_found(answer.result(SOON), number)
    assert model.batches == [1, 5]
    assert metric(service, "batch_size_count") == before + 1
    assert metric(service, "stage_seconds_count", stage="embed") == 6


# one bad request


def test_an_image_that_the_model_fails_on_fails_alone(serve: Serve, model: Model, ask: Ask) -> None:
    service = serve()
    alone = {number: service.client.post("/v1/search", **image(png(number))) for number in (1, 2)}
    model.batches.clear()
    model.open.clear()
    first = ask(service, **image(png(0)))
    until(lambda: model.batches == [1])
    answers = {number: ask(service, **image(png(number))) for number in (1, 2)}
    dark, broken = ask(service, **image(DARK)), ask(service, **image(b"no image"))
    until(lambda: metric(service, "queue_depth") == 3)
    model.open.set()
    assert_found(first.result(SOON), 0)
    assert model.batches[:2] == [1, 3]
    for number, answer in answers.items():
        assert answer.result(SOON).json()["hits"] == alone[number].json()["hits"]
    assert dark.result(SOON).status_code == 422
    assert "the model failed: too dark" in dark.result(SOON).json()["detail"]
    assert broken.result(SOON).status_code == 422
    assert metric(service, "worker_restarts") == 0
    assert service.client.get("/readyz").status_code == 200


def test_an_added_image_that_the_model_fails_on_is_skipped_alone(
    serve: Serve, model: Model
) -> None:
    files = [("image", (f"{n}.png", data)) for n, data in enumerate([png(8), DARK, png(9), b""])]
    service = serve()
    answer = service.client.post("/v1/images", files=files)
    assert answer.status_code == 201
    assert sorted(answer.json()["added"]) == ["0.png", "2.png"]
    assert sorted(s["name"] for s in answer.json()["skipped"]) == ["1.png", "3.png"]


# adding while searching


def test_searching_while_adding(serve: Serve, ask: Ask) -> None:
    service = serve(max_waiting=100)

    def add(number: int) -> None:
        name = f"new/{number}.png"
        added = service.client.post("/v1/images", **image(png(number), name), data={"id": name})
        assert (added.status_code, added.json()["added"]) == (201, [name])
        found = service.client.post("/v1/search", **image(png(number)), data={"k": "1"})
        assert [hit["id"] for hit in found.json()["hits"]] == [name]
        assert found.json()["hits"][0]["score"] == pytest.approx(1, abs=1e-5)
        record = service.client.get(f"/v1/images/{name}")
        assert record.status_code == 200
        if number % 2:
            assert service.client.delete(f"/v1/images/{name}").status_code == 204
            assert service.client.get(f"/v1/images/{name}").status_code == 404

    searches = [ask(service, **image(png(number % 5))) for number in range(40)]
    with ThreadPoolExecutor(4) as adding:
        list(adding.map(add, range(100, 116)))
    for number, answer in enumerate(searches):
        assert_found(answer.result(SOON), number % 5)
    assert service.client.get("/v1/status").json()["images"] == len(NAMES) + 8
    assert_at_rest(service)


def test_two_who_add_one_id_at_once(serve: Serve, model: Model, ask: Ask) -> None:
    service = serve()
    model.open.clear()
    adds = [ask(service, "/v1/images", **image(png(number), "a.png")) for number in (20, 21)]
    admitted(service, 2)
    model.open.set()
    answers = [add.result(SOON) for add in adds]
    assert [answer.status_code for answer in answers] == [201, 201]
    bodies = sorted((answer.json() for answer in answers), key=lambda body: len(body["added"]))
    assert (bodies[0]["added"], bodies[1]["added"]) == ([], ["a.png"])
    assert [skipped["name"] for skipped in bodies[0]["skipped"]] == ["a.png"]
    assert "belongs to another image already" in bodies[0]["skipped"][0]["reason"]
    winner = next(n for n, a in zip((20, 21), answers, strict=True) if a.json()["added"])
    found = service.client.post("/v1/search", **image(png(winner))).json()["hits"][0]
    assert (found["id"], found["score"]) == ("a.png", pytest.approx(1, abs=1e-5))


# everything at once


def test_many_kinds_of_requests_at_once(serve: Serve) -> None:
    """Only what the description says is answered, and nothing is the service's fault but 503."""
    service = serve(max_waiting=2, serve_content=True)
    operations = service.client.get("/openapi.json").json()["paths"]
    large = encoded(picture(1, (2000, 1500)), "JPEG")
    kinds: list[tuple[str, str, str, dict[str, object]]] = [
        ("POST", "/v1/search", "/v1/search", image(png(1))),
        ("POST", "/v1/search", "/v1/search", image(large)),
        ("POST", "/v1/search", "/v1/search", image(large[:2000])),
        ("POST", "/v1/search", "/v1/search", image(DARK)),
        ("POST", "/v1/search", "/v1/search", image(b"")),
        ("POST", "/v1/search", "/v1/search", {"data": {"id": "bird.png"}}),
        ("POST", "/v1/search", "/v1/search", {"data": {"url": "http://127.0.0.1/x.png"}}),
        ("POST", "/v1/search", "/v1/search", {"data": {"filter": "=", "id": "bird.png"}}),
        ("POST", "/v1/images", "/v1/images", image(png(30), "new.png")),
        ("POST", "/v1/images", "/v1/images", image(b"bad", "bad.png")),
        ("POST", "/v1/embed", "/v1/embed", image(png(2))),
        ("GET", "/v1/images", "/v1/images", {}),
        ("GET", "/v1/images/{id}", "/v1/images/fish.png", {}),
        ("GET", "/v1/images/{id}", "/v1/images/none.png", {}),
        ("GET", "/v1/images/{id}/thumbnail", "/v1/images/fish.png/thumbnail", {}),
        ("GET", "/v1/images/{id}/content", "/v1/images/fish.png/content", {}),
        ("PATCH", "/v1/images/{id}", "/v1/images/fish.png", {"json": {"metadata": {"n": 1}}}),
        ("DELETE", "/v1/images/{id}", "/v1/images/new.png", {}),
        ("GET", "/v1/status", "/v1/status", {}),
    ]
    requests = [kinds[number % len(kinds)] for number in range(5 * len(kinds))]

    def send(kind: tuple[str, str, str, dict[str, object]]) -> httpx.Response:
        method, _, path, parts = kind
        return service.client.request(method, path, **parts)  # type: ignore[arg-type]

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(send, requests))
    assert_at_rest(service)
    answers += map(send, kinds)  # one after the other, so that none is too much
    for (method, template, *_), answer in zip([*requests, *kinds], answers, strict=True):
        documented = operations[template][method.lower()]["responses"]
        assert str(answer.status_code) in documented, (method, template, answer.text)
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
    assert {answer.status_code for answer in answers[-len(kinds) :]} == {
        200,
        201,
        204,
        400,
        404,
        422,
    }
    assert metric(service, "worker_restarts") == 0
    assert readiness(service) == 200


def test_a_finder_that_has_worked_before_is_served_in_batches(tmp_path: Path, model: Model) -> None:
    """As with --demo, which indexes first."""
    with served(tmp_path, embedder=model) as service:
        assert model.batches == [len(NAMES), 1]
        assert_found(service.client.post("/v1/search", **image(png(1))), 1)
        assert metric(service, "batch_size_count") == 2  # with the service's own
