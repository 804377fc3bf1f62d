"""Uses what was built as people would, and says what held."""

import csv
import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from container.building import say
from container.recipe import Stage
from container.running import Container
from container.service import RefusedError, request, search, upload, wait_until_ready

PORT = 8000
FIRST_START = 120.0  # seconds at most: the demo images are indexed
NEXT_START = 20.0
STOPPED_WITHIN = 10.0  # then an engine kills
REMOVED = "cat-01"
PLACES = ("/", "/data", "/etc", "/opt/imagefinder", "/sys", "/tmp", "/var")
READER, WRITER = token_hex(), token_hex()
KEYS = f"read:{READER}\nwrite:{WRITER}\n"


@dataclass(slots=True)
class Proof:
    """The layers of the image, the topmost first, and a folder for everything of these runs."""

    project: Path
    stage: Stage
    layers: Sequence[Path]
    folder: Path

    @property
    def demo(self) -> Path:
        return self.project / "src" / "imagefinder" / "demo"

    def run(self) -> None:
        self.folder.mkdir()
        self.the_image_is_closed()
        data = self.volume("data")
        self.a_plain_start_answers(data)
        self.the_next_start_indexes_nothing(data)
        self.a_kill_loses_nothing(data)
        self.keys_come_from_a_secret(data)
        self.own_pictures_are_indexed(self.volume("own"))
        self.an_interrupted_first_start_does_no_harm(self.volume("interrupted"))
        self.another_user_can_run_it(self.volume("other", owner=(4711, 4711)))

    def volume(self, name: str, owner: tuple[int, int] | None = None) -> Path:
        """A new volume, with the content and the owner that the image gives it."""
        source, target = self.layers[0] / "data", self.folder / name
        shutil.copytree(source, target)
        status = source.stat()
        os.chown(target, *(owner or (status.st_uid, status.st_gid)))
        return target

    @contextmanager
    def container(
        self, volumes: Mapping[str, Path], *command: str, user: str = "", **variables: str
    ) -> Iterator[Container]:
        """Started with the Dockerfile's command, or one of one's own after ENTRYPOINT."""
        container = Container(
            self.stage, self.layers, self.folder / "container", volumes, variables, user
        )
        try:
            container.start(
                [*self.stage.words("ENTRYPOINT"), *(command or self.stage.words("CMD"))]
            )
            yield container
        except BaseException:
            say(f"    the container's log:\n{container.log.read_text()}")
            raise
        finally:
            container.remove()

    def the_image_is_closed(self) -> None:
        """Its user can change nothing in it but the volume, and no build setting is left in it."""
        uid, gid = map(int, self.stage.last("USER").value.split(":"))
        assert uid != 0
        assert gid != 0
        top = self.layers[0]
        assert not (top / "etc" / "pip.conf").exists()
        open_to_it = [
            path
            for path in top.rglob("*")
            if not path.is_symlink() and may_write(path.lstat(), uid, gid)
        ]
        assert open_to_it == [top / "data"], open_to_it
        say(f"ok  the user {uid}:{gid} may write to /data and to nothing else that the image adds")

    def a_plain_start_answers(self, data: Path) -> None:
        with self.container({"/data": data}) as container:
            seconds = ready_after(container, FIRST_START)
            assert request(PORT, "GET", "/ping") == b'"pong"'
            labels = self.labels()
            assert status()["images"] == len(labels)
            found = [labels[hit] for hit in search(PORT, self.demo / "queries" / "tiger.jpg")]
            assert found == ["big cat"] * 3, found
            say(f"ok  a first start indexes {len(labels)} images and answers after {seconds:.1f} s")
            say(f"ok  a tiger finds {', '.join(found)}; {memory(container)}")
            health(container, 0)
            is_confined(container)
            commands_go_through_it(container)
            request(PORT, "DELETE", f"/v1/images/{REMOVED}")
            stops_cleanly(container, self.stage)
            health(container, 1)
            say("ok  its health check ends with 0 while it runs, and with 1 when it does not")
            shown = container.run([*self.stage.words("ENTRYPOINT"), "status", "--json"])
            assert shown.returncode == 0, shown.stderr
            assert json.loads(shown.stdout)["images"] == len(labels) - 1
            say("ok  what it leaves is a collection that opens, with what was changed")

    def the_next_start_indexes_nothing(self, data: Path) -> None:
        with self.container({"/data": data}) as container:
            seconds = ready_after(container, NEXT_START)
            assert REMOVED not in all_ids(), "the demo images were indexed again"
            say(f"ok  a second start answers after {seconds:.1f} s and indexes nothing")
            stops_cleanly(container, self.stage)

    def a_kill_loses_nothing(self, data: Path) -> None:
        with self.container({"/data": data}) as container:
            ready_after(container, NEXT_START)
            upload(PORT, "/v1/images", self.demo / "queries" / "tiger.jpg", {})
            container.end(signal.SIGKILL)
        with self.container({"/data": data}) as container:
            ready_after(container, NEXT_START)
            assert search(PORT, self.demo / "queries" / "tiger.jpg")[0] == "tiger.jpg"
            say("ok  an image that was added over HTTP is there after a kill")
            stops_cleanly(container, self.stage)

    def keys_come_from_a_secret(self, data: Path) -> None:
        keys, place = self.folder / "keys.txt", "/run/secrets/imagefinder_keys"
        keys.write_text(KEYS)
        keys.chmod(0o400)
        os.chown(keys, *map(int, self.stage.last("USER").value.split(":")))
        tiger = self.demo / "queries" / "tiger.jpg"
        volumes = {"/data": data, place: keys}
        with self.container(volumes, IMAGEFINDER_KEYS_FILE=place) as container:
            ready_after(container, NEXT_START)
            health(container, 0)
            assert refused(lambda: search(PORT, tiger)) == 401
            reader = {"Authorization": f"Bearer {READER}"}
            assert len(search(PORT, tiger, reader)) == 3
            assert refused(lambda: upload(PORT, "/v1/images", tiger, reader)) == 403
            log = container.log.read_text()
            assert READER not in log
            assert WRITER not in log
            say("ok  with a file of keys: 401 without one, 403 for what a reader may not do")
            stops_cleanly(container, self.stage)

    def own_pictures_are_indexed(self, data: Path) -> None:
        pictures = self.folder / "pictures"
        shutil.copytree(self.demo / "images", pictures)
        volumes = {"/data": data, "/pictures": pictures}
        with self.container(volumes, "index", "/pictures") as container:
            assert container.wait() == 0, container.log.read_text()
        with self.container(volumes) as container:
            ready_after(container, NEXT_START)
            names = {path.name for path in pictures.iterdir()}
            assert set(all_ids()) == names, "the demo images came in, too"
            say(f"ok  `index /pictures`, mounted read-only: {len(names)} images, no demo images")
            stops_cleanly(container, self.stage)

    def an_interrupted_first_start_does_no_harm(self, data: Path) -> None:
        with self.container({"/data": data}) as container:
            while container.is_alive() and not any(data.iterdir()):
                time.sleep(0.01)
            seconds = container.end(signal.SIGTERM)[1]
            assert seconds < STOPPED_WITHIN, f"took {seconds:.1f} s to stop while it indexed"
        with self.container({"/data": data}) as container:
            ready_after(container, FIRST_START)
            assert status()["images"] == len(self.labels()), "the demo images came in half"
            say("ok  a stop while the demo images are indexed: the next start goes on")
            stops_cleanly(container, self.stage)

    def labels(self) -> dict[str, str]:
        """The demo images."""
        with (self.demo / "images.csv").open(encoding="utf-8", newline="") as table:
            return {row["id"]: row["label"] for row in csv.DictReader(table)}

    def another_user_can_run_it(self, data: Path) -> None:
        with self.container({"/data": data}, user="4711:4711") as container:
            ready_after(container, FIRST_START)
            say("ok  another user (`--user`) with a folder of its own for /data runs it, too")
            stops_cleanly(container, self.stage)


