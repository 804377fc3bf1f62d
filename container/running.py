"""Runs what was built as a container engine would: read-only, without rights, alone with /data."""

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from container.building import run
from container.recipe import Stage

DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}
SETPRIV = ("--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all")
STARTED_WITHIN = 10.0  # seconds, for the first process


@dataclass(slots=True)
class Container:
    """One container. `volumes` has places in it and folders or files of this machine."""

    stage: Stage
    lower: Sequence[Path]  # the read-only layers, the topmost first
    folder: Path
    volumes: Mapping[str, Path]
    variables: Mapping[str, str] = field(default_factory=dict)
    user: str = ""  # "uid:gid"; without it, that of the Dockerfile
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def environment(self) -> dict[str, str]:
        return {**self.stage.environment(), **self.variables}

    def start(self, command: Sequence[str]) -> None:
        """As process 1 of its own."""
        self.make_root()
        enter = ["unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={self.root}/proc"]
        self.started = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*enter, *self.as_user(command)], env=self.environment, stdout=log, stderr=log
            )

    def make_root(self) -> None:
        """The layers, read-only, with the places that an engine fills."""
        added, work = self.folder / "added", self.folder / "work"
        for layer in (self.root, added, work):
            layer.mkdir(parents=True)
        layers = f"lowerdir={':'.join(map(str, self.lower))},upperdir={added},workdir={work}"
        run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        self.make_devices()
        run("mount", "-t", "proc", "proc", self.inside("/proc"))
        run("mount", "--bind", "-o", "ro", "/sys", self.inside("/sys"))
        for place, source in self.volumes.items():
            target = self.inside(place)
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()
            else:
                target.mkdir(parents=True, exist_ok=True)
        run("mount", "-o", "remount,ro", self.root)
        run("mount", "-t", "tmpfs", "-o", "noexec,nosuid,nodev", "tmpfs", self.inside("/tmp"))
        for place, source in self.volumes.items():
            run("mount", "--bind", source, self.inside(place))
            if place != "/data":
                run("mount", "-o", "remount,bind,ro", self.inside(place))

    def make_devices(self) -> None:
        devices = self.inside("/dev")
        run("mount", "-t", "tmpfs", "-o", "nosuid,noexec,mode=755", "tmpfs", devices)
        for name, (major, minor) in DEVICES.items():
            os.mknod(devices / name, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
            (devices / name).chmod(0o666)
        (devices / "shm").mkdir()
        run("mount", "-t", "tmpfs", "-o", "nosuid,nodev,size=64m", "tmpfs", devices / "shm")

    def as_user(self, command: Sequence[str]) -> list[str]:
        uid, gid = self.owner()
        rights = ["setpriv", f"--reuid={uid}", f"--regid={gid}", *SETPRIV]
        return ["chroot", str(self.root), *rights, *command]

    def owner(self) -> list[str]:
        """Its user and group, by number."""
        return (self.user or self.stage.last("USER").value).split(":")

    def is_writable(self, place: str) -> bool:
        return not os.statvfs(self.inside(place)).f_flag & os.ST_RDONLY

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Another command in it, as `docker exec` would."""
        return subprocess.run(
            self.as_user(command),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def pid(self) -> int:
        """Its first process, as this machine counts."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        deadline = time.monotonic() + STARTED_WITHIN
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := children.read_text().split():
                return int(found[0])
            time.sleep(0.01)
        raise RuntimeError(f"no process was started: {self.log.read_text()}")

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        assert self.process is not None
        return self.process.wait(timeout=120)

    def end(self, how: signal.Signals) -> tuple[int, float]:
        """Its exit code, and after how many seconds."""
        assert self.process is not None
        start = time.monotonic()
        os.kill(self.pid(), how)
        code = self.process.wait(timeout=60)
        return code, time.monotonic() - start

    def remove(self) -> None:
        if self.process is not None and self.is_alive():
            self.process.kill()
            self.process.wait()
        run("umount", "--recursive", self.root)
        shutil.rmtree(self.folder)

    def inside(self, path: str) -> Path:
        return self.root / path.lstrip("/")
