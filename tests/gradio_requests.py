"""What Gradio's page sends, for tests without a browser."""

import re
from collections.abc import Mapping
from html import unescape

import httpx

API = "/gradio/gradio_api"


def upload(client: httpx.Client, data: bytes, name: str = "query.png") -> str:
    """The path on the server, as it tells it."""
    answer = client.post(f"{API}/upload", files={"files": (name, data)})
    assert answer.status_code == 200, answer.text
    path = answer.json()[0]
    assert isinstance(path, str)
    return path


def file(path: str, **more: object) -> Mapping[str, object]:
    """A file as Gradio's page names it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def search(
    client: httpx.Client,
    image: object,
    k: object = 3,
    ignore_duplicate: object = False,
    model: object = "fake",
) -> httpx.Response:
    """With a file, or with the path of an upload."""
    value = file(image) if isinstance(image, str) else image
    data = [value, model, k, ignore_duplicate]
    return client.post(f"{API}/run/search", json={"data": data, "session_hash": "abc"})


def gallery(answer: httpx.Response) -> list[tuple[str, str]]:
    """Caption and URL of each picture."""
    assert answer.status_code == 200, answer.text
    return [(item["caption"], item["image"]["url"]) for item in answer.json()["data"][1]]


def captions(answer: httpx.Response) -> list[str]:
    return [caption for caption, _ in gallery(answer)]


def told(answer: httpx.Response) -> str:
    """The words in place of pictures."""
    assert answer.status_code == 200, answer.text
    words, pictures = answer.json()["data"]
    assert pictures == []
    found = re.fullmatch(r'<p role="alert">(.*)</p>', words)
    assert found is not None
    return unescape(found[1])


def refused(answer: httpx.Response) -> bool:
    """By Gradio or by us."""
    return answer.status_code == 400 or bool(told(answer))