def bring_up_loopback() -> None:
    """A network namespace begins with its loopback interface down."""
    set_flags, up = 0x8914, 0x1  # SIOCSIFFLAGS and IFF_UP of <linux/if.h>
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14x", b"lo", up))


def may_write(status: os.stat_result, uid: int, gid: int) -> bool:
    mode = status.st_mode
    return bool(
        (status.st_uid == uid and mode & stat.S_IWUSR)
        or (status.st_gid == gid and mode & stat.S_IWGRP)
        or mode & stat.S_IWOTH
    )


def is_confined(container: Container) -> None:
    """A read-only root, no rights, and none to be had."""
    lines = Path(f"/proc/{container.pid()}/status").read_text().splitlines()
    values = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert set(values["Uid"] + values["Gid"]) == set(container.owner())
    assert values["Groups"] == []
    assert values["NoNewPrivs"] == ["1"]
    assert {values[f"Cap{kind}"][0] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert [place for place in PLACES if container.is_writable(place)] == ["/data", "/tmp"]
    say("ok  it has no capabilities and gets none, and can write to /data and /tmp alone")


def commands_go_through_it(container: Container) -> None:
    """Other commands in it, as `docker exec` runs them."""
    show = [*container.stage.words("ENTRYPOINT"), "status", "--json"]
    address = f"http://127.0.0.1:{PORT}"
    refused = container.run(show)
    assert refused.returncode == 1
    assert address in refused.stderr, refused.stderr
    shown = container.run([*show, "-c", address])
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["images"] == status()["images"]
    say("ok  another command says that the service has the collection, and works through it")


def ready_after(container: Container, limit: float) -> float:
    """The seconds from its start to its readiness."""
    wait_until_ready(PORT, limit, container.is_alive)
    return time.monotonic() - container.started


def memory(container: Container) -> str:
    lines = Path(f"/proc/{container.pid()}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines)
    kilobytes = int(values["VmHWM"].split()[0])
    return f"{kilobytes * 1024 / 1e6:.0f} MB resident at most"


def health(container: Container, code: int) -> None:
    checked = container.run(container.stage.words("HEALTHCHECK"))
    assert checked.returncode == code, (checked.returncode, checked.stderr)


def stops_cleanly(container: Container, stage: Stage) -> None:
    code, seconds = container.end(signal.Signals[stage.last("STOPSIGNAL").value])
    assert code == 0, f"ended with {code}: {container.log.read_text()}"
    assert seconds < STOPPED_WITHIN, f"took {seconds:.1f} s to stop"


def status() -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(request(PORT, "GET", "/v1/status"))
    return answer


def refused(action: Callable[[], object]) -> int:
    """The status with which an action is refused; 0 when it is not."""
    try:
        action()
    except RefusedError as refusal:
        return int(refusal.args[0])
    return 0


def all_ids() -> list[str]:
    page = json.loads(request(PORT, "GET", "/v1/images?limit=1000"))
    assert page["next"] is None
    return [image["id"] for image in page["images"]]
