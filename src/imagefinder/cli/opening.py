"""From options to what the library takes."""

from typing import TYPE_CHECKING, get_args

from imagefinder.config import read_settings
from imagefinder.errors import UsageError

if TYPE_CHECKING:
    from imagefinder.decode import DecodeLimits
    from imagefinder.finder import ImageFinder
    from imagefinder.sources import TableColumns
    from imagefinder.types import Distance


def open_finder(
    collection: str | None,
    *,
    model: str | None = None,
    max_megapixels: float | None = None,
    device: str = "auto",
) -> "ImageFinder":
    """The collection of the option, the environment, or the default. Downloads are drawn."""
    from imagefinder.cli.progress import FetchProgress
    from imagefinder.finder import ImageFinder

    where = chosen(collection)
    if is_registered(where):
        from imagefinder.cli.tracking import quiet

        quiet()
    return ImageFinder.open(
        where,
        model=model,
        limits=limits_of(max_megapixels),
        api_key=token_of(where),
        device=device,
        on_fetch=FetchProgress(),
    )


def limits_of(max_megapixels: float | None) -> "DecodeLimits":
    """How large an image may be, as the option says."""
    from imagefinder.decode import DEFAULT_LIMITS, DecodeLimits

    return DEFAULT_LIMITS if max_megapixels is None else DecodeLimits(max_megapixels=max_megapixels)


def chosen(collection: str | None) -> str:
    """The collection of the option, even an empty one (it is refused), or of the environment."""
    return read_settings().collection if collection is None else collection


def token_of(where: str) -> str | None:
    """What lets this user into a service or a cluster, by the environment."""
    settings = read_settings()
    if is_service(where):
        return settings.api_key
    return settings.milvus_token if is_cluster(where) else None


def is_service(where: str) -> bool:
    """Whether this is the address of a running service."""
    from imagefinder.sources.address import is_http

    return is_http(where)


def is_registered(where: str) -> bool:
    """Whether this is a collection that is registered as a model of MLflow."""
    from imagefinder.home import is_registered

    return is_registered(where)


def is_cluster(where: str) -> bool:
    """Whether this is the address of a collection in Milvus."""
    from imagefinder.home import is_cluster

    return is_cluster(where)


def distance_of(text: str | None) -> "Distance | None":
    """Raises UsageError."""
    from imagefinder.types import Distance

    known: dict[str, Distance] = {name: name for name in get_args(Distance)}
    if text is not None and text not in known:
        raise UsageError(f"--distance {text}: it is one of {', '.join(known)}")
    return None if text is None else known[text]


def table_columns(id: str | None, location: str | None) -> "TableColumns | None":
    """The columns that the user named."""
    from imagefinder.sources import TableColumns

    return TableColumns(id=id, location=location) if id or location else None
