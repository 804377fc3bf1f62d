"""The spaces of a collection that a service holds."""

from collections.abc import Callable
from threading import Event
from time import sleep
from urllib.parse import quote

from imagefinder.client import wire
from imagefinder.client.connection import Connection, Form
from imagefinder.errors import ImageNotFoundError, ModelError, UsageError
from imagefinder.types import Distance, FillReport, SpaceStatus, space_name

EVERY = 0.5  # seconds between questions how far it is


def states(connection: Connection) -> list[SpaceStatus]:
    """As the service tells them."""
    return connection.get("v1/models", wire.models).spaces


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
    """Have a space filled, and watch until it is. `stop` ends the watching; the service goes on.

    Raises UsageError, ModelError where the service gave up."""
    name = space_name(model, distance)
    before = {space.name: space.images for space in states(connection)}
    form: Form = [("model", model)]
    if distance is not None:
        form.append(("distance", distance))
    found = connection.post("v1/spaces", form, wire.models)
    while found.filling is not None:
        if stop is not None and stop.is_set():
            break
        for space in found.spaces:
            if space.name == name:
                on_progress(space.images, space.images + space.behind)
        sleep(EVERY)
        found = connection.get("v1/models", wire.models)
    for space in found.spaces:
        if space.name == name:
            added = space.images - before.get(name, 0)
            going_on = found.filling is not None
            return FillReport(name, added, 0 if going_on else space.behind, going_on)
    raise ModelError(f"{model}: the service could not load it; its log says why")
