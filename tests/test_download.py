"""Downloading: names, resume after every kind of end, and what is told of what failed."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefinder.download import DownloadReport, download
from imagefinder.download.file_names import FileNames, with_extension
from imagefinder.errors import TransferError
from imagefinder.sources import Fetcher, open_source
from imagefinder.sources.manifest import Entry, ManifestWriter, read_manifest
from imagefinder.types import ImageRef, Skipped
from tests.image_server import ImageServer, Reply, encoded, jpeg
from tests.pictures import picture
from tests.test_sources_table import SHARED, table

MANIFEST = "imagefinder-manifest.jsonl"
POSIX = pytest.mark.skipif(os.name == "nt", reason="needs signals or mounts")


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with ImageServer().running() as running:
        yield running


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagefinder.sources.web.FIRST_WAIT", 0.001)


def rows(server: ImageServer, ids: list[str], more: str = "") -> str:
    return "id,url\n" + "".join(f"{id},{server.url(id)}.jpg\n" for id in ids) + more


def files(directory: Path) -> list[str]:
    found = (path for path in directory.rglob("*") if path.is_file())
    names = (path.relative_to(directory).as_posix() for path in found)
    return sorted(name for name in names if not name.startswith(".") and name != MANIFEST)


def numbers(report: DownloadReport) -> tuple[int, int, int]:
    return report.downloaded, report.present, len(report.failed)


def test_files_and_a_manifest_that_the_folder_source_reads(
    tmp_path: Path, server: ImageServer
) -> None:
    server.plan("b.jpg?token=x", Reply(body=encoded(picture(1), "PNG")))
    text = f"id,url,label,n\na,{server.url('a.jpg')},cat,3\nB/2,{server.url('b.jpg')}?token=x,,\n"
    told: list[tuple[int, int | None]] = []
    report = download(
        open_source(table(tmp_path, text)),
        tmp_path / "out",
        progress=lambda done, total: told.append((done, total)),
    )
    assert numbers(report) == (2, 0, 0)
    assert told == [(1, 2), (2, 2)]
    assert files(tmp_path / "out") == ["B/2.png", "a.jpg"]
    assert report.bytes == sum(
        (tmp_path / "out" / name).stat().st_size for name in files(tmp_path / "out")
    )
    refs = {
        ref.id: ref for ref in open_source(tmp_path / "out").items() if isinstance(ref, ImageRef)
    }
    assert dict(refs["a"].metadata) == {"label": "cat", "n": 3}
    assert refs["B/2"].path == "B/2.png"
    lines = (tmp_path / "out" / MANIFEST).read_text().splitlines()
    entry = json.loads(next(line for line in lines if '"B/2"' in line))
    assert entry["url"] == server.url("b.jpg")
    assert entry["size"] == (tmp_path / "out/B/2.png").stat().st_size
    assert set(entry) == {"id", "file", "url", "sha256", "size", "metadata"}
    hidden = {path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")}
    assert hidden <= {".imagefinder-download.lock"}


def test_running_again_fetches_only_what_is_missing_or_elsewhere_now(
    tmp_path: Path, server: ImageServer
) -> None:
    path = table(tmp_path, rows(server, ["a", "b", "c", "d"]))
    out = tmp_path / "out"
    assert numbers(download(open_source(path), out)) == (4, 0, 0)
    assert numbers(download(open_source(path), out)) == (0, 4, 0)
    assert server.requests.total() == 4
    (out / "a.jpg").unlink()
    (out / "b.jpg").write_bytes(b"cut")
    path.write_text(path.read_text().replace("/c.jpg", "/c2.jpg"))
    server.requests.clear()
    assert numbers(download(open_source(path), out)) == (3, 1, 0)
    assert {name.rpartition("/")[2] for name in server.requests} == {"a.jpg", "b.jpg", "c2.jpg"}
    assert files(out) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert (out / "c.jpg").read_bytes() == jpeg(sum(b"/c2.jpg"))


def test_changed_metadata_reaches_the_manifest_without_a_request(
    tmp_path: Path, server: ImageServer
) -> None:
    text = f"id,url,label\na,{server.url('a.jpg')},cat\n"
    download(open_source(table(tmp_path, text)), tmp_path / "out")
    report = download(open_source(table(tmp_path, text.replace("cat", "dog"))), tmp_path / "out")
    assert numbers(report) == (0, 1, 0)
    assert server.requests.total() == 1
    (ref,) = open_source(tmp_path / "out").items()
    assert isinstance(ref, ImageRef)
    assert dict(ref.metadata) == {"label": "dog"}


def test_what_fails_is_told_with_its_reason_and_tried_by_the_next_run(
    tmp_path: Path, server: ImageServer
) -> None:
    server.plan("404.jpg", Reply(404))
    server.plan("html.jpg", Reply(body=b"<!DOCTYPE html><title>Gone</title>"))
    server.plan("empty.jpg", Reply(body=b""))
    server.plan("500.jpg", Reply(500))
    server.plan("cut.jpg", Reply(cut=10))
    server.plan("reset.jpg", Reply(reset=True))
    server.plan("slow.jpg", Reply(drip=0.05))
    server.plan("huge.jpg", Reply(headers={"Content-Length": "9000000000"}, body=b""))
    server.plan("loop.jpg", Reply(302, headers={"Location": "/loop.jpg"}))
    bad = ["404", "html", "empty", "500", "cut", "reset", "slow", "huge", "loop"]
    path = table(tmp_path, rows(server, ["good", *bad], "missing-a-url\n"))
    told: list[Skipped] = []
    fetcher = Fetcher(retries=1, timeout=0.3)
    report = download(open_source(path, fetcher=fetcher), tmp_path / "out", on_failed=told.append)
    assert report.failed == told
    assert {skip.id: skip.reason for skip in report.failed} == {
        "404": "HTTP 404",
        "html": "not an image: the content is HTML",
        "empty": "empty file",
        "500": "HTTP 500 (2 attempts)",
        "cut": "connection closed before the end (2 attempts)",
        "reset": "connection closed before the end (2 attempts)",
        "slow": "timed out after 0.3 s (2 attempts)",
        "huge": "larger than 200 MB",
        "loop": "more than 5 redirects",
        "images.csv:12": "row 11 (line 12): 1 field where the header has 2: missing-a-url",
    }
    assert files(tmp_path / "out") == ["good.jpg"]
    for name in bad:
        server.plan(f"{name}.jpg", Reply())
    assert numbers(download(open_source(path), tmp_path / "out")) == (9, 1, 1)


@pytest.mark.skipif(not SHARED.is_file(), reason="../shared/data/image-urls.csv is not there")
def test_the_real_table_downloads_from_stand_in_hosts(tmp_path: Path, server: ImageServer) -> None:
    fetcher = Fetcher(transport=server.transport())
    source = open_source(SHARED, fetcher=fetcher)
    report = download(source, tmp_path / "out")
    assert numbers(report) == (295, 0, 1)
    assert report.failed[0].reason.startswith("row 295 (line 296): ")
    assert len(files(tmp_path / "out")) == 295
    assert "461828.jpg" in files(tmp_path / "out")
    assert len(server.requests) == server.requests.total() == 295
    assert max(server.most_at_once.values()) <= 4
    assert numbers(download(source, tmp_path / "out")) == (0, 295, 1)
    assert server.requests.total() == 295
    ids = {item.id for item in source.items() if isinstance(item, ImageRef)}
    assert {item.id for item in open_source(tmp_path / "out").items() if item} == ids


def test_hosts_are_spared_and_other_hosts_go_on(tmp_path: Path, server: ImageServer) -> None:
    # All of slow's rows come first; they wait until every other host has been served.
    text = "id,url\n" + "".join(
        f"{host}{n},https://{host}.example.com/{n}.jpg\n"
        for host in ("slow", "b", "c")
        for n in range(9)
    )
    gate = threading.Event()
    server.before.append(gate)
    source = open_source(
        table(tmp_path, text), fetcher=Fetcher(per_host=2, transport=server.transport())
    )
    result: list[DownloadReport] = []
    running = threading.Thread(
        target=lambda: result.append(download(source, tmp_path / "out", workers=6, per_host=2))
    )
    running.start()
    for _ in range(6):  # two of each host arrive although the first nine rows are of one host
        assert server.arrived.acquire(timeout=10)
    assert server.most_at_once == {f"{host}.example.com": 2 for host in ("slow", "b", "c")}
    gate.set()
    running.join()
    assert numbers(result[0]) == (27, 0, 0)
    assert set(server.most_at_once.values()) == {2}


SCRIPT = """
import sys
from imagefinder.download import download
from imagefinder.sources import open_source
report = download(open_source(sys.argv[1]), __import__("pathlib").Path(sys.argv[2]))
print(report.downloaded, report.present, len(report.failed), report.interrupted)
"""


def started(path: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(path), str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Sluice:
    """Lets the first few requests through, and holds the others until it is opened."""

    def __init__(self, first: int) -> None:
        self._first = threading.Semaphore(first)
        self._open = threading.Event()

    def wait(self, timeout: float) -> None:
        if not self._first.acquire(blocking=False):
            self._open.wait(timeout)

    def set(self) -> None:
        self._open.set()


@POSIX
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_is_taken_up_where_it_was(
    tmp_path: Path, server: ImageServer, how: signal.Signals
) -> None:
    ids = [f"{number:02}" for number in range(30)]
    path, out = table(tmp_path, rows(server, ids)), tmp_path / "out"
    sluice = Sluice(10)
    server.before.append(sluice)
    process = started(path, out)
    for _ in range(14):  # ten that are answered, and four that are held at the one host
        assert server.arrived.acquire(timeout=30)
    process.send_signal(how)
    output, errors = process.communicate(timeout=30)
    complete = [entry.id for entry in read_manifest(out / MANIFEST)]
    assert 6 <= len(complete) <= 10  # the last four may not have reached the manifest
    assert len(complete) == len(set(complete))
    if how == signal.SIGINT:
        assert (output.split(), errors) == ([str(len(complete)), "0", "0", "True"], "")
        assert not (out / ".imagefinder-partial").exists()
        assert files(out) == [f"{id}.jpg" for id in sorted(complete)]
    sluice.set()
    server.requests.clear()
    report = download(open_source(path), out)
    assert numbers(report) == (30 - len(complete), len(complete), 0)
    assert files(out) == [f"{id}.jpg" for id in ids]
    again = {name.rpartition("/")[2].removesuffix(".jpg") for name in server.requests}
    assert again == set(ids) - set(complete)
    assert not (out / ".imagefinder-partial").exists()


def test_a_torn_line_of_the_manifest_costs_one_image(tmp_path: Path, server: ImageServer) -> None:
    path, out = table(tmp_path, rows(server, ["a", "b", "c"])), tmp_path / "out"
    download(open_source(path), out)
    manifest = out / MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert numbers(download(open_source(path), out)) == (1, 2, 0)
    assert files(out) == ["a.jpg", "b.jpg", "c.jpg"]
    assert numbers(download(open_source(path), out)) == (0, 3, 0)
    ids = {item.id for item in open_source(out).items() if item}
    assert ids == {"a", "b", "c"}


def test_files_of_others_are_never_overwritten(tmp_path: Path, server: ImageServer) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.jpg").write_bytes(b"mine")
    (out / "b.jpg").mkdir()
    report = download(open_source(table(tmp_path, rows(server, ["a", "b", "c"]))), out)
    assert numbers(report) == (3, 0, 0)
    assert (out / "a.jpg").read_bytes() == b"mine"
    assert {entry.id for entry in read_manifest(out / MANIFEST)} == {"a", "b", "c"}
    assert len(list(out.glob("a~*.jpg"))) == len(list(out.glob("b~*.jpg"))) == 1


def test_two_urls_for_one_id(tmp_path: Path, server: ImageServer) -> None:
    text = f"id,url\na,{server.url('1.jpg')}\na,{server.url('2.jpg')}\n"
    report = download(open_source(table(tmp_path, text)), tmp_path / "out")
    assert numbers(report) == (1, 0, 1)
    assert report.failed == [Skipped("a", server.url("2.jpg"), "the id a stands twice")]


def test_an_image_that_changed_its_format_leaves_no_old_file(
    tmp_path: Path, server: ImageServer
) -> None:
    text = f"id,url\na,{server.url('1.jpg')}\n"
    server.plan("2.jpg", Reply(body=encoded(picture(1), "PNG")))
    download(open_source(table(tmp_path, text)), tmp_path / "out")
    download(open_source(table(tmp_path, text.replace("1.jpg", "2.jpg"))), tmp_path / "out")
    assert files(tmp_path / "out") == ["a.png"]


def test_local_images_of_a_table_are_copied(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics/x.jpg").write_bytes(jpeg(1))
    source = open_source(table(tmp_path, "id,path\na,pics/x.jpg\n"))
    assert numbers(download(source, tmp_path / "out")) == (1, 0, 0)
    assert (tmp_path / "out/a.jpg").read_bytes() == jpeg(1)


def test_a_second_download_into_the_folder_is_refused(tmp_path: Path, server: ImageServer) -> None:
    gate = threading.Event()
    server.before.append(gate)
    source = open_source(table(tmp_path, rows(server, ["a"])))
    first = threading.Thread(target=download, args=(source, tmp_path / "out"))
    first.start()
    assert server.arrived.acquire(timeout=10)
    with pytest.raises(TransferError, match="out: another download is writing there"):
        download(source, tmp_path / "out")
    gate.set()
    first.join()
    assert numbers(download(source, tmp_path / "out")) == (0, 1, 0)


@POSIX
def test_a_full_disk_is_one_clear_error(tmp_path: Path, server: ImageServer) -> None:
    out = tmp_path / "out"
    out.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", out], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        for number in range(9):
            body = jpeg(number) + b"x" * 60_000
            server.plan(f"{number}.jpg", Reply(body=body))
        source = open_source(table(tmp_path, rows(server, [str(number) for number in range(9)])))
        with pytest.raises(TransferError, match="out: no space left; what is complete stays"):
            download(source, out, workers=2)
        complete = list(read_manifest(out / MANIFEST))
        assert complete
        assert files(out) == sorted(entry.file for entry in complete)
        for entry in complete:
            assert (out / entry.file).stat().st_size == entry.size
    finally:
        subprocess.run(["umount", out], check=True)


def test_a_disk_error_while_writing_ends_the_run(
    tmp_path: Path, server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    source = open_source(table(tmp_path, rows(server, ["a", "b"])))
    with monkeypatch.context() as patched:
        patched.setattr("imagefinder.download.run.os.fsync", full)
        with pytest.raises(TransferError, match="no space left"):
            download(source, tmp_path / "out")
    assert files(tmp_path / "out") == []
    assert numbers(download(source, tmp_path / "out")) == (2, 0, 0)


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    source = open_source(table(tmp_path, "url\nhttp://h/a.jpg\n"))
    with pytest.raises(TransferError, match="out: cannot be written: file exists"):
        download(source, tmp_path / "out")


def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    writer = ManifestWriter(tmp_path / MANIFEST)
    for file in ("../a.jpg", "/a.jpg", "b/../../a.jpg", "C:/a.jpg", r"..\a.jpg", "good/..a.jpg"):
        writer.add(Entry("a", file, "", "", 1, {}))
    writer.close()
    assert [entry.file for entry in read_manifest(tmp_path / MANIFEST)] == ["good/..a.jpg"]


@pytest.mark.parametrize(
    ("id", "file"),
    [
        ("461828", "461828.jpg"),
        ("cats/tom", "cats/tom.jpg"),
        ("photo.JPEG", "photo.JPEG"),
        ("photo.png", "photo.jpg"),
        ("v1.5", "v1.5.jpg"),
        ("größe 1", "größe 1.jpg"),
        ("../../etc/passwd", "_/_/etc/passwd~*.jpg"),
        ("/etc/passwd", "etc/passwd~*.jpg"),
        (r"C:\x", "C__x~*.jpg"),
        (".hidden", "_hidden~*.jpg"),
        ("a/.b/c", "a/_b/c~*.jpg"),
        ("con", "_con~*.jpg"),
        ("a/NUL.txt", "a/_NUL.txt~*.jpg"),
        ("dot.", "dot~*.jpg"),
        ("a\nb\0c", "a_b_c~*.jpg"),
        ("@eaDir/x", "_@eaDir/x~*.jpg"),
        ("x.jpg/y", "x_jpg/y~*.jpg"),
        ("https://h.example.com/a/b.jpg?id=7", "https/h.example.com/a/b.jpg_id=7~*.jpg"),
        ("//", "_~*.jpg"),
        ("x" * 300, "x" * 150 + "~*.jpg"),
        ("/".join("y" * 100 for _ in range(20)), "y" * 100 + "~*.jpg"),
        ("\ud800", "_~*.jpg"),
    ],
)
def test_names_are_safe(id: str, file: str) -> None:
    name = with_extension(FileNames().stem(id), id, "jpeg")
    start, star, end = file.partition("*")
    assert name.startswith(start)
    assert name.endswith(end)
    assert len(name) == len(start) + (16 if star else 0) + len(end)
    assert name == with_extension(FileNames().stem(id), id, "jpeg")  # the same in every run


def test_no_two_ids_share_a_name() -> None:
    names = FileNames()
    ids = ["a", "A", "a.jpg", "a.png", "a:b", "a_b", "a?b", "ü", "u\u0308", "ß", "SS", "x/y", "X/y"]
    stems = [names.stem(id) for id in ids]
    assert stems[0] == "a"
    assert len({stem.casefold() for stem in stems}) == len(ids)
    assert [names.stem(id) for id in ids] == stems
    later = FileNames()
    later.keep("A", "a.jpg")
    assert later.stem("A") == "A"
    assert later.stem("a") != "a"
