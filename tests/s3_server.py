"""A real S3 server on this machine: moto's, over HTTP, with a record of what it was asked."""

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIEnvironment

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import S3Backend, s3_backends
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

KEY, SECRET = "testing", "testing"
_NUMBERS = count(1)


class S3Server(ThreadedMotoServer):
    """`requests` counts `GET bucket/key`, and `LIST bucket` for a listing. `fault` is called with
    the method and the path before an answer; True from it ends the connection without one."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 0, verbose=False)
        self.requests: Counter[str] = Counter()
        self.sent = 0  # bytes of all answers
        self.fault: Callable[[str, str], bool] = lambda method, path: False
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        host, port = self.get_host_and_port()
        return f"http://{host}:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """What programs need to find it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def bucket(self, name: str | None = None) -> "Bucket":
        """A new one."""
        name = name or f"bucket-{next(_NUMBERS)}"
        self.backend.create_bucket(name, "us-east-1")
        return Bucket(self, name)

    @property
    def backend(self) -> S3Backend:
        """What the server answers from; the same without HTTP, for what is not the test."""
        return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]

    def client(self, service: str = "s3"):
        return boto3.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )

    def asked(self, method: str) -> int:
        """How many requests of a method there were."""
        return sum(n for what, n in self.requests.items() if what.startswith(f"{method} "))

    def _server_entry(self) -> None:  # as moto's, with the record around it
        app = DomainDispatcherApplication(create_backend_app)

        def recorded(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            method, path = environ["REQUEST_METHOD"], unquote(environ["PATH_INFO"].lstrip("/"))
            listing = method == "GET" and "list-type" in environ.get("QUERY_STRING", "")
            with self._lock:
                self.requests[f"{'LIST' if listing else method} {path}"] += 1
            if self.fault("LIST" if listing else method, path):
                raise ConnectionAbortedError
            answer = b"".join(app(environ, start))
            with self._lock:
                self.sent += len(answer)
            return [answer]

        server: BaseWSGIServer = make_server(
            self._ip_address, self._port, recorded, True, request_handler=_Handler
        )
        self._server = server
        self._server_ready_event.set()
        server.serve_forever(0.05)

    def stop(self) -> None:
        super().stop()
        assert self._server is not None
        self._server.server_close()


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def run_wsgi(self) -> None:
        self.environ = self.make_environ()
        super().run_wsgi()

    def connection_dropped(self, error: BaseException, environ: object = None) -> None:
        self.close_connection = True

    def log(self, type: str, message: str, *args: object) -> None:
        """Quiet."""


class Bucket:
    """`url` is its `s3://` address."""

    def __init__(self, server: S3Server, name: str) -> None:
        self.server, self.name, self.url = server, name, f"s3://{name}"

    def put(self, objects: dict[str, bytes]) -> None:
        for key, data in objects.items():
            self.server.backend.put_object(self.name, key, data)

    def get(self, key: str) -> bytes:
        return bytes(self.server.backend.get_object(self.name, key).value)

    def keys(self) -> list[str]:
        return sorted(self.server.backend.buckets[self.name].keys)

    def delete(self, *keys: str) -> None:
        for key in keys:
            self.server.backend.delete_object(self.name, key)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def forget_connections() -> None:
    """s3fs keeps file systems with what the environment said when they were made."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()


def without_s3fs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is not installed. fsspec remembers a driver that it has imported."""
    import fsspec.registry  # noqa: F401 - the name leads to something else

    for protocol in ("s3", "s3a"):
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol, raising=False)
    monkeypatch.setitem(sys.modules, "s3fs", None)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    pytest.importorskip("s3fs", reason="buckets need the extra")
    with s3_server() as server:
        for name in list(os.environ):
            if name.startswith(("AWS_", "FSSPEC_")):
                monkeypatch.delenv(name)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        forget_connections()
        yield server
        forget_connections()


@pytest.fixture
def bucket(s3: S3Server) -> Bucket:
    return s3.bucket()
