"""Images within tar archives: WebDataset's shards, and any others. An archive is read as a folder.

The images of a sample, which is what lies together under one key (`000123.left.jpg`,
`000123.right.jpg`), have what the sample's `.json`, `.txt` and `.cls` say as their metadata.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from imagefinder.errors import FetchError
from imagefinder.signatures import sniff
from imagefinder.sources.archive import Bytes, DamagedError, Member, members
from imagefinder.sources.names import HEAD, extension, is_hidden, is_image_name
from imagefinder.sources.values import values_of
from imagefinder.types import NO_METADATA, ImageRef, MetadataValue, Skipped, is_text

SHARD_EXTENSION = ".tar"
SIDECARS = {".txt": "text", ".cls": "label"}  # and `.json`, whose own names count first
LARGEST_SIDECAR = 1 << 20  # bytes
LARGEST_SAMPLE = 1000  # images; where `IMG.0001.jpg`, `IMG.0002.jpg` are no sample but a whole tar
LEADS_OUT = "its name leads out of the archive"
NOT_UTF8 = "its name is not valid UTF-8"


@dataclass(frozen=True, slots=True)
class MemberRef(ImageRef):
    """An image within an archive: its bytes begin at `offset` of what is at the uri `shard`."""

    shard: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Shard:
    """An archive of a source. `path` is below the root, as an image's is."""

    path: str
    uri: str
    size: int | None
    mtime_ns: int | None


@dataclass(slots=True)
class _Sample:
    """What follows each other under one key."""

    key: str
    items: list[ImageRef | Skipped | None] = field(default_factory=list)
    said: dict[str, MetadataValue] = field(default_factory=dict)  # by its `.json`
    besides: dict[str, MetadataValue] = field(default_factory=dict)
    sidecars: int = 0

    def done(self) -> Iterator[ImageRef | Skipped | None]:
        """Sidecars of no image are files like others, which are no images."""
        metadata = {**self.besides, **self.said} or NO_METADATA
        has_image = False
        for item in self.items:
            if isinstance(item, ImageRef):
                has_image = True
                yield replace(item, metadata=metadata)
            else:
                yield item
        if not has_image:
            yield from [None] * self.sidecars


def images(
    shard: Shard, archive: Bytes, wants: Callable[[str], bool]
) -> Iterator[ImageRef | Skipped | None]:
    """As `Source.items` has them, in the order of the archive. What it breaks off at is told last.

    `wants` says of a path below the root whether it is to be named.
    """
    sample = _Sample("")
    try:
        for member in members(archive):
            name = inner_path(member.name)
            if name is not None and any(map(is_hidden, name.split("/"))):
                continue
            key, ending = _key_and_ending(name or "")
            if key != sample.key or name is None or len(sample.items) >= LARGEST_SAMPLE:
                yield from sample.done()
                sample = _Sample(key)
            if name is not None and ending in (".json", *SIDECARS):
                sample.sidecars += 1
                _tell(sample, ending, member, archive)
            elif name is None or wants(f"{shard.path}/{name}"):
                sample.items.append(_item(shard, member, name, archive))
    except DamagedError as error:
        yield from sample.done()
        yield Skipped(shard.path, shard.uri, str(error))
    except FetchError as error:
        yield from sample.done()
        yield Skipped(shard.path, shard.uri, f"not read to its end: {error}")
    else:
        yield from sample.done()


def is_shard_name(name: str) -> bool:
    return extension(name) == SHARD_EXTENSION


def inner_path(name: str) -> str | None:
    """The path of a member below its archive, with neither `.` nor empty parts; None where it would
    lead elsewhere."""
    parts = name.split("/")
    if not parts[0] or ".." in parts:
        return None
    return "/".join(part for part in parts if part not in ("", ".")) or None


def split_at_shards(uri: str) -> Iterator[tuple[str, str]]:
    """(archive, path within it) for each part of a uri that is called like an archive."""
    start = 0
    while (end := uri.lower().find(f"{SHARD_EXTENSION}/", start)) >= 0:
        start = end + len(SHARD_EXTENSION)
        yield uri[:start], uri[start + 1 :]


def _item(
    shard: Shard, member: Member, name: str | None, archive: Bytes
) -> ImageRef | Skipped | None:
    shown = member.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if name is None or not is_text(name):
        if not is_image_name(member.name):
            return None
        problem = LEADS_OUT if name is None else NOT_UTF8
        return Skipped(f"{shard.path}/{shown}", shard.uri, f"{problem}: {shown}")
    if not is_image_name(name) and (
        extension(name) or sniff(archive.at(member.offset, min(HEAD, member.size))) is None
    ):
        return None
    path, uri = f"{shard.path}/{name}", f"{shard.uri}/{name}"
    mtime_ns = shard.mtime_ns
    return MemberRef(path, path, uri, member.size, mtime_ns, NO_METADATA, shard.uri, member.offset)


def _key_and_ending(name: str) -> tuple[str, str]:
    """(`a/000123`, `.jpg`) of `a/000123.left.jpg`: WebDataset's key ends at the first dot."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0], extension(file)


def _tell(sample: _Sample, ending: str, member: Member, archive: Bytes) -> None:
    """Take in a sidecar. One that cannot be read says nothing."""
    if member.size > LARGEST_SIDECAR:
        return
    text = archive.at(member.offset, member.size).decode("utf-8", "replace").strip()
    if ending != ".json":
        if text:
            is_number = ending == ".cls" and text.isdecimal() and text.isascii()
            sample.besides[SIDECARS[ending]] = int(text) if is_number else text
        return
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(said, dict):
        sample.said |= {key: value for key, value in values_of(said) if value is not None}
