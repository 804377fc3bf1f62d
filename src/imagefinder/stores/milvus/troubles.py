"""What pymilvus and gRPC raise, in our words."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from imagefinder.errors import StoreError
from imagefinder.stores.milvus.address import Address

__all__ = ["Kind", "Trouble", "foreign_errors", "trouble_of"]

# away: no server answers; busy: one does, but is not ready, and will be; not loaded: it has the
# collection, but not in memory; else: trying again would not help.
Kind: TypeAlias = Literal["away", "busy", "not loaded", "else"]

# Codes of Milvus' own, see its pkg/util/merr.
NOT_LOADED = {101, 201}
BUSY = {103, 202, 401, 500, 501, 503, 600, 601, 602, 700, 901, 902, 903}
FULL = {3, 7, 9}  # memory, disk, quota
NO_COLLECTION, NO_DATABASE = 100, 800
CONNECT_FAILED = 2  # of pymilvus'
# Some come with a code that says nothing.
NOT_YET = (
    "not ready", "closed channel", "no available shard", "channel not available",
    "channel not found", "delegator closed", "not fully loaded", "release it first",
    "node not match", "node offline",
    "reason=collection not found",  # on a query node, which has just lost it, or not got it yet
    "incomplete query result",  # a search found a row that was just being written anew
)  # fmt: skip

LONGEST = 300  # characters of what the server says


@dataclass(frozen=True, slots=True)
class Trouble:
    kind: Kind
    error: StoreError  # it names the address without its secrets, and the remedy


def foreign_errors() -> tuple[type[Exception], ...]:
    """All that pymilvus raises: nothing before it is imported."""
    if sys.modules.get("pymilvus") is None:
        return ()
    from grpc import FutureTimeoutError, RpcError
    from pymilvus.exceptions import MilvusException

    return MilvusException, RpcError, FutureTimeoutError


def trouble_of(error: Exception, address: Address) -> Trouble:
    """`error` is one of `foreign_errors`."""
    import grpc

    code, message = getattr(error, "code", None), str(getattr(error, "message", error))
    for each in _chain(error):
        if isinstance(each, grpc.RpcError):
            late = each.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            if late and code == CONNECT_FAILED:  # a server that only starts to answer
                return Trouble("away", _away(address))
            return _of_rpc(each.code(), str(each.details() or ""), address)
    if isinstance(error, grpc.FutureTimeoutError):
        return _of_rpc(grpc.StatusCode.DEADLINE_EXCEEDED, "", address)
    return _of_code(code, message, bool(getattr(error, "retriable", False)), address)


def _of_rpc(code: object, details: str, address: Address) -> Trouble:
    from grpc import StatusCode

    match code:
        case StatusCode.UNAVAILABLE | StatusCode.CANCELLED:
            return Trouble("away", _away(address))
        case StatusCode.DEADLINE_EXCEEDED:
            problem = f"the Milvus server at {address.server} takes too long to answer"
            remedy = "look at its load, and whether this address is right"
        case StatusCode.UNAUTHENTICATED if address.token is None:
            problem = f"the Milvus server at {address.server} wants to know who comes"
            remedy = "write user:password@ into the address, or set IMAGEFINDER_MILVUS_TOKEN"
        case StatusCode.UNAUTHENTICATED:
            problem = f"the Milvus server at {address.server} refuses the user and password"
            remedy = "check them in the address, or in IMAGEFINDER_MILVUS_TOKEN"
        case StatusCode.PERMISSION_DENIED:
            problem = f"the user may not do that ({_plain(details, address)})"
            remedy = "let the server's administrator grant the right"
        case StatusCode.UNIMPLEMENTED:
            problem = f"what answers at {address.server} is no Milvus server, or another version"
            remedy = "check the port (19530 in most places) and the server's version"
        case _:
            problem = f"the call failed ({_plain(details, address) or code})"
            remedy = "try again; the server's log may say more"
    return Trouble("else", _told(problem, remedy, address))


def _of_code(code: object, message: str, retriable: bool, address: Address) -> Trouble:
    said = _plain(message, address)
    if code in NOT_LOADED or "collection not loaded" in message:
        error = _told(f"the server does not load the collection ({said})", _IN_MEMORY, address)
        return Trouble("not loaded", error)
    if code in BUSY or retriable or any(words in message for words in NOT_YET):
        error = _told(f"the server is not ready ({said})", "try again in a minute", address)
        return Trouble("busy", error)
    if code == CONNECT_FAILED:
        return Trouble("away", _away(address))
    if code in FULL:
        problem, remedy = f"the server takes no more ({said})", _IN_MEMORY
    elif code == NO_COLLECTION:
        problem = f"the server has not got what the collection needs ({said})"
        remedy = "was it deleted? index again, or restore a backup"
    elif code == NO_DATABASE:
        problem = f"the server has no database {address.database or 'default'!r}"
        remedy = "create it there, or write another one as database=NAME"
    elif "UNIMPLEMENTED" in message:
        import grpc

        return _of_rpc(grpc.StatusCode.UNIMPLEMENTED, "", address)
    else:
        problem, remedy = f"Milvus failed ({said})", "the server's log may say more"
    return Trouble("else", _told(problem, remedy, address))


_IN_MEMORY = "give it more memory and disk, or look at its quotas"


def _away(address: Address) -> StoreError:
    tls = "" if not address.tls else ", and whether it really speaks TLS"
    return _told(
        f"no Milvus server answers at {address.server}",
        f"start it, or check the address{tls}",
        address,
    )


def _told(problem: str, remedy: str, address: Address) -> StoreError:
    return StoreError(f"{address.shown}: {problem}; {remedy}")


def _plain(said: str, address: Address) -> str:
    """What the server says in one line, and without our secrets, should it repeat them."""
    said = " ".join(said.split())
    for secret in (address.token or "").split(":", 1)[::-1]:
        if secret and secret != "root":
            said = said.replace(secret, "[hidden]")
    return said if len(said) <= LONGEST else said[:LONGEST] + "..."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it. pymilvus makes errors their own cause."""
    seen: list[BaseException] = []
    following: list[BaseException | None] = [error]
    while following:
        each = following.pop()
        if each is not None and not any(each is one for one in seen):
            seen.append(each)
            yield each
            following += [each.__context__, each.__cause__]
