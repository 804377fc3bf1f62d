"""A real Milvus server on this machine, for the tests: the package `milvus` carries one.

A test that cannot have it fails; it is never skipped.
"""

import logging
import lzma
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["Server", "milvus_address", "milvus_programs", "milvus_server", "new_server"]

STARTED_WITHIN = 120  # seconds; it takes 3, and to unpack it 6 more

# By default it takes half a minute until what a killed server was gives way to the next, and a
# read after a write waits up to 0.4 s: twice the interval between the ticks of its clock.
SESSION_SECONDS = 5
TICK_MS = 50
# And its parts look about once a second for what is to be made ready to be searched.
LOOKING = ("CHECKINTERVAL", "CHECKCHANNELINTERVAL", "CHECKSEGMENTINTERVAL", "DISTPULLINTERVAL")

ETCD = """\
listen-client-urls: http://127.0.0.1:{client}
advertise-client-urls: http://127.0.0.1:{client}
listen-peer-urls: http://127.0.0.1:{peer}
initial-advertise-peer-urls: http://127.0.0.1:{peer}
initial-cluster: default=http://127.0.0.1:{peer}
"""
ETCD_USED = "  use:\n    embed: true"  # in the package's template, which leaves etcd's ports to it


class Server:
    """One server, with its data in a folder and ports that nobody else uses. Not started yet."""

    def __init__(
        self, folder: Path, programs: Path, *, passwords: bool = False, hurried: bool = True
    ) -> None:
        """`programs` is what `unpack` made. With `passwords` it wants to know who comes: at first
        `root:Milvus`. One that is not `hurried` waits as long as one that people use."""
        from milvus import MilvusServerConfig

        self._folder, self._programs = folder, programs
        self._hurry = {f"QUERYCOORD_{name}": str(TICK_MS) for name in LOOKING} if hurried else {}
        self._process: subprocess.Popen[bytes] | None = None
        config = MilvusServerConfig(data_dir=str(folder))
        config.resolve_storage()
        config.set("authorization_enabled", passwords)
        names = [name for name in config.configurable_items if name.endswith("_port")]
        *ports, etcd_peer, self._metrics = _free_ports(len(names) + 2)
        for name, port in zip(names, ports, strict=True):
            config.set(name, port)
        etcd = folder / "etcd.yaml"
        etcd.write_text(ETCD.format(client=config.get("etcd_port"), peer=etcd_peer))
        assert ETCD_USED in config.template_text
        config.template_text = config.template_text.replace(
            ETCD_USED, f"  config:\n    path: {etcd}\n{ETCD_USED}"
        )
        config.set("common.session.ttl", SESSION_SECONDS)
        if hurried:
            config.set("proxy.timeTickInterval", TICK_MS)
        config.write_config()
        self.address = f"127.0.0.1:{config.get('proxy_port')}"

    def start(self) -> "Server":
        """Comes back when it answers; with the data of before, if there were. Not the package's own
        way, which refuses a port that was in use a minute ago."""
        environment = {
            **os.environ,
            "DEPLOY_MODE": "STANDALONE",
            # Not the absolute path of the package: with that, this version deletes the embeddings
            # of an IVF_SQ8 space as it first hands them out.
            "LOCALSTORAGE_PATH": "data",
            "METRICS_PORT": str(self._metrics),
            **self._hurry,
            "MILVUS_RUN_DIR": str(self._folder / "run"),
            "LD_LIBRARY_PATH": str(self._programs),
            "DYLD_LIBRARY_PATH": str(self._programs),
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "milvus", "run", "standalone"],
                cwd=self._folder,
                env=environment,
                stdout=log,
                stderr=log,
            )
        self._wait()
        return self

    def kill(self) -> None:
        """`kill -9`. `start` brings it back at the same address."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def _log(self) -> Path:
        return self._folder / "logs" / "output.log"

    def _wait(self) -> None:
        from pymilvus import MilvusClient
        from pymilvus.exceptions import MilvusException

        logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)
        deadline = time.monotonic() + STARTED_WITHIN
        while True:
            try:
                client = MilvusClient(
                    f"http://{self.address}", token="root:Milvus", timeout=5, dedicated=True
                )
                client.list_collections(timeout=5)
                client.close()
                return
            except MilvusException as error:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    self.kill()
                    log = self._log.read_text(errors="replace")[-3000:]
                    raise RuntimeError(f"the Milvus server did not start: {error}\n{log}") from None
                time.sleep(0.1)


def unpack(folder: Path) -> Path:
    """The programs of the package, 250 MB, in the folder."""
    import milvus

    folder.mkdir()
    for packed in (Path(milvus.__file__).parent / "data" / "bin").glob("*.lzma"):
        program = folder / packed.stem
        with lzma.open(packed) as source, program.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        program.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def milvus_programs() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="milvus-"))
    yield unpack(folder / "programs")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def milvus_server(milvus_programs: Path) -> Iterator[Server]:
    """The one that tests share, which none of them ends."""
    yield from _running(milvus_programs)


@pytest.fixture(scope="session")
def milvus_address(milvus_server: Server) -> str:
    """Its host:port."""
    return milvus_server.address


@pytest.fixture
def new_server(milvus_programs: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """An empty one for a test that ends or restarts it. One with passwords is asked for by
    `@pytest.mark.parametrize("new_server", ["passwords"], indirect=True)`."""
    yield from _running(milvus_programs, passwords=getattr(request, "param", "") == "passwords")


def _running(programs: Path, *, passwords: bool = False) -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(dir=programs.parent))
    server = Server(folder, programs, passwords=passwords)
    try:
        yield server.start()
    finally:
        server.kill()
        shutil.rmtree(folder)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
