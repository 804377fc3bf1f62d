"""Who has a collection open: one process at a time, which leaves its name."""

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from imagefinder.errors import CollectionInUseError, StoreError

BOOT = Path("/proc/sys/kernel/random/boot_id")  # another one after each start of the machine


@dataclass(slots=True)
class Held:
    """A collection that this process holds. `in_doubt`: its last holder never let go, and the
    machine may have gone down with it, so that what was not on the disk yet is lost. That stays
    noted for the next holder, too, until this one says that it has looked."""

    lock: FileLock
    holder: Path
    in_doubt: bool
    address: str = ""  # of the service that this process is

    def announce(self, address: str) -> None:
        """Name the URL at which the collection can be used meanwhile."""
        self.address = address
        self.sign()

    def sign(self) -> None:
        """Leave this process's name, for a person to read."""
        who = {
            "pid": os.getpid(),
            "command": command(),
            "boot": "" if self.in_doubt else boot(),
            "address": self.address,
        }
        with suppress(OSError):  # on a full disk the lock holds without a word about who has it
            self.holder.write_text(json.dumps(who))

    def looked(self) -> None:
        """Nothing is in doubt any more."""
        self.in_doubt = False
        self.sign()

    def release(self) -> None:
        """Let other processes in."""
        if not self.in_doubt:
            self.holder.unlink(missing_ok=True)
        self.lock.release()


def lock(path: Path, name: str) -> Held:
    """Hold the collection for this process. Raises CollectionInUseError that names the holder."""
    holder = path / "lock.json"
    held = FileLock(path / "lock")
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise in_use(name, holder) from None
    except OSError as error:
        raise StoreError(
            f"{name}: the collection cannot be locked ({error.strerror or error});"
            " check the permissions of the directory"
        ) from error
    mine = Held(held, holder, in_doubt=went_down(holder))
    mine.sign()
    return mine


def command() -> str:
    """What this process does, as far as a person wants to know."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])


def boot() -> str:
    """Which start of the machine this is; empty where the system does not tell."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""


def went_down(holder: Path) -> bool:
    """Whether the last holder is still noted, and not from since the machine was started."""
    try:
        before = json.loads(holder.read_text()).get("boot", "")
    except FileNotFoundError:
        return False  # it let go
    except (OSError, ValueError, AttributeError):
        return True  # not even its name reached the disk
    return not before or before != boot()


def in_use(name: str, holder: Path) -> CollectionInUseError:
    """Says who holds the lock, as far as is known, and what to do."""
    try:
        who = json.loads(holder.read_text())
        pid, known = who["pid"], f" (process {who['pid']}: {who['command']})"
    except (OSError, ValueError, KeyError, TypeError):
        who, pid, known = {}, None, ""
    if pid == os.getpid():
        return CollectionInUseError(
            f"{name}: this program has the collection open already;"
            " use that ImageFinder for everything, or close it first"
        )
    if address := who.get("address"):
        return CollectionInUseError(
            f"{name}: a service has the collection open{known};"
            f" use it through the service: -c {address}"
        )
    return CollectionInUseError(
        f"{name}: the collection is open in another process{known};"
        " wait until it ends, or stop it, and try again"
    )
