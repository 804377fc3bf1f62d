"""A small HTTP proxy before several services, for tests: each connection to the next one in turn.

A service that refuses the connection is passed over; what was sent to one is never sent to another.
Clients ask one thing a connection (`Connection: close`), and number it by `X-Request-ID`.
"""

import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from socketserver import BaseRequestHandler, ThreadingTCPServer

NUMBER = re.compile(rb"(?i)\r\nx-request-id: *([^\r\n]+)")
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
PIECE = 1 << 16  # bytes
SECONDS = 60.0  # for the next piece


@dataclass
class Passage:
    """A request on its way through. Times are of `time.monotonic`."""

    port: int  # of the service
    started: float
    ended: float | None = None


@dataclass
class Balancer:
    """`passages` has every request by its number."""

    ports: Sequence[int]
    passages: dict[str, Passage] = field(default_factory=dict)
    _turn: Iterator[int] = field(default_factory=count)

    def running_on(self, port: int) -> int:
        """How many requests are on their way to this service."""
        passages = list(self.passages.values())
        return sum(one.port == port and one.ended is None for one in passages)

    def serve(self, client: socket.socket) -> None:
        """One connection of a client: its request to a service, the answer back."""
        head, body = request_on(client)
        number = NUMBER.search(head)
        assert number, head
        port, service = self._dialled()
        with service:
            passage = self.passages[number[1].decode()] = Passage(port, time.monotonic())
            try:
                service.sendall(head + body)
                while piece := service.recv(PIECE):
                    client.sendall(piece)
            finally:
                passage.ended = time.monotonic()

    def _dialled(self) -> tuple[int, socket.socket]:
        """The next service that takes a connection. Raises OSError when none does."""
        first = next(self._turn)  # a second turn would be another's, too, and miss a service
        for other in range(len(self.ports)):
            port = self.ports[(first + other) % len(self.ports)]
            # refused, or taken and reset by one that is just being killed: nothing was sent yet
            with suppress(OSError):
                return port, socket.create_connection(("127.0.0.1", port), SECONDS)
        raise OSError("no service takes connections")


def request_on(client: socket.socket) -> tuple[bytes, bytes]:
    """The head of the request, and its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += received(client)
    head, blank, body = data.partition(b"\r\n\r\n")
    length = LENGTH.search(head)
    while length and len(body) < int(length[1]):
        body += received(client)
    return head + blank, body


def received(client: socket.socket) -> bytes:
    piece = client.recv(PIECE)
    if not piece:
        raise ConnectionResetError("the client hung up")
    return piece


class Listener(ThreadingTCPServer):
    request_queue_size = 100
    balancer: Balancer

    def handle_error(self, *_: object) -> None:
        """The client sees that its connection ends."""


class Handler(BaseRequestHandler):
    server: Listener

    def handle(self) -> None:
        self.request.settimeout(SECONDS)
        self.server.balancer.serve(self.request)


@contextmanager
def balancing(ports: Sequence[int]) -> Iterator[tuple[str, Balancer]]:
    """Its URL, while it runs. At its end it waits for what is on its way."""
    with Listener(("127.0.0.1", 0), Handler) as listener:
        listener.balancer = Balancer(ports)
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_address[1]}", listener.balancer
        finally:
            listener.shutdown()
            thread.join()
