"""A proxy that answers nobody and notes who was asked for.

It stands where the browser looks for other hosts, so it also sees what Playwright does not tell of:
service workers, prefetches, and the browser itself.
"""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator

# Chromium asks its vendor for updates, an account and help with forms, whatever its options say.
# What a page asks of these hosts Playwright tells of.
VENDOR = re.compile(r"(CONNECT |://)[\w.-]+\.(google|googleapis|gvt1)\.com[:/]")


class Trap:
    """`port` is the proxy's."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._lines: list[str] = []
        self.port: int = listener.getsockname()[1]

    def take(self) -> list[str]:
        """The first lines of the requests since the last call."""
        lines, self._lines = self._lines, []
        return [line for line in lines if not VENDOR.search(line)]

    def listen(self) -> None:
        """Until the listener closes."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(1)
                line = connection.recv(500).split(b"\r\n")[0]
                if not line:  # hung up before it asked for anybody
                    continue
                self._lines.append(line.decode("latin-1"))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


@contextlib.contextmanager
def trapping() -> Iterator[Trap]:
    """A trap that is set."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        trap = Trap(listener)
        thread = threading.Thread(target=trap.listen)
        thread.start()
        try:
            yield trap
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread; closing alone does not
            thread.join()
