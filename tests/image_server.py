"""A web server of pictures for tests, with the faults that real ones have."""

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from urllib.parse import urlsplit

import httpx
from PIL import Image

from tests.pictures import picture


@dataclass(frozen=True)
class Reply:
    """One answer. `body` None is a picture that depends on the path."""

    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    drip: float = 0.0  # seconds between bytes of the body
    cut: int = 0  # bytes at the end that are announced and do not come
    reset: bool = False  # hang up without an answer


def jpeg(seed: int) -> bytes:
    return encoded(picture(seed), "JPEG")


def encoded(image: Image.Image, format: str) -> bytes:
    data = BytesIO()
    image.save(data, format)
    return data.getvalue()


class ImageServer:
    """Answers every path with a picture, unless `plan` says otherwise.

    `requests` counts by `host/path`, `most_at_once` what was under way together by host, as the
    client named it.
    """

    def __init__(self) -> None:
        self._plans: dict[str, deque[Reply]] = {}
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.seen: defaultdict[str, list[float]] = defaultdict(list)  # times, by path
        self.most_at_once: Counter[str] = Counter()
        # Called with `host/path` before an answer: may wait for something.
        self.before: list[threading.Barrier | threading.Event] = []
        self.arrived = threading.Semaphore(0)  # released once a request
        self._server = _QuietServer(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_port

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def plan(self, path: str, *replies: Reply) -> None:
        """The answers to the requests of a path in turn; the last one is given again and again."""
        self._plans["/" + path] = deque(replies)

    def transport(self) -> httpx.BaseTransport:
        """Stands in for the network: every host is this server."""
        return _EveryHost(self.port)

    @contextmanager
    def running(self) -> Iterator["ImageServer"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            for gate in self.before:
                gate.abort() if isinstance(gate, threading.Barrier) else gate.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def _reply_to(self, path: str) -> Reply:
        replies = self._plans.get(path)
        if replies is None:
            return Reply()
        return replies.popleft() if len(replies) > 1 else replies[0]

    @contextmanager
    def _counted(self, host: str, path: str) -> Iterator[Reply]:
        with self._lock:
            self.requests[host + path] += 1
            self.seen[path.lstrip("/")].append(time.monotonic())
            self._under_way[host] += 1
            self.most_at_once[host] = max(self.most_at_once[host], self._under_way[host])
            reply = self._reply_to(path)
        self.arrived.release()
        try:
            for gate in self.before:
                gate.wait(10)
            yield reply
        finally:
            with self._lock:
                self._under_way[host] -= 1

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - two objects in one place
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                host = urlsplit(f"//{self.headers['Host']}").hostname or ""
                with server._counted(host, self.path) as reply:
                    self._answer(reply)

            def _answer(self, reply: Reply) -> None:
                if reply.reset:
                    self.close_connection = True
                    return
                body = jpeg(sum(self.path.encode())) if reply.body is None else reply.body
                self.send_response(reply.status)
                if not {"Transfer-Encoding", "Content-Length"} & set(reply.headers):
                    self.send_header("Content-Length", str(len(body)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self._send(body[: len(body) - reply.cut], reply.drip)
                self.close_connection = self.close_connection or reply.cut > 0

            def _send(self, body: bytes, drip: float) -> None:
                try:
                    if not drip:
                        self.wfile.write(body)
                    for byte in body if drip else b"":
                        self.wfile.write(bytes([byte]))
                        time.sleep(drip)
                except OSError:  # the client has had enough
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of many a test."""


class _EveryHost(httpx.HTTPTransport):
    def __init__(self, port: int) -> None:
        super().__init__(limits=httpx.Limits(max_connections=None))
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        # The Host header was made from the URL before, so the server still sees it.
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        return super().handle_request(request)
