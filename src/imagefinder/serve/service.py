"""What the routes work with: the finder, the pools that its work runs on, and their bounds."""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

from fastapi import Request

from imagefinder.errors import FetchError, UsageError
from imagefinder.local import LocalFinder
from imagefinder.models.onnx.embedder import OnnxEmbedder
from imagefinder.protocols import Embedder, TextEmbedder
from imagefinder.serve.batcher import MAX_WAIT, Batcher, TextBatcher
from imagefinder.serve.cores import Cores
from imagefinder.serve.fields import Fields
from imagefinder.serve.filling import Filling
from imagefinder.serve.jobs import ClientGoneError, Job, working_on
from imagefinder.serve.map import Map
from imagefinder.serve.metrics import Metrics
from imagefinder.serve.options import MEGABYTE, ServeOptions
from imagefinder.serve.problems import OverloadedError
from imagefinder.sources.guard import GuardedFetcher

Result = TypeVar("Result")

# So many requests are worked on at once: some decode, one a core, the others wait for the model,
# which then has batches to take.
THREADS_A_CORE = 8
LONE_THREADS = 4  # for the image of a request that is alone; a small model gains little from more
FETCHES = 16  # URLs fetched at once; they wait for other servers, so they have threads of their own
RETRY_AFTER = 1.0  # seconds


