"""create_app: the service as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from imagefinder._version import __version__
from imagefinder.errors import UsageError
from imagefinder.finder import ImageFinder
from imagefinder.local import LocalFinder
from imagefinder.serve import description, page, problems, reference
from imagefinder.serve.full import Full
from imagefinder.serve.gradio.mount import GradioMount
from imagefinder.serve.head import Head
from imagefinder.serve.measured import Measured
from imagefinder.serve.options import ServeOptions
from imagefinder.serve.probe import Probe
from imagefinder.serve.protect.stack import protected
from imagefinder.serve.routes import images, search, spaces, state
from imagefinder.serve.service import Service


def create_app(finder: ImageFinder, options: ServeOptions | None = None) -> FastAPI:
    """The service of one collection, which it closes at the end.

    Raises UsageError for what is not a collection of this machine, CollectionNotFoundError.
    """
    if not isinstance(finder, LocalFinder):
        raise UsageError("only a collection of this machine can be served")
    options = options or ServeOptions()
    finder.status()  # reading never creates: what is missing is told before anything starts
    service = Service(finder, options)
    probe, gradio = Probe(service), GradioMount(service)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await probe.start()
        yield
        await probe.stop()
        await gradio.stop()
        service.close()

    app = FastAPIOffline(
        title="ImageFinder",
        version=__version__,
        summary=description.SUMMARY,
        description=description.TEXT,
        openapi_tags=description.TAGS,
        generate_unique_id_function=description.operation_id,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    problems.install(app)
    description.describe(app, keys=bool(options.keys))
    for router in (
        search.routes(service),
        images.routes(service),
        state.routes(service),
        spaces.routes(service),
        state.watching(service, probe),
        reference.routes(service),
    ):
        app.include_router(router)

    page.install(app)
    gradio.install(app)
    app.add_middleware(Full, service=service)
    app.add_middleware(Head)
    app.add_middleware(protected, options=options)
    app.add_middleware(Measured, metrics=service.metrics)
    # now, not with the first request: an option that makes no sense is told before it starts
    app.middleware_stack = app.build_middleware_stack()
    return app
