"""Minutes of mixed load on one service, good requests and bad: is its memory flat, and is every
answer that is no success the client's own fault?"""

import asyncio
import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import quote

from benchmarks.data import BENCH, DEMO, fresh
from benchmarks.load import mixed
from benchmarks.load.http import request
from benchmarks.load.mixed import Action, World
from benchmarks.load.tally import Client, LostError, Tally
from benchmarks.results import Figure
from benchmarks.server import PROGRAM, serving
from tests import hostile

MAX_UPLOAD = 4  # MB; the largest of the bad images has 2
TIMEOUT = 5  # seconds that the service has patience with a body
CLIENTS = 8
SHOWN = 20  # errors of the log
WARM_UP, AFTER_WARM_UP, LAST = 0.2, 0.35, 0.75  # of the time
# how often each comes, relative to the others
ACTIONS: dict[Action, float] = {
    mixed.search: 10,
    mixed.search_by_id: 5,
    mixed.search_by_refused_url: 2,
    mixed.search_with_hostile: 10,
    mixed.search_as_a_page: 1,
    mixed.embed: 2,
    mixed.look: 6,
    mixed.thumbnail: 6,
    mixed.add_and_delete: 3,
    mixed.add_hostile: 3,
    mixed.ask_nonsense: 6,
    mixed.send_too_much: 1,
    mixed.hang_up: 4,
    mixed.send_garbage: 1,
    mixed.dawdle: 0.3,
}


@dataclass(slots=True)
class Soaked:
    """What a run saw. `memory` is (seconds since the start, resident bytes)."""

    seconds: float
    tally: Tally
    memory: list[tuple[float, int]] = field(default_factory=list)
    log_errors: list[str] = field(default_factory=list)
    wrong_images: int = 0  # that are there and should not be, or the other way round

    @property
    def before(self) -> float:
        """Bytes just after the warm-up."""
        return self._median(WARM_UP, AFTER_WARM_UP)

    @property
    def after(self) -> float:
        """Bytes in the last quarter."""
        return self._median(LAST, 1.0)

    def _median(self, first: float, last: float) -> float:
        first, last = first * self.seconds, last * self.seconds
        return median(size for at, size in self.memory if first <= at <= last)


def run(quick: bool, minutes: float = 10.0) -> list[Figure]:
    soaked = soak(30.0 if quick else 60 * minutes)
    print(*told(soaked), sep="\n")
    tally = soaked.tally
    answers = sum(tally.answers.values())
    busy = sum(number for (_, status), number in tally.answers.items() if status == 503)
    return [
        Figure("minutes", (soaked.seconds / 60,), ""),
        Figure("answers", (answers,), ""),
        Figure("of them 503", (100 * busy / answers,), "%"),
        Figure("resident memory just after the warm-up", (soaked.before / 1e6,), "MB"),
        Figure("resident memory in the last quarter", (soaked.after / 1e6,), "MB"),
        Figure("growth", (soaked.after / soaked.before,), "x", at_most=1.05),
        Figure("answers 5xx other than 503", (tally.server_errors,), "", at_most=0),
        Figure("answers that do not fit the request", (tally.unexpected,), "", at_most=0),
        Figure("connections lost", (tally.lost,), "", at_most=0),
        Figure("errors in the log", (len(soaked.log_errors),), "", at_most=0),
        Figure("images lost, or there too many", (soaked.wrong_images,), "", at_most=0),
    ]


def soak(seconds: float, folder: Path = BENCH) -> Soaked:
    """Serve the demo collection and load it for so long."""
    folder.mkdir(parents=True, exist_ok=True)
    path = fresh("soak") if folder == BENCH else folder / "soak"
    log = folder / "soak.log"
    index = [*PROGRAM, "index", DEMO / "images.csv", "-c", path]
    subprocess.run(index, check=True, capture_output=True)
    options = ["--max-upload", str(MAX_UPLOAD), "--timeout", str(TIMEOUT)]
    pictures = hostile_images(folder / "hostile")
    with serving(path, *options, log=log) as server:
        soaked = asyncio.run(soaked_by(server.port, server.process.pid, pictures, seconds))
    soaked.log_errors = [line for line in log.read_text().splitlines() if is_error(line)]
    return soaked


