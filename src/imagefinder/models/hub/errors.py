"""What can go wrong between this machine and the model hub, in words that say what to do."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants, errors

from imagefinder.errors import ModelError
from imagefinder.models.row import HubFile

BUILT_IN = "use the built-in model, efficientnet-lite0, which needs no network"
FULL = {errno.ENOSPC, errno.EDQUOT}


class DamagedFileError(ModelError):
    """A file of the cache is not what was fetched."""

    @classmethod
    def of(cls, file: HubFile) -> "DamagedFileError":
        return cls(
            f"{called(file)}: the file in the cache is damaged, its hash differs; fetch it again"
            f" where there is a network: imagefinder models pull NAME, or {BUILT_IN}"
        )


class StrangeAnswerError(Exception):
    """The server does not answer like a model hub; the text says how."""


@contextmanager
def translated(file: HubFile) -> Iterator[None]:
    """Raises ModelError for every failure within that comes from outside.

    The messages are our own: the library's name URLs, and a URL can hold a key.
    """
    try:
        yield
    except ModelError:
        raise
    except (httpx2.LocalProtocolError, UnicodeEncodeError):  # their text can hold the token
        raise ModelError(
            f"{called(file)}: the request cannot be sent; check HF_TOKEN for a stray character"
        ) from None
    except errors.OfflineModeIsEnabled as error:
        raise not_here(file) from error
    except errors.HFValidationError as error:
        raise ModelError(
            f"{called(file)}: no file of the hub has such a name; a row has the repository as"
            " OWNER/NAME, and the file's path in it"
        ) from error
    except (StrangeAnswerError, errors.FileMetadataError, httpx2.TooManyRedirects) as error:
        raise ModelError(
            f"{called(file)}: {host()} does not answer like a model hub; check HF_ENDPOINT and the"
            f" proxy, or {BUILT_IN}"
        ) from error
    except errors.HfHubHTTPError as error:
        raise ModelError(f"{called(file)}: {refusal(error, file)}") from error
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        raise ModelError(f"{called(file)}: {breakdown(error)}") from error
    except OSError as error:
        raise ModelError(f"{called(file)}: {of_disk(error)}") from error


def not_here(file: HubFile) -> ModelError:
    """For a file that would have to be fetched, without a network."""
    return ModelError(
        f"{called(file)} is not on this machine and the network is switched off; fetch it where"
        f" there is a network: imagefinder models pull NAME, or {BUILT_IN}"
    )


def spoilt(file: HubFile) -> ModelError:
    """For what arrived damaged twice."""
    return ModelError(
        f"{called(file)}: what {host()} sent is damaged, its hash differs from the hub's; nothing"
        f" of it was kept. Try again later or through another network, or {BUILT_IN}"
    )


def called(file: HubFile) -> str:
    """As messages name it."""
    return f"{file.path} of {file.repository}"


def host() -> str:
    """The hub's, without what else can stand in an address."""
    try:
        place = urlsplit(constants.ENDPOINT).netloc.rpartition("@")[2]
    except ValueError:
        place = ""
    return place or "HF_ENDPOINT"


def refusal(error: errors.HfHubHTTPError, file: HubFile) -> str:
    """An answer with an error status."""
    kinds: dict[type[Exception], str] = {
        errors.GatedRepoError: f"the repository is gated; accept its terms on {host()}, and log in:"
        " set HF_TOKEN to a token of yours",
        errors.RepositoryNotFoundError: f"{host()} has no such repository, or it is private; check"
        " the name, or log in: set HF_TOKEN to a token of yours",
        errors.RevisionNotFoundError: f"the repository has no revision {file.revision!r}; check the"
        " model's row",
        errors.RemoteEntryNotFoundError: f"the repository has no such file at {file.revision!r};"
        " check the model's row",
        errors.DisabledRepoError: f"{host()} has switched the repository off; use another model",
    }
    return kinds.get(type(error)) or of_status(error.response.status_code)


def of_status(status: int) -> str:
    """An answer that says no more."""
    if status in {401, 403}:
        return f"{host()} refuses access (HTTP {status}); check HF_TOKEN"
    if status == 429:
        return f"{host()} has had too many requests (HTTP 429); wait a few minutes and try again"
    if status >= 500 or status == 408:
        return f"{host()} is in trouble (HTTP {status}); try again later, or {BUILT_IN}"
    return f"{host()} answers HTTP {status}; check the model's row and HF_ENDPOINT"


def breakdown(error: httpx2.TransportError | httpx2.InvalidURL) -> str:
    """No answer, or not all of it."""
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return "HF_ENDPOINT is not an address; it begins with https:// or http://"
    if isinstance(error, httpx2.ProxyError):
        return f"the proxy refuses to connect; check HTTPS_PROXY, or {BUILT_IN}"
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or "it does not answer"
        return f"{host()} cannot be reached ({reason}); check the network, or {BUILT_IN}"
    how = "is too slow" if isinstance(error, httpx2.TimeoutException) else "breaks"
    return f"the connection to {host()} {how}; run it again, and it goes on where it stopped"


def of_disk(error: OSError) -> str:
    """The cache cannot be written or read."""
    cache, reason = constants.HF_HUB_CACHE, error.strerror or str(error)
    if error.errno in FULL:
        return f"no space left in {cache}; free some, or set HF_HOME to a folder on another disk"
    return f"the cache {cache} cannot be used ({reason}); set HF_HOME to a folder of your own"
