"""What stands in for a reader's machine when the docs run: a home with pictures, and the web.

The home has `Pictures/` with 45 of the demo images in folders (some with what a camera writes into
a file), `photo.jpg`, the tiger of the demo queries, `images.csv`, a table of URLs, and `my-model`,
the folder of a small model. Of the web, http://example.com/NAME is the demo image of that name;
everything else is not found. The model hub has small graphs of the catalogue's structure.
"""

import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

from PIL import Image
from PIL.ExifTags import IFD, Base

from tests.toy_models import write_model

DEMO = Path(__file__).resolve().parents[1] / "src" / "imagefinder" / "demo"
PICTURES = {  # folder: the demo images in it, and how many of each at most
    "animals": (("big-cat", "cat", "horse"), 9),
    "garden": (("flower",), 9),
    "music": (("strings",), 9),
}
PHOTOGRAPHS = {  # what a camera would have written: demo image, date, maker, model
    "holiday/beach.jpg": ("boat-05.jpg", "2024:07:14 16:20:00", "Canon", "EOS R6"),
    "holiday/forest.jpg": ("tree-02.jpg", "2023:10:03 11:05:00", "Apple", "iPhone 15"),
}
TABLE = """\
id,url,label
cat-1,http://example.com/cat-01.png,cat
cat-2,http://example.com/cat-02.webp,cat
tiger-1,http://example.com/big-cat-06.png,big cat
guitar-1,http://example.com/strings-06.png,guitar
guitar-2,http://example.com/strings-01.jpg,guitar
gone-1,http://example.com/gone.jpg,dog
"""

PORTS = count(20_000 + os.getpid() % 10_000)  # below those that systems give to clients


def make_home(home: Path) -> None:
    """The files of a reader."""
    for folder, (names, most) in PICTURES.items():
        (home / "Pictures" / folder).mkdir(parents=True)
        for name in names:
            for file in sorted((DEMO / "images").glob(f"{name}-*"))[:most]:
                shutil.copyfile(file, home / "Pictures" / folder / file.name)
    (home / "Pictures" / "holiday").mkdir()
    for path, (name, date, maker, model) in PHOTOGRAPHS.items():
        exif = Image.Exif()
        exif[Base.Make], exif[Base.Model] = maker, model
        exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = date
        with Image.open(DEMO / "images" / name) as image:
            image.save(home / "Pictures" / path, quality=90, exif=exif)
    (home / "Pictures" / "notes.txt").write_text("What is in these folders.\n")
    shutil.copyfile(DEMO / "queries" / "tiger.jpg", home / "photo.jpg")
    (home / "images.csv").write_text(TABLE)
    write_model(home / "my-model")


def environment(home: Path, proxy: str, port: int, hub: str = "") -> dict[str, str]:
    """A wide terminal, quiet as far as that can be asked for, and this Python's commands. `port` is
    where services listen."""
    return {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "TMPDIR": str(home.parent),
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "NO_COLOR": "1",
        "TTY_INTERACTIVE": "0",  # Rich draws no progress
        "COLUMNS": "200",
        "BROWSER": "true",  # the command that always succeeds
        "http_proxy": proxy,
        "no_proxy": "127.0.0.1,localhost",
        "IMAGEFINDER_PORT": str(port),
        "HF_ENDPOINT": hub,
    }


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens at, and that is not given out twice."""
    return next(port for port in PORTS if is_free(port))


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextmanager
def web() -> Iterator[str]:
    """A proxy that answers for the web; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Web(BaseHTTPRequestHandler):
    """A proxy is asked with the whole URL."""

    def do_GET(self) -> None:
        host, _, name = self.path.removeprefix("http://").partition("/")
        image = DEMO / "images" / Path(name).name
        found = host == "example.com" and image.is_file()
        body = image.read_bytes() if found else b"not found"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""
