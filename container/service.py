"""What the proof asks of a service on this machine, over HTTP."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

HOST = "127.0.0.1"


class RefusedError(Exception):
    """The answer was not a success; its status is the first argument."""


def wait_until_ready(port: int, seconds: float, alive: Callable[[], bool]) -> None:
    """Ask again and again. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while alive() and time.monotonic() < deadline:
        try:
            request(port, "GET", "/readyz")
        except (OSError, http.client.HTTPException, RefusedError):
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(f"not ready within {seconds:.0f} s" if alive() else "it has ended")


def search(port: int, image: Path, headers: Mapping[str, str] | None = None) -> list[str]:
    """The ids of the closest images, best first."""
    hits = upload(port, "/v1/search", image, headers or {})["hits"]
    return [hit["id"] for hit in hits]


def upload(port: int, path: str, image: Path, headers: Mapping[str, str]) -> Any:
    """Post a file in the field `image`."""
    boundary = uuid4().hex
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="image"; filename="{image.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + image.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    form = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return json.loads(request(port, "POST", path, body, {**headers, **form}))


def request(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The body of the answer. Raises RefusedError, OSError and HTTPException."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise RefusedError(answer.status, text.decode(errors="replace"))
    return text
