"""What load to make, and what came of it: the two things that cross the process border."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field

from benchmarks.machine import ROOT

Milliseconds = list[float]


@dataclass(frozen=True, slots=True)
class Plan:
    """`clients` that each send a search when they have the answer to the last; or, where `rate` is
    given, so many searches a second whatever becomes of them."""

    port: int
    folder: str  # of the pictures that are uploaded in turn
    seconds: float
    clients: int = 1
    rate: float = 0.0
    ping_every: float = 0.0  # seconds, on a connection of its own; 0: never
    warm_up: float = 2.0  # seconds that do not count


@dataclass(slots=True)
class Outcome:
    """Of the searches that ended in the time that counts; at a `rate`, that were due in it."""

    answered: Milliseconds = field(default_factory=list)  # with hits
    refused: Milliseconds = field(default_factory=list)  # 503 with Retry-After
    pings: Milliseconds = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)  # everything else, all the time
    late_ms: float = 0.0  # that a request was sent after it was due, at most
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # that the load itself took

    @property
    def rate(self) -> float:
        """Answered searches a second."""
        return len(self.answered) / self.seconds


class LoadError(Exception):
    """Something failed that may never fail."""


def carried_out(plan: Plan, *, refusals: bool = False) -> Outcome:
    """Make the load from a process of its own. Raises LoadError where a request failed; a refusal
    is a failure unless `refusals`."""
    command = [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(plan))]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    outcome = Outcome(**json.loads(done.stdout))
    if outcome.failures or (outcome.refused and not refusals):
        raise LoadError(f"{outcome.failures}, {len(outcome.refused)} refused, with {plan}")
    return outcome
