"""Whether the service can do its work: it is tried, not believed."""

import asyncio
import logging
from time import monotonic

import numpy as np

from imagefinder.serve.service import Service

log = logging.getLogger("imagefinder.serve")

EVERY = 5.0  # seconds between tries; a search that a client made counts as one
LATELY = 30.0  # seconds that a success vouches for
STARTING = 10.0  # seconds that the start waits for the first success; a model that hangs takes more

PICTURE = np.linspace(0, 255, 64 * 64 * 3).astype(np.uint8).reshape(64, 64, 3)


class Probe:
    """Embeds a picture and searches with it, again and again while the service runs."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tasks: list[asyncio.Task[None]] = []
        self.reason = "The service is starting"

    @property
    def ready(self) -> bool:
        """Whether an embedding and a search succeeded lately."""
        return monotonic() - self._service.last_success < LATELY

    async def start(self) -> None:
        """Try at once, then from time to time."""
        first = asyncio.create_task(self._try())
        await asyncio.wait([first], timeout=STARTING)
        self._tasks = [first, asyncio.create_task(self._run())]

    async def stop(self) -> None:
        """No more tries."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            self._service.check()  # also while a try hangs
            if self._tasks[0].done() and monotonic() - self._service.last_success >= EVERY:
                self._tasks[0] = asyncio.create_task(self._try())

    async def _try(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._search)
            self.reason = "No search has succeeded lately"
        except Exception as error:  # noqa: BLE001 - whatever it is, the service is not ready
            self.reason = "A search of its own failed; the log says why"
            log.error("not ready: %s", error)

    def _search(self) -> None:
        self._service.finder.search(PICTURE, k=1)
        self._service.succeeded()
