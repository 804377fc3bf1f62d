"""As much of HTTP/1.1 as a load needs: little of its own time goes into it."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

HOST = "127.0.0.1"
BOUNDARY = "a-boundary-that-no-picture-holds"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
BODILESS = (204, 304)

Part = tuple[str, str | bytes]  # a field's name and its text, or a file's name and its bytes


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    head: bytes
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the server hangs up after it."""
        return CLOSES.search(self.head) is not None


class Connection:
    """One connection, for one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection(HOST, port))

    async def ask(self, request: bytes) -> Answer:
        """Raises OSError or EOFError where the connection breaks."""
        await self.send(request)
        return await self.answer()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> Answer:
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, length = int(head[9:12]), LENGTH.search(head)
        if status in BODILESS:
            return Answer(status, head, b"")
        if length is None and CHUNKED.search(head):
            return Answer(status, head, await self._chunks())
        return Answer(status, head, await self._reader.readexactly(int(length[1]) if length else 0))

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()
        return body

    def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        """Hang up at once, whatever is under way."""
        self._writer.transport.abort()


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """A request's bytes; in the names of headers `_` stands for `-`."""
    lines = [f"{method} {path} HTTP/1.1"]
    if body or method in {"POST", "PATCH"}:
        lines.append(f"Content-Length: {len(body)}")
    headers = {"Host": HOST, **headers}
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def form(path: str, parts: Iterable[Part], **headers: str) -> bytes:
    """A multipart POST: text as fields, bytes as files of the field `image`."""
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    return request("POST", path, form_body(parts), Content_Type=content_type, **headers)


def form_body(parts: Iterable[Part]) -> bytes:
    end = f"--{BOUNDARY}--\r\n".encode()
    return b"".join(_part(name, value) for name, value in parts) + end


def _part(name: str, value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        field, kind = f'image"; filename="{name}', "\r\nContent-Type: image/jpeg"
    else:
        field, kind, value = name, "", value.encode()
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"{kind}\r\n\r\n'
    return head.encode() + value + b"\r\n"
