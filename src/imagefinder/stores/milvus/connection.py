"""One connection to a Milvus server: made when it is first needed, kept through its restarts."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from imagefinder.errors import MissingExtraError, StoreError
from imagefinder.stores.milvus.address import Address
from imagefinder.stores.milvus.freshness import wanted
from imagefinder.stores.milvus.troubles import Kind, foreign_errors, trouble_of

__all__ = ["CALL_SECONDS", "LOAD_SECONDS", "Client", "Connection", "check_loaded"]

Client: TypeAlias = Any  # a pymilvus.MilvusClient, which has no types
_T = TypeVar("_T")

CALL_SECONDS = 60.0  # of one call; give it to the methods of the client as `timeout`
CONNECT_SECONDS = 5.0
LOAD_SECONDS = 600.0

# For how long a call is tried again, in seconds.
PATIENCE: dict[Kind, float] = {"away": 10.0, "busy": 120.0, "not loaded": 10.0, "else": 0.0}
PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)  # seconds between tries; the last one from then on
LOADS = 3  # of one collection in one call
OTHERS_SECONDS = 1.0  # for whoever has taken a collection out of memory to bring it back, changed

LEVELS = {"session": "Session", "bounded": "Bounded", "strong": "Strong"}


class Connection:
    """Safe to call from several threads."""

    def __init__(self, address: Address) -> None:
        """Nothing is connected yet."""
        self.address = address
        self._client: Client | None = None
        self._closed = False
        self._connecting = threading.Lock()

    def call(self, work: Callable[[Client], _T], *, collection: str | None = None) -> _T:
        """What `work` makes of the client. It may be done more than once, so let it be something
        that can be: while no server answers, or one that is starting, it is tried again.

        `collection` is the Milvus collection that it searches or queries: it is loaded when the
        server says that it is not. Raises StoreError in place of what pymilvus raises, and
        MissingExtraError where pymilvus is not installed.
        """
        started, tries, loads = time.monotonic(), 0, 0
        while True:
            try:
                return work(self.client())
            except foreign_errors() as error:
                if self._closed:
                    raise _closed_error() from None
                trouble = trouble_of(error, self.address)
                waited = time.monotonic() - started
                unloaded = collection if trouble.kind == "not loaded" and loads < LOADS else None
                if unloaded is None and waited >= PATIENCE[trouble.kind]:
                    raise trouble.error from error
            if unloaded is not None and waited >= OTHERS_SECONDS:
                loads += 1
                self.load(unloaded)
            time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1

    def load(self, collection: str) -> None:
        """Into the server's memory, where it has to be to be searched and queried. Waits."""
        self.call(lambda client: client.load_collection(collection, timeout=LOAD_SECONDS))

    def delete(self, collection: str, where: str) -> None:
        """Delete the rows for which the expression holds. When it returns, they are gone for
        whoever reads at the address' level: Milvus answers a delete without the time of it, by
        which a session would know what to wait for, so one read at the newest level does."""

        def delete(client: Client) -> None:
            client.delete(collection, filter=where, timeout=CALL_SECONDS)
            if self.address.consistency == "session":
                client.query(
                    collection,
                    filter=where,
                    limit=1,
                    consistency_level=LEVELS["strong"],
                    timeout=CALL_SECONDS,
                )

        self.call(delete, collection=collection)

    def client(self) -> Client:
        """The client, connected. For what asks the server nothing, such as making a schema; all
        else inside `call`, because only that translates errors and tries again."""
        with self._connecting:
            if self._closed:
                raise _closed_error()
            if self._client is None:
                self._client = _connected(self.address)
            return self._client

    def level(self, *, strong: bool = False) -> str:
        """How fresh a read is to be, in Milvus' words: as the address says, or the newest."""
        return LEVELS["strong" if strong or wanted() else self.address.consistency]

    def close(self) -> None:
        """Later calls raise StoreError."""
        with self._connecting:
            self._closed = True
            client, self._client = self._client, None
        if client is not None:
            client.close()


def check_loaded(client: Client, collection: str) -> None:
    """Inside `call`, after a read that found less than it could have: while a collection is taken
    out of memory Milvus finds nothing for a moment, and does not say so. Raises what `call` takes
    for "not loaded"."""
    from pymilvus.exceptions import MilvusException

    state = client.get_load_state(collection, timeout=CALL_SECONDS)["state"]
    if state.name != "Loaded":
        raise MilvusException(code=101, message=f"collection not loaded[state={state.name}]")


def _connected(address: Address) -> Client:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # else it prints what it raises, too
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise MissingExtraError("milvus:// collections", "milvus") from error

    logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)  # the same
    return MilvusClient(
        f"{'https' if address.tls else 'http'}://{address.server}",
        token=address.token or "",
        db_name=address.database or "",
        timeout=CONNECT_SECONDS,
        dedicated=True,  # a shared one would stay open for ever
    )


def _closed_error() -> StoreError:
    return StoreError("the collection is closed; open it again")
