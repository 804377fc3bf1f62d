"""The spaces of a collection that a service holds."""

from collections.abc import Callable
from dataclasses import replace
from threading import Event
from time import sleep
from urllib.parse import quote

from imagefinder.client import wire
from imagefinder.client.connection import Connection, Form
from imagefinder.errors import CollectionError, ImageNotFoundError, ModelError, UsageError
from imagefinder.types import Distance, FillReport, SpaceStatus, space_name

EVERY = 0.5  # seconds between questions how far it is


def states(connection: Connection, model: str | None = None) -> list[SpaceStatus]:
    """As the service tells them, but that in use is the one of the `model`, where it is there."""
    found = connection.get("v1/models", wire.models).spaces
    if all(space.name != model for space in found):
        return found
    return [replace(space, in_use=space.name == model) for space in found]


def use(connection: Connection, name: str) -> None:
    """Searches use this space from now on."""
    try:
        connection.patch(f"v1/spaces/{quote(name, safe='')}", {"default": True}, wire.models)
    except ImageNotFoundError as error:  # of a path that has no other
        known = ", ".join(space.name for space in states(connection)) or "none"
        told = f"{name}: there is no such space there; there is: {known}"
        raise UsageError(told) from error


def add(
    connection: Connection,
    model: str,
    distance: Distance | None,
    stop: Event | None,
    on_progress: Callable[[int, int | None], None],
) -> FillReport:
    """Have a space filled, or watch where it is being filled already, until it is. `stop` ends the
    watching; the service goes on.

    Raises UsageError, CollectionError while another is filled, ModelError where the service gave
    up."""
    name = space_name(model, distance)
    found = connection.get("v1/models", wire.models)
    before = images_in(name, found)
    if found.filling not in (None, model):
        raise CollectionError(
            f"{connection.url}: the space of {found.filling} is being filled; wait until it is"
        )
    if found.filling is None:
        form: Form = [("model", model), *([("distance", distance)] if distance else [])]
        found = connection.post("v1/spaces", form, wire.models)
    while found.filling is not None:
        if stop is not None and stop.is_set():
            return FillReport(name, images_in(name, found) - before, interrupted=True)
        for space in found.spaces:
            if space.name == name:
                on_progress(space.images, space.images + space.behind)
        sleep(EVERY)
        found = connection.get("v1/models", wire.models)
    for space in found.spaces:
        if space.name == name:
            return FillReport(name, space.images - before, space.behind)
    raise ModelError(f"{model}: the service could not load it; its log says why")


def images_in(name: str, found: wire.Models) -> int:
    """How many images a space has, which may not be there yet."""
    return sum(space.images for space in found.spaces if space.name == name)
