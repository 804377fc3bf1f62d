"""A server that nobody may reach, and a network of which the loopback addresses alone are real."""

import contextlib
import errno
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

PUBLIC, PUBLIC_6, SILENT = "93.184.216.34", "2606:4700::1111", "93.184.216.35"
_CONNECT, _GETADDRINFO = socket.socket.connect, socket.getaddrinfo


class Trap:
    """Listens on 127.0.0.1 and, where the machine has it, on ::1, on one port."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []  # of each request
        self._accepted, self._fences = Counter[str](), 0
        self._servers = self._listening()
        self.port = self._servers[0].server_port
        self.hosts = [server.server_address[0] for server in self._servers]

    def arrivals(self) -> int:
        """How many connections there were until now.

        They are accepted in turn, so once an own one was answered, all before it are counted.
        """
        for host in self.hosts:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as fence:
                fence.settimeout(5)
                _CONNECT(fence, (host, self.port))
                fence.sendall(b"GET /fence HTTP/1.0\r\n\r\n")
                while fence.recv(1000):
                    pass
        self._fences += len(self.hosts)
        return self._accepted.total() - self._fences

    @contextlib.contextmanager
    def running(self) -> Iterator["Trap"]:
        threads = [threading.Thread(target=s.serve_forever, args=(0.01,)) for s in self._servers]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            for server in self._servers:
                server.shutdown()
                server.server_close()
            for thread in threads:
                thread.join()

    def _listening(self) -> list[ThreadingHTTPServer]:
        for _ in range(20):
            first = self._server("127.0.0.1", 0)
            try:
                return [first, self._server("::1", first.server_port)]
            except OSError as error:
                if error.errno != errno.EADDRINUSE:  # no IPv6 here
                    return [first]
                first.server_close()
        raise AssertionError("no port is free on both addresses")

    def _server(self, host: str, port: int) -> ThreadingHTTPServer:
        trap = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path != "/fence":
                    trap.headers.append(dict(self.headers))
                self.send_response(200)
                self.send_header("Set-Cookie", "seen=1")
                self.end_headers()
                self.wfile.write(b"trapped")

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            daemon_threads = True

            def get_request(self) -> tuple[socket.socket, object]:
                connection = super().get_request()
                trap._accepted[host] += 1
                return connection

        return Server((host, port), Handler)


class PretendNetwork:
    """Both public addresses are the server on `public_port`, and SILENT never answers.

    `names` resolve to lists of addresses: its lists in turn, the last one again and again. Nothing
    but loopback addresses is ever connected to.
    """

    def __init__(self, public_port: int, names: dict[str, list[list[str]]]) -> None:
        self.looked_up: Counter[str] = Counter()
        self.connected: list[str] = []  # addresses, as the client named them
        self._public_port = public_port
        self._names = {name: list(answers) for name, answers in names.items()}

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        network = self

        def connect(self: socket.socket, address: tuple[str, int]) -> None:
            network.connected.append(address[0])
            if address[0] == SILENT:
                time.sleep(self.gettimeout() or 0)
                raise TimeoutError
            return _CONNECT(self, network._real(address))

        monkeypatch.setattr(socket.socket, "connect", connect)
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def _real(self, address: tuple[str, int]) -> tuple[str, int]:
        if address[0] == PUBLIC:
            return ("127.0.0.1", self._public_port)
        if address[0] == PUBLIC_6:
            return ("::ffff:127.0.0.1", self._public_port)
        if address[0] in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"):
            return address
        raise ConnectionRefusedError(f"not in this test: {address[0]}")

    def _getaddrinfo(
        self, host: str, port: int, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        self.looked_up[host] += 1
        answers = self._names.get(host.rstrip("."))
        if answers is None:  # numbers in all forms that the system knows
            return _GETADDRINFO(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        kinds = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in found]
        return [
            (kind, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for kind, address in zip(kinds, found, strict=True)
        ]
