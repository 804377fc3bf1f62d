"""Whether the service can do its work: it is tried, not believed."""

import asyncio
import logging
from contextlib import suppress
from time import monotonic

import numpy as np

from imagefinder.serve.service import Service

log = logging.getLogger("imagefinder.serve")

EVERY = 5.0  # seconds between tries; a search that a client made counts as one
LATELY = 30.0  # seconds that a success vouches for

PICTURE = np.linspace(0, 255, 64 * 64 * 3).astype(np.uint8).reshape(64, 64, 3)


class Probe:
    """Embeds a picture and searches with it, again and again while the service runs."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._task: asyncio.Task[None] | None = None
        self.reason = "The service is starting"

    @property
    def ready(self) -> bool:
        """Whether an embedding and a search succeeded lately."""
        return monotonic() - self._service.last_success < LATELY

    async def start(self) -> None:
        """Try at once, then from time to time."""
        await self._try()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """No more tries."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            self._service.check()
            if monotonic() - self._service.last_success >= EVERY:
                await self._try()

    async def _try(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._search)
        except Exception as error:  # noqa: BLE001 - whatever it is, the service is not ready
            self.reason = "A search of its own failed; the log says why"
            log.error("not ready: %s", error)

    def _search(self) -> None:
        self._service.finder.search(PICTURE, k=1)
        self._service.succeeded()