class Service:
    """One collection, served. `close` it after the last request."""

    def __init__(self, finder: LocalFinder, options: ServeOptions) -> None:
        self.finder, self.options = finder, options
        self.name = finder.title
        self.metrics = Metrics()
        self.map, self.fields, self.filling = Map(finder), Fields(finder), Filling(finder)
        self.last_success = float("-inf")  # time.monotonic() of an embedding and a search
        self._batchers: dict[str, Batcher] = {}  # by space
        self.cores = Cores()
        finder.serve(self._batched, computing=self.cores, full_paths=options.full_paths)
        threads = THREADS_A_CORE * (os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._fetches = ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch")
        self._fetcher = GuardedFetcher(
            max_bytes=options.fetch_bytes,
            seconds=options.fetch_seconds,
            allowed=options.allowed_networks,
        )
        self._places = threads + options.max_waiting
        self._admitted = self._fetching = 0
        self._counting = Lock()
        self.metrics.gauge("queue_depth", "Images that wait for the model.", self.queue_depth)
        self.metrics.gauge("requests_admitted", "Requests worked on.", lambda: self._admitted)
        self.metrics.gauge("collection_images", "Images of the collection.", lambda: len(finder))
        self.metrics.gauge("worker_restarts", "Embedding threads replaced.", self.restarts)

    def spaces(self, names: str | None) -> list[str]:
        """The spaces that a client means, `a,b`; none: the one that searches use.

        Raises UsageError."""
        used = self.finder.space()
        if not names:
            return [used]
        known = {used: None, **dict.fromkeys(self.finder.collection.spaces())}
        meant = []
        for name in names.split(","):
            space = name if name in known else self.options.model_aliases.get(name, name)
            if space not in known:
                raise UsageError(
                    f"{name}: there is no such space here; there is: {', '.join(known)}"
                )
            meant.append(space)
        return meant

    def space(self, name: str | None) -> str:
        """The same for what takes only one."""
        first, *others = self.spaces(name)
        if others:
            raise UsageError(f"{name}: name one space; only a search takes several")
        return first

    # work

    @property
    def is_full(self) -> bool:
        """Whether another request would be one too many."""
        return self._admitted >= self._places

    async def work(
        self, request: Request, call: Callable[[], Result], *, embeds: str | None = None
    ) -> Result:
        """The result of `call`, made on another thread; `embeds`: the space whose model is part of
        it.

        Raises OverloadedError at once when too many wait already, or when it takes too long, and
        ClientGoneError as soon as the client has hung up: the work then ends at its next stage.
        """
        job, running = self._submit(call, embeds)
        answer = asyncio.wrap_future(running)
        hung_up = asyncio.create_task(disconnected(request))
        ends: set[asyncio.Future[Any]] = {answer, hung_up}
        try:
            await asyncio.wait(
                ends,
                timeout=self.options.request_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if answer.done():
                return answer.result()
        finally:
            if not answer.done():
                job.gone.set()
                answer.cancel()  # where it has not begun
            late = not hung_up.done()
            hung_up.cancel()
        if late:
            self.metrics.rejected.inc()
            raise OverloadedError(RETRY_AFTER)
        self.metrics.dropped.inc()
        raise ClientGoneError

    def _submit(
        self, call: Callable[[], Result], embeds: str | None
    ) -> "tuple[Job, Future[Result]]":
        with self._counting:
            if self.is_full:
                self.metrics.rejected.inc()
                raise OverloadedError(RETRY_AFTER)
            self._admitted += 1
        job = Job()
        if embeds in self._batchers:
            self._batchers[embeds].expect(job)
        # with the context, so that log lines have the request's id
        running = self._pool.submit(copy_context().run, self._run, job, call)
        running.add_done_callback(partial(self._leave, job))  # also when it never began
        return job, running

    def _run(self, job: Job, call: Callable[[], Result]) -> Result:
        with working_on(job):
            return call()

    def _leave(self, job: Job, running: "Future[Result]") -> None:
        with self._counting:
            self._admitted -= 1
        if isinstance(job.expected_by, Batcher):
            job.expected_by.unexpect(job)
        self.metrics.observe(job)

    async def fetch_all(self, request: Request, urls: Sequence[str]) -> list[bytes | FetchError]:
        """The bytes at each, or why not; together no more than an upload may have.

        Raises UsageError, OverloadedError, and ClientGoneError instead of going on for nobody."""
        found: list[bytes | FetchError] = []
        left = self.options.max_body_bytes
        for url in urls:
            if await request.is_disconnected():
                self.metrics.dropped.inc()
                raise ClientGoneError
            try:
                data = await self.fetch(url)
            except FetchError as error:
                found.append(error)
                continue
            found.append(data)
            left -= len(data)
            if left < 0:
                most = self.options.max_body_bytes / MEGABYTE
                raise UsageError(f"the images at the urls have more than {most:g} MB together")
        return found

    async def fetch(self, url: str) -> bytes:
        """The bytes at a URL that a client named. Raises FetchError, UsageError."""
        if not self.options.fetch_urls:
            raise UsageError("fetching by URL is switched off here; upload the image")
        if self._fetching >= FETCHES:
            self.metrics.rejected.inc()
            raise OverloadedError(RETRY_AFTER)
        self._fetching += 1
        start = monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._fetches, self._fetcher.read, url
            )
        finally:
            self._fetching -= 1
            self.metrics.stage_seconds.labels("fetch").observe(monotonic() - start)

    # state

    def succeeded(self) -> None:
        """An embedding and a search have just worked."""
        self.last_success = monotonic()

    def queue_depth(self) -> int:
        """Images that wait for the model."""
        return sum(batcher.depth for batcher in list(self._batchers.values()))

    def restarts(self) -> int:
        """Embedding threads that hung or ended."""
        return sum(batcher.restarts for batcher in list(self._batchers.values()))

    def check(self) -> None:
        """Replace what hangs."""
        checked = [batcher.check() for batcher in list(self._batchers.values())]
        if not all(checked):
            self.last_success = float("-inf")

    def close(self) -> None:
        """Finish what runs, flush, and let other processes use the collection."""
        self.filling.close()
        self._fetcher.close()
        self._fetches.shutdown(cancel_futures=True)
        self._pool.shutdown()
        for batcher in self._batchers.values():
            batcher.close()
        self.map.close()
        self.finder.close()

    def _batched(self, space: str, model: Embedder) -> Embedder:
        threads = min(os.cpu_count() or 1, LONE_THREADS)
        lone = None
        if isinstance(model, OnnxEmbedder) and model.on_cpu:
            lone = model.with_threads(threads)
        kind = TextBatcher if isinstance(model, TextEmbedder) else Batcher
        self._batchers[space] = kind(
            model,
            lone=lone,
            cores=self.cores,
            # on a CPU images go through this model one by one: a larger batch is worth no wait
            max_wait=MAX_WAIT if lone is None else None,
            on_batch=self.metrics.batch_size.observe,
        )
        return self._batchers[space]


async def disconnected(request: Request) -> None:
    """Returns when the client hangs up; its body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