async def soaked_by(
    port: int, process: int, pictures: list[tuple[str, bytes, bool]], seconds: float
) -> Soaked:
    good = [file.read_bytes() for file in sorted((DEMO / "queries").iterdir())]
    tally = Tally()
    client = Client(port, tally)
    world = World(port, good, pictures, await listed(client), MAX_UPLOAD * 1_000_000)
    client.hang_up()  # or the server would: nothing comes for so long
    soaked = Soaked(seconds, tally)
    start = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watch(process, start, soaked))
        for number in range(CLIENTS):
            tasks.create_task(act(Client(port, tally), world, random.Random(number), start, soaked))
    await settled(client)
    there = set(await listed(client))
    wanted = world.added | set(world.ids)
    soaked.wrong_images = len(wanted - there) + len(there - wanted - world.unsure)
    client.hang_up()
    return soaked


async def act(
    client: Client, world: World, chance: random.Random, start: float, soaked: Soaked
) -> None:
    """One client, again and again what chance says."""
    actions, weights = list(ACTIONS), list(ACTIONS.values())
    while perf_counter() - start < soaked.seconds:
        (action,) = chance.choices(actions, weights)
        try:
            await action(client, world, chance)
        except LostError:
            continue  # it is counted
    client.hang_up()


async def watch(process: int, start: float, soaked: Soaked) -> None:
    """Note the memory of the service, 300 times in all."""
    while (at := perf_counter() - start) < soaked.seconds:
        soaked.memory.append((at, resident_bytes(process)))
        await asyncio.sleep(soaked.seconds / 300)


def resident_bytes(process: int) -> int:
    """Mapped files included."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


async def settled(client: Client) -> None:
    """Once nothing is worked on any more: what clients left behind is done, or given up."""
    for _ in range(100):
        answer = await client.ask("metrics", request("GET", "/metrics"), 200)
        if b"imagefinder_requests_admitted 0.0" in answer.body:
            return
        await asyncio.sleep(0.1)


async def listed(client: Client) -> list[str]:
    """The ids of all images."""
    ids: list[str] = []
    while True:
        after = f"&after={quote(ids[-1])}" if ids else ""
        answer = await client.ask("list", request("GET", f"/v1/images?limit=1000{after}"), 200)
        page = json.loads(answer.body)
        ids += [image["id"] for image in page["images"]]
        if page["next"] is None:
            return ids


def hostile_images(folder: Path) -> list[tuple[str, bytes, bool]]:
    """Name, bytes and whether it is a good image, of all whose verdict is not about the name."""
    shutil.rmtree(folder, ignore_errors=True)
    verdicts = hostile.make(folder)
    return [
        (name, (folder / name).read_bytes(), verdict is hostile.GOOD)
        for name, verdict in verdicts.items()
        if verdict != hostile.IGNORED and not name.startswith("names/")
    ]


def is_error(line: str) -> bool:
    """Whether a line of the log is of a fault; what is no JSON is some program's last word."""
    try:
        level = json.loads(line)["level"]
    except ValueError:
        return True
    return level in {"error", "critical"}


def told(soaked: Soaked) -> Iterator[str]:
    """The answers by kind, the memory over time, and what went wrong."""
    by_action: dict[str, list[str]] = {}
    for (action, status), number in sorted(soaked.tally.answers.items()):
        by_action.setdefault(action, []).append(f"{status or 'none'}: {number}")
    for action, answers in by_action.items():
        yield f"  {action:<28} {', '.join(answers)}"
    sizes = [f"{size / 1e6:.0f}" for _, size in soaked.memory[:: max(len(soaked.memory) // 20, 1)]]
    yield f"  {'memory in MB':<28} {' '.join(sizes)}"
    yield from (f"  {fault} {words}" for fault, words in soaked.tally.faults.items())
    yield from (f"  {line}" for line in soaked.log_errors[:SHOWN])
