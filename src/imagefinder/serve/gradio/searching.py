"""A search that somebody makes at the page takes a place in the service as any other."""

import math
from functools import partial

from starlette.requests import Request

from imagefinder.errors import ImageFinderError, UsageError
from imagefinder.serve.gradio.app import Call, Runner
from imagefinder.serve.gradio.gallery import SIDE, Captioned, Thumbnail, thumbnails_of
from imagefinder.serve.jobs import ClientGoneError
from imagefinder.serve.pictures import Thumbnails
from imagefinder.serve.problems import (
    INTERNAL,
    OverloadedError,
    of_error,
    of_failure,
    public_text,
)
from imagefinder.serve.service import Service


def runner_of(service: Service) -> Runner:
    """Runs calls by `service.work`. What goes wrong is logged, and told in words that may leave."""

    async def run(request: Request | None, call: Call) -> list[Captioned]:
        assert request is not None, "there is no queue between"
        try:
            found = await service.work(request, call, embeds=service.finder.space())
        except ImageFinderError as error:
            of_error(error)  # logs what the operator has to know
            raise UsageError(public_text(error)) from error
        except OverloadedError as error:
            seconds = math.ceil(error.retry_after)
            raise UsageError(f"The service is busy; try again in {seconds} s") from error
        except ClientGoneError as error:
            raise UsageError("to nobody") from error
        except Exception as error:
            of_failure(error)
            raise UsageError(INTERNAL) from error
        service.succeeded()
        return found

    return run


def thumbnail_of(service: Service) -> Thumbnail:
    """With the service's cores, and the last ones in memory."""
    finder, plain = service.finder, thumbnails_of(service.finder)
    kept = Thumbnails(finder.limits, service.cores)

    def thumbnail(id: str) -> bytes:
        content = finder.get(id).sha256
        if not content:  # imported, and never read
            return plain(id)
        return kept.get(content, SIDE, "image/jpeg", partial(finder.read, id))

    return thumbnail
