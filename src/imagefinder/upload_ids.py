"""The ids of uploads: which one an upload asks for, and whether it can have it."""

from collections.abc import Iterable, Iterator

from imagefinder.types import MAX_ID_BYTES, AddReport, Skipped, Upload, is_text


def id_of(upload: Upload) -> str:
    return upload.name if upload.id is None else upload.id


def with_ids(uploads: Iterable[Upload], report: AddReport) -> Iterator[tuple[str, Upload]]:
    """The uploads that can have the ids that they ask for; the others are skipped in `report`."""
    taken = set()
    for upload in uploads:
        id = id_of(upload)
        if reason := not_an_id(id):
            report.skipped.append(skipped(upload, reason))
        elif id in taken:
            reason = f"the id {id} is given to another image of the same request"
            report.skipped.append(skipped(upload, reason))
        else:
            taken.add(id)
            yield id, upload


def not_an_id(id: str) -> str | None:
    """Why this cannot be an id, None where it can."""
    if not id:
        return "it has neither an id nor a name"
    if not is_text(id) or "\0" in id:
        return "the id is not valid text; give the image another one"
    if {".", ".."} & set(id.split("/")):
        return "an id with . or .. for a part cannot be an address; give the image another one"
    if len(id.encode()) > MAX_ID_BYTES:
        return f"the id has {len(id.encode())} bytes, the limit is {MAX_ID_BYTES}"
    return None


def skipped(upload: Upload, reason: str) -> Skipped:
    """What is told of an upload that is not taken."""
    return Skipped(id_of(upload)[:MAX_ID_BYTES], upload.name, reason)
