"""Clients that hang up or are slow, and slow servers of others: what they take from the rest."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_network

import pytest

from tests.busy.service import (
    SOON,
    WORKING,
    Ask,
    Model,
    Serve,
    admitted,
    assert_at_rest,
    assert_busy,
    assert_found,
    connected,
    image,
    metric,
    png,
    raw,
    until,
)
from tests.image_server import ImageServer
from tests.serving import NAMES


def test_a_client_that_hangs_up_while_its_image_queues(
    serve: Serve, model: Model, ask: Ask
) -> None:
    service = serve()
    model.open.clear()
    first = ask(service, **image(png(0)))
    until(lambda: model.batches == [1])
    with connected(service) as gone:
        gone.sendall(raw(service, "/v1/search", **image(png(1))))
        until(lambda: metric(service, "queue_depth") == 1)
    until(lambda: metric(service, "dropped_total") == 1)
    model.open.set()
    assert_found(first.result(SOON), 0)
    assert_at_rest(service)
    assert model.batches == [1]
    assert metric(service, "requests_total", status="499") == 1


def test_a_client_that_hangs_up_before_its_turn_frees_its_place_at_once(
    serve: Serve, model: Model, ask: Ask
) -> None:
    service = serve(max_waiting=1)
    model.open.clear()
    answers = [ask(service, **image(png(0))) for _ in range(WORKING)]
    admitted(service, WORKING)
    with connected(service) as gone:
        gone.sendall(raw(service, "/v1/search", **image(png(1))))
        admitted(service, WORKING + 1)
        assert_busy(service.client.post("/v1/search", **image(png(2))))
    admitted(service, WORKING)
    answers.append(ask(service, **image(png(0))))
    admitted(service, WORKING + 1)
    model.open.set()
    for answer in answers:
        assert_found(answer.result(SOON), 0)
    assert sum(model.batches) == WORKING + 1
    assert_at_rest(service)


def test_images_of_a_client_that_hangs_up_are_not_added(serve: Serve, model: Model) -> None:
    """Not the ones that the model works on, and the next ones are not even decoded."""
    service = serve()
    model.open.clear()
    files = [("image", (f"{number}.png", png(number))) for number in range(20, 40)]
    with connected(service) as gone:
        gone.sendall(raw(service, "/v1/images", files=files))
        until(lambda: len(model.batches) == 1)
    until(lambda: metric(service, "dropped_total") == 1)
    model.open.set()
    assert_at_rest(service)
    assert model.batches == [model.prepared]
    assert service.client.get("/v1/status").json()["images"] == len(NAMES)


def test_a_body_that_trickles_in_takes_no_place(serve: Serve) -> None:
    service = serve(max_waiting=0)
    request = raw(service, "/v1/search", **image(png(3)))
    with ExitStack() as connections:
        slow = [connections.enter_context(connected(service)) for _ in range(3 * WORKING)]
        for trickle in slow:
            trickle.sendall(request[:-100])
        assert_found(service.client.post("/v1/search", **image(png(2))), 2)
        admitted(service, 0)
        slow[0].sendall(request[-100:])
        answer = b""
        while NAMES[3].encode() not in answer:
            more = slow[0].recv(100_000)
            assert more, answer
            answer += more
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert_at_rest(service)


@pytest.fixture
def pictures() -> Iterator[ImageServer]:
    """Answers once its `before` allows it."""
    with ImageServer().running() as server:
        yield server


LOOPBACK = (ip_network("127.0.0.0/8"),)


def test_slow_servers_take_no_place_of_those_who_upload(
    serve: Serve, ask: Ask, pictures: ImageServer
) -> None:
    service = serve(max_waiting=0, allowed_networks=LOOPBACK)
    gate = threading.Event()
    pictures.before.append(gate)
    answers = [ask(service, data={"url": pictures.url("x.jpg")}) for _ in range(WORKING + 4)]
    for _ in answers:
        assert pictures.arrived.acquire(timeout=SOON)
    admitted(service, 0)
    assert_found(service.client.post("/v1/search", **image(png(1))), 1)
    gate.set()
    # all come to the work at once then, where there may be too many
    statuses = {answer.result(SOON).status_code for answer in answers}
    assert 200 in statuses <= {200, 503}
    assert_at_rest(service)


def test_too_many_slow_servers_at_once(
    serve: Serve,
    ask: Ask,
    pictures: ImageServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("imagefinder.serve.service.FETCHES", 2)
    service = serve(allowed_networks=LOOPBACK)
    gate = threading.Event()
    pictures.before.append(gate)
    answers = [ask(service, data={"url": pictures.url("x.jpg")}) for _ in range(2)]
    for _ in answers:
        assert pictures.arrived.acquire(timeout=SOON)
    assert_busy(service.client.post("/v1/search", data={"url": pictures.url("y.jpg")}))
    gate.set()
    assert [answer.result(SOON).status_code for answer in answers] == [200, 200]
    assert metric(service, "rejected_total") == 1
    answer = service.client.post("/v1/search", data={"url": pictures.url("y.jpg")})
    assert answer.status_code == 200
