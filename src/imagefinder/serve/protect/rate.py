"""Rate limits for each key, else each address. Imported where a limit is set: 100 ms."""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from limits import RateLimitItem, parse_many
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from imagefinder.errors import UsageError
from imagefinder.serve.options import Key
from imagefinder.serve.problems import problem
from imagefinder.serve.protect.paths import is_open

MOST_CLIENTS = 20_000
MOST_ENTRIES = 1_000_000  # requests that are remembered of all clients; about 32 MB

Clock = Callable[[], float]


class Limiter:
    """What is counted: one for all middlewares that share it."""

    def __init__(self, limits: str, clock: Clock = time.monotonic) -> None:
        self._limits, self._clock = _parsed(limits), clock
        self._windows = MovingWindowRateLimiter(Windows(clock))

    def wait(self, who: str) -> float:
        """Counts a request; the seconds to wait before one would be allowed, 0 for this one."""
        full = [limit for limit in self._limits if not self._windows.test(limit, who)]
        if full:  # a refused request counts for none of the limits
            ends = [self._windows.get_window_stats(limit, who).reset_time for limit in full]
            return max(max(ends) - self._clock(), 0.001)
        for limit in self._limits:
            self._windows.hit(limit, who)
        return 0.0


class RateLimit:
    def __init__(self, app: ASGIApp, limiter: Limiter) -> None:
        self._app, self._limiter = app, limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait = 0.0 if is_open(scope) else self._limiter.wait(_who(scope))
        if not wait:
            await self._app(scope, receive, send)
            return
        seconds = str(math.ceil(wait))
        refusal = problem(
            429, f"Too many requests; try again in {seconds} s", headers={"Retry-After": seconds}
        )
        await refusal(scope, receive, send)


class Windows(Storage, MovingWindowSupport):
    """Times of requests by client, in bounded memory: the client that was quiet longest goes first.

    The library's own store in memory keeps every client that it ever saw, and starts a thread
    every few milliseconds.
    """

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock, self._entries = clock, 0
        self._windows: OrderedDict[str, deque[float]] = OrderedDict()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        window = self._current(key, expiry)
        if len(window) + amount > limit:
            return False
        window.extend([self._clock()] * amount)
        self._windows[key] = window
        self._windows.move_to_end(key)
        self._entries += amount
        while len(self._windows) > MOST_CLIENTS or self._entries > MOST_ENTRIES:
            self._entries -= len(self._windows.popitem(last=False)[1])
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        window = self._current(key, expiry)
        return (window[0] if window else self._clock(), len(window))

    def _current(self, key: str, expiry: int) -> deque[float]:
        window = self._windows.get(key, deque())
        oldest = self._clock() - expiry
        while window and window[0] <= oldest:
            window.popleft()
            self._entries -= 1
        return window

    def reset(self) -> int:
        count, self._entries = len(self._windows), 0
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        self._entries -= len(self._windows.pop(key, ()))

    def check(self) -> bool:
        return True

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    # What fixed windows would need:

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError

    def get(self, key: str) -> int:
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        raise NotImplementedError


def _parsed(limits: str) -> list[RateLimitItem]:
    try:
        parsed = parse_many(limits)
    except ValueError as error:
        raise UsageError(f"rate limit {limits!r}: write it like 120/minute") from error
    if any(limit.amount < 1 for limit in parsed):
        raise UsageError(f"rate limit {limits!r}: at least 1 request must be allowed")
    return parsed


def _who(scope: Scope) -> str:
    key = scope.get("state", {}).get("key")
    if isinstance(key, Key):
        return f"key {key.name}"
    client = scope.get("client")
    return f"address {_network(client[0]) if client else 'unknown'}"


def _network(host: str) -> str:
    """An IPv6 network of 64 bits is one customer's; he can draw a new address for each request."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host[:64]  # a proxy's word for a client
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))
