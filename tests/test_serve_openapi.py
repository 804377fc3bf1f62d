"""The OpenAPI description: it is whole, its examples work, and the service keeps to it."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sysconfig import get_path
from urllib.parse import urlsplit

import pytest

from imagefinder.serve.options import Access, Key, ServeOptions
from imagefinder.types import Upload
from tests.image_server import encoded
from tests.pictures import picture
from tests.serving import Served, served

ROOT = Path(__file__).parent.parent
KEY = "a-key-that-may-write"
PROBLEM = "application/problem+json"

# DESIGN.md's contract. Something may be added; nothing of it may go.
CONTRACT = {
    ("POST", "/v1/search"),
    ("POST", "/v1/images"),
    ("GET", "/v1/images"),
    ("GET", "/v1/images/{id}"),
    ("PATCH", "/v1/images/{id}"),
    ("DELETE", "/v1/images/{id}"),
    ("GET", "/v1/images/{id}/thumbnail"),
    ("GET", "/v1/images/{id}/content"),
    ("POST", "/v1/embed"),
    ("GET", "/v1/status"),
    ("GET", "/v1/models"),
    ("GET", "/v1/skipped"),
    ("GET", "/ping"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
}
WITHOUT_PICTURE = {"search"}  # its example works as it stands
NEEDS_NETWORK = {"search_by_url"}  # its example is an address of the internet
FREE_NAMES = ("metadata", "/image_finder")  # the names in it are the user's


@contextmanager
def demonstrated(folder: Path, key: str | None = None) -> Iterator[Served]:
    """A service that has the image that the description speaks of."""
    keys = (Key("tests", key, Access.WRITE),) if key else ()
    with served(folder, ServeOptions(keys=keys, serve_content=True), key=key) as service:
        demo = encoded(picture(7, (416, 278)), "PNG")
        service.finder.add([Upload(demo, "big-cat-06.png", "big-cat-06", {"label": "big cat"})])
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with demonstrated(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def document(service: Served) -> dict:
    return service.client.get("/openapi.json").json()


def operations(document: dict) -> list[tuple[str, str, dict]]:
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


# schemathesis


def test_the_service_keeps_to_its_description(tmp_path: Path):
    with demonstrated(tmp_path) as service:
        run_schemathesis(service, "--max-examples=25")
        assert_all_succeeded(service)


def test_the_service_with_keys_keeps_to_its_description(tmp_path: Path):
    with demonstrated(tmp_path, KEY) as service:
        key = f"Authorization: Bearer {KEY}"
        run_schemathesis(service, "--phases=examples,coverage", "--header", key)


@pytest.mark.slow
def test_the_service_keeps_to_its_description_whatever_comes(tmp_path: Path):
    with demonstrated(tmp_path) as service:
        run_schemathesis(service, "--max-examples=300")
        assert_all_succeeded(service)


def run_schemathesis(service: Served, *options: str) -> None:
    command = [
        str(Path(get_path("scripts")) / "schemathesis"),
        "--config-file=tests/schemathesis.toml",
        "run",
        f"{service.url}/openapi.json",
        "--no-color",
        *options,
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def assert_all_succeeded(service: Served) -> None:
    """Else the requests were not worth much."""
    figures = service.client.get("/metrics").text
    reached = re.findall(
        r'requests_total\{method="(\w+)",route="([^"]+)",status="2\d\d"\} ([\d.]+)', figures
    )
    routes = {(method, path.replace(":id}", "}")) for method, path, _ in reached}
    assert routes >= CONTRACT


# what is in it


def test_the_routes_of_the_contract_are_described(document: dict):
    assert {(method, path) for method, path, _ in operations(document)} >= CONTRACT


def test_every_operation_says_what_it_does_and_what_can_go_wrong(document: dict):
    tags = {tag["name"] for tag in document["tags"]}
    for method, path, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert set(operation["tags"]) <= tags, path
        statuses = operation["responses"]
        assert any(status.startswith("2") for status in statuses), path
        assert "421" in statuses, path  # the least that can go wrong
        if path.startswith("/v1"):
            assert set(statuses) >= {"401", "429", "500", "503"}, path
        if path.startswith("/v1") and method != "GET":
            assert "403" in statuses, path
        if "{id}" in path:
            assert "404" in statuses, path


def test_errors_are_problem_details(document: dict):
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if path.startswith("/v1") and status >= "400":
                assert list(response["content"]) == [PROBLEM], (path, status)
                content = response["content"][PROBLEM]
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert content["example"]["status"] == int(status)
                assert ("headers" in response) == (status in {"401", "429", "503"})
    problem = document["components"]["schemas"]["Problem"]
    assert problem["required"] == ["type", "title", "status", "detail"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_names_for_clients_that_are_generated_are_short_and_unique(document: dict):
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert {"search", "embed", "add", "images", "image", "change", "remove"} <= set(names)


def test_keys_are_described_where_they_are_needed(document: dict, tmp_path: Path):
    assert "securitySchemes" not in document["components"]
    with demonstrated(tmp_path, KEY) as service:
        guarded = service.client.get("/openapi.json", headers={"Authorization": ""}).json()
    schemes = guarded["components"]["securitySchemes"].values()
    assert {scheme["type"] for scheme in schemes} == {"http", "apiKey"}
    assert len(guarded["security"]) == 2
    free = {path for _, path, operation in operations(guarded) if operation.get("security") == []}
    assert free == {"/ping", "/health", "/healthz", "/readyz"}


# its examples


def test_every_example_works(service: Served, document: dict):
    # what takes something away comes last
    for method, path, operation in sorted(operations(document), key=lambda one: one[0] == "DELETE"):
        if operation["operationId"] in NEEDS_NETWORK:
            continue
        # the one model that these tests have
        request = example_request(path.replace("{name}", "fake"), operation)
        answer = service.client.request(method, **request)
        status, response = next(
            (status, response)
            for status, response in operation["responses"].items()
            if status.startswith("2")
        )
        assert answer.status_code == int(status), (method, path, answer.text)
        kinds = response.get("content", {})
        if "application/json" in kinds:
            shown = example_of(document, kinds["application/json"])
            assert_alike(answer.json(), shown, path)
        elif kinds:
            kind = answer.headers["content-type"].partition(";")[0]
            assert kind in kinds or kind.partition("/")[0] + "/*" in kinds


def example_request(path: str, operation: dict) -> dict:
    """What the description shows, as httpx takes it."""
    request: dict = {"params": {}}
    for parameter in operation.get("parameters", []):
        values = [one["value"] for one in parameter.get("examples", {}).values()]
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", values[0])
        elif values:
            request["params"][parameter["name"]] = values[0]
    content = operation.get("requestBody", {}).get("content", {})
    if form := content.get("multipart/form-data"):
        request["data"] = form.get("example", {})
        if operation["operationId"] not in WITHOUT_PICTURE:
            jpeg = ("cat.jpg", encoded(picture(99), "JPEG"), "image/jpeg")
            request["files"] = [(part, jpeg) for part in form["encoding"]]
    elif "application/x-www-form-urlencoded" in content:
        request["data"] = {"model": "efficientnet-lite0"}
    elif content:
        whole = operation["operationId"] == "change"
        request["json"] = (
            {"metadata": {"label": "tiger", "draft": None}} if whole else {"default": True}
        )
    return {"url": path, **request}


def example_of(document: dict, content: dict) -> object:
    if "example" in content:
        return content["example"]
    schema = content["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return (
        schema["examples"][0]
        if "examples" in schema
        else [example_of(document, {"schema": schema["items"]})]
    )


def assert_alike(answer: object, shown: object, where: str) -> None:
    """The same names, all the way down; an answer may have fewer images in it."""
    assert isinstance(answer, (dict, list)) == isinstance(shown, (dict, list)), where
    if isinstance(answer, dict) and not where.endswith(FREE_NAMES):
        assert set(answer) == set(shown), where
        for name, value in answer.items():
            assert_alike(value, shown[name], f"{where} {name}")
    elif isinstance(answer, list) and answer and shown:
        assert_alike(answer[0], shown[0], where)


# the pages that show it


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_pages_load_everything_from_the_service(service: Served, page: str):
    answer = service.client.get(page)
    assert answer.headers["content-type"].startswith("text/html")
    links = re.findall(r"""\b(?:src|href)=["']([^"']+)""", answer.text)
    assert any(link.endswith(".js") for link in links)
    for link in links:
        assert not urlsplit(link).netloc, link
        assert service.client.get(link).status_code == 200, link
    assert "/openapi.json" in answer.text
    assert "://" not in re.sub(r"<!--.*?-->", "", answer.text, flags=re.DOTALL)
