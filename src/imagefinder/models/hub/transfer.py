"""Bytes from the model hub, over plain HTTP.

`huggingface_hub` begins a download anew after every interruption and tells progress in steps of
10 MB, so the transfer is ours: the requests go through its session, with its headers and tokens.
"""

import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from typing import TypeVar

import httpx2
from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    get_session,
    hf_hub_url,
    hf_raise_for_status,
)
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from imagefinder._version import __version__
from imagefinder.models.hub.errors import StrangeAnswerError
from imagefinder.models.row import HubFile

COMMIT = re.compile(r"[0-9a-f]{40}")
ETAG = re.compile(r"\w[\w.+-]*")  # it becomes a file's name
PAUSES = (0.5, 1.0, 2.0)  # seconds before another try; as many tries in a row bring nothing at most
PASSING = {408, 429, 500, 502, 503, 504}  # HTTP statuses that are worth another try

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Remote:
    """A file on the hub. `etag` is its hash: sha256 of a large file, git's sha1 of a small one."""

    url: str
    commit: str
    etag: str
    size: int | None


def ask(file: HubFile, revision: str) -> Remote:
    """What the hub knows of a file. Raises the errors of huggingface_hub and httpx2."""
    metadata = again(
        lambda: get_hf_file_metadata(
            address(file, revision),
            timeout=constants.HF_HUB_ETAG_TIMEOUT,
            library_name="imagefinder",
            library_version=__version__,
        )
    )
    commit, etag = metadata.commit_hash or "", metadata.etag or ""
    if not COMMIT.fullmatch(commit) or not ETAG.fullmatch(etag):
        raise StrangeAnswerError(f"commit {commit!r}, etag {etag!r}")
    if COMMIT.fullmatch(revision) and revision != commit:
        raise StrangeAnswerError(f"asked for {revision}, answered {commit}")
    return Remote(address(file, commit), commit, etag, metadata.size)


def complete(remote: Remote, part: Path, report: Callable[[int], None]) -> None:
    """Fetch what `part` lacks. Raises the errors of huggingface_hub and httpx2, and OSError.

    What has arrived stays in `part` when it fails, for the next time.
    """
    again(lambda: receive(remote, part, report), lambda: length(part))


def address(file: HubFile, revision: str) -> str:
    return hf_hub_url(file.repository, file.path, revision=revision, endpoint=constants.ENDPOINT)


def again(call: Callable[[], Result], progress: Callable[[], int] = lambda: 0) -> Result:
    """Once more after a failure that may pass, and anew whenever there was progress."""
    pauses, before = iter(PAUSES), progress()
    while True:
        try:
            return call()
        except (httpx2.TransportError, HfHubHTTPError) as error:
            now = progress()
            if now > before:
                pauses, before = iter(PAUSES), now
            pause = next(pauses, None)
            if pause is None or not passes(error):
                raise
            time.sleep(pause)


def passes(error: httpx2.TransportError | HfHubHTTPError) -> bool:
    """Without a network nobody is to wait for the message."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in PASSING
    return not isinstance(
        error,
        httpx2.ConnectError
        | httpx2.ConnectTimeout
        | httpx2.ProxyError
        | httpx2.UnsupportedProtocol
        | httpx2.LocalProtocolError,
    )


def receive(remote: Remote, part: Path, report: Callable[[int], None]) -> None:
    """One request for the rest of the file, written as it arrives."""
    done = length(part)
    if remote.size is None or done > remote.size:
        done = 0
    if done == remote.size:
        return report(done)
    headers: dict[str, str] = build_hf_headers(
        library_name="imagefinder", library_version=__version__
    )
    headers["Accept-Encoding"] = "identity"  # a packed answer has no ranges
    if done:
        headers["Range"] = f"bytes={done}-"
    with get_session().stream(
        "GET",
        remote.url,  # redirected to a store on another host, where the token does not go along
        headers=headers,
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        follow_redirects=True,
    ) as response:
        hf_raise_for_status(response)
        if not goes_on(response, done):
            done = 0
        check_space(part.parent, (remote.size or 0) - done)
        with part.open("ab" if done else "wb") as file:
            report(done)
            for chunk in response.iter_bytes():
                file.write(chunk)
                done += len(chunk)
                if remote.size is not None and done > remote.size:
                    return None  # the hash will tell
                report(done)
            file.flush()
            os.fsync(file.fileno())
    if remote.size is not None and done < remote.size:
        raise httpx2.RemoteProtocolError(f"{done} of {remote.size} bytes")
    return None


def goes_on(response: httpx2.Response, done: int) -> bool:
    """Whether the answer begins where the file stops; else it is the whole one."""
    begins = str(response.headers.get("Content-Range", ""))
    return response.status_code == 206 and begins.startswith(f"bytes {done}-")


def check_space(folder: Path, needed: int) -> None:
    """Raises OSError before the disk is full to the brim."""
    if shutil.disk_usage(folder).free < needed:
        raise OSError(ENOSPC, os.strerror(ENOSPC))


def length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
