"""A model that fails, hangs or ends its thread: what is told, and that the service recovers."""

import pytest

from imagefinder.serve.batcher import Batcher
from tests.busy.service import (
    SOON,
    Ask,
    Model,
    Serve,
    assert_at_rest,
    assert_found,
    image,
    metric,
    png,
    readiness,
    until,
)


@pytest.fixture(autouse=True)
def quick(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service looks at itself often, and soon takes the model for hanging."""
    monkeypatch.setattr("imagefinder.serve.probe.EVERY", 0.01)
    monkeypatch.setitem(Batcher.__init__.__kwdefaults__, "timeout", 0.2)


def test_not_ready_until_the_model_works(serve: Serve, model: Model) -> None:
    model.error = RuntimeError("/secret/path")
    service = serve()
    answer = service.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.json()["detail"] == "A search of its own failed; the log says why"
    assert service.client.get("/healthz").status_code == 200
    model.error = None
    until(lambda: readiness(service) == 200)
    assert_found(service.client.post("/v1/search", **image(png(1))), 1)


def test_a_model_that_takes_its_time_at_the_start(
    serve: Serve, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.serve.probe.STARTING", 0.01)
    monkeypatch.setitem(Batcher.__init__.__kwdefaults__, "timeout", 1000.0)
    model.open.clear()
    service = serve()
    assert service.client.get("/healthz").status_code == 200
    answer = service.client.get("/readyz")
    assert (answer.status_code, answer.json()["detail"]) == (503, "The service is starting")
    model.open.set()
    until(lambda: readiness(service) == 200)
    assert_found(service.client.post("/v1/search", **image(png(1))), 1)
    assert metric(service, "worker_restarts") == 0


def test_a_model_that_hangs_at_the_start(
    serve: Serve, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.serve.probe.STARTING", 0.01)
    model.open.clear()
    service = serve()
    assert readiness(service) == 503
    until(lambda: metric(service, "worker_restarts") > 0)
    model.open.set()
    until(lambda: readiness(service) == 200)
    assert_found(service.client.post("/v1/search", **image(png(1))), 1)


def test_a_model_that_hangs_later(serve: Serve, model: Model, ask: Ask) -> None:
    service = serve()
    assert readiness(service) == 200
    model.open.clear()
    hanging = ask(service, **image(png(0)))
    until(lambda: readiness(service) == 503)
    assert metric(service, "worker_restarts") > 0
    assert hanging.result(SOON).status_code >= 400
    model.open.set()
    until(lambda: readiness(service) == 200)
    assert_found(service.client.post("/v1/search", **image(png(1))), 1)
    assert_at_rest(service)


def test_a_model_that_ends_its_thread(
    serve: Serve, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.serve.probe.LATELY", 0.05)
    service = serve()
    until(lambda: readiness(service) == 200)
    model.error = SystemExit()
    until(lambda: readiness(service) == 503)
    answer = service.client.post("/v1/search", **image(png(0)))
    assert answer.status_code >= 400
    assert metric(service, "worker_restarts") > 0
    model.error = None
    until(lambda: readiness(service) == 200)
    assert_found(service.client.post("/v1/search", **image(png(1))), 1)
