"""Make the load of a plan and tell what came of it: `python -m benchmarks.load PLAN`, as JSON."""

import asyncio
import json
import random
import resource
import sys
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from time import perf_counter

from benchmarks.load.http import Answer, Connection, form, request
from benchmarks.load.plan import Outcome, Plan

PATIENCE = 10.0  # seconds for one answer
PING = request("GET", "/ping")


class Load:
    def __init__(self, plan: Plan) -> None:
        self._plan, self._outcome = plan, Outcome(seconds=plan.seconds)
        self._searches = cycle(searches(Path(plan.folder)))
        self._idle: list[Connection] = []
        self._begin = perf_counter() + plan.warm_up
        self._end = self._begin + plan.seconds

    async def run(self) -> Outcome:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_cpu())
            if self._plan.ping_every:
                tasks.create_task(self._ping(tasks))
            if self._plan.rate:
                tasks.create_task(self._arrive(tasks))
            else:
                for _ in range(self._plan.clients):
                    tasks.create_task(self._client())
        return self._outcome

    async def _watch_cpu(self) -> None:
        await self._until(self._begin)
        before = cpu_seconds()
        await self._until(self._end)
        self._outcome.cpu_seconds = cpu_seconds() - before

    async def _client(self) -> None:
        """One of those that wait for their answers; counts what ends in time."""
        while perf_counter() < self._end:
            start = perf_counter()
            answer = await self._ask(next(self._searches))
            now = perf_counter()
            if answer is not None and self._begin <= now < self._end:
                self._book(answer, now - start)

    async def _arrive(self, tasks: asyncio.TaskGroup) -> None:
        """Searches at random times, as from many people; the next comes whatever the last does."""
        gaps, due = random.Random(0), perf_counter()
        while (due := due + gaps.expovariate(self._plan.rate)) < self._end:
            await self._until(due)
            self._outcome.late_ms = max(self._outcome.late_ms, (perf_counter() - due) * 1000)
            tasks.create_task(self._arrived(due))

    async def _arrived(self, due: float) -> None:
        """Its time counts from when it was due, so that a slow load hides nothing."""
        answer = await self._ask(next(self._searches))
        if answer is not None and due >= self._begin:
            self._book(answer, perf_counter() - due)

    async def _ping(self, tasks: asyncio.TaskGroup) -> None:
        due = self._begin
        while (due := due + self._plan.ping_every) < self._end:
            await self._until(due)
            tasks.create_task(self._pinged(due))

    async def _pinged(self, due: float) -> None:
        answer = await self._ask(PING)
        if answer is not None and answer.body == b'"pong"':
            self._outcome.pings.append((perf_counter() - due) * 1000)
        elif answer is not None:
            self._fail(f"ping: status {answer.status}")

    async def _ask(self, asked: bytes) -> Answer | None:
        """On a connection that nobody uses, else on a new one."""
        connection = self._idle.pop() if self._idle else None
        try:
            async with asyncio.timeout(PATIENCE):
                connection = connection or await Connection.open(self._plan.port)
                answer = await connection.ask(asked)
        except (OSError, EOFError) as error:  # TimeoutError is an OSError
            if connection is not None:
                connection.abort()
            self._fail(type(error).__name__)
            return None
        if answer.closes:
            connection.close()
        else:
            self._idle.append(connection)
        return answer

    def _book(self, answer: Answer, seconds: float) -> None:
        if answer.status == 200 and b'"hits":[{' in answer.body:
            self._outcome.answered.append(seconds * 1000)
        elif answer.status == 503 and b"\r\nretry-after:" in answer.head.lower():
            self._outcome.refused.append(seconds * 1000)
        else:
            self._fail(f"status {answer.status}: {answer.body[:200].decode(errors='replace')}")

    def _fail(self, kind: str) -> None:
        self._outcome.failures[kind] = self._outcome.failures.get(kind, 0) + 1

    async def _until(self, when: float) -> None:
        await asyncio.sleep(max(0.0, when - perf_counter()))


def searches(folder: Path) -> list[bytes]:
    """A request for each picture, in memory before it begins."""
    files = sorted(folder.rglob("*.jpg"))
    return [form("/v1/search", [(file.name, file.read_bytes())]) for file in files]


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(plan: str) -> None:
    outcome = asyncio.run(Load(Plan(**json.loads(plan))).run())
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main(sys.argv[1])
