"""Clients that expect something of every answer, and the sum of what they met."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.load.http import Answer, Connection

PATIENCE = 60.0  # seconds; the service gives up long before
BUSY = 503


@dataclass(slots=True)
class Tally:
    """Answers by (what was done, status), and what went wrong without the client's doing."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    server_errors: int = 0  # 5xx, but for 503
    unexpected: int = 0  # another status than such a request has to get
    lost: int = 0  # connections that broke, or gave no answer in time
    faults: dict[str, str] = field(default_factory=dict)  # one of each kind, in words

    @property
    def wrong(self) -> int:
        return self.server_errors + self.unexpected + self.lost

    def book(self, action: str, answer: Answer, expected: tuple[int, ...]) -> None:
        self.answers[action, answer.status] += 1
        if answer.status == BUSY or answer.status in expected:
            return
        if answer.status >= 500:
            self.server_errors += 1
        else:
            self.unexpected += 1
        told = answer.body[:300].decode(errors="replace")
        self.faults.setdefault(f"{action}: {answer.status}", told)

    def lose(self, action: str, error: Exception) -> None:
        self.lost += 1
        self.faults.setdefault(f"{action}: {type(error).__name__}", str(error))


class LostError(Exception):
    """The connection broke; it has been booked."""


class Client:
    """Asks one thing after the other, on a connection that it keeps as long as the server does."""

    def __init__(self, port: int, tally: Tally) -> None:
        self.tally, self._port = tally, port
        self._connection: Connection | None = None

    async def ask(self, action: str, request: bytes, *expected: int) -> Answer:
        """The answer, whatever it is. Raises LostError."""
        try:
            async with asyncio.timeout(PATIENCE):
                connection = await self.connection()
                answer = await connection.ask(request)
        except (OSError, EOFError) as error:  # TimeoutError is an OSError
            self.tally.lose(action, error)
            self.hang_up()
            raise LostError from error
        self.tally.book(action, answer, expected)
        if answer.closes:
            self.hang_up()
        return answer

    async def connection(self) -> Connection:
        if self._connection is None:
            self._connection = await Connection.open(self._port)
        return self._connection

    def hang_up(self) -> None:
        """At once; the next request opens another connection."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
