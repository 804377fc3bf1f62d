"""The folder source: what it names, what it leaves out, and what it survives."""

import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from imagefinder.errors import FetchError, SourceError, UsageError
from imagefinder.protocols import Source
from imagefinder.sources import Fetcher, open_source
from imagefinder.types import ImageRef, Skipped
from tests.image_server import jpeg

POSIX = pytest.mark.skipif(os.name == "nt", reason="needs links, pipes and byte names")


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(1))


def paths(source: Source) -> list[str]:
    return [item.path for item in source.items() if isinstance(item, ImageRef)]


def skips(source: Source) -> list[Skipped]:
    return [item for item in source.items() if isinstance(item, Skipped)]


def test_images_come_sorted_with_size_and_time(tmp_path: Path) -> None:
    fill(tmp_path, "b.jpg", "a/2.JPG", "a/1.png", "a/deep/er/3.webp", "c.heic")
    source = open_source(str(tmp_path))
    assert paths(source) == ["a/1.png", "a/2.JPG", "a/deep/er/3.webp", "b.jpg", "c.heic"]
    ref = next(item for item in source.items() if isinstance(item, ImageRef))
    status = (tmp_path / "a/1.png").stat()
    assert ref.id == ref.path == "a/1.png"
    assert ref.uri == str((tmp_path / "a/1.png").resolve())
    assert (ref.size, ref.mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert source.root == str(tmp_path.resolve())
    assert source.complete
    assert source.read(ref) == jpeg(1)
    assert source.exists("a/1.png")
    assert not source.exists("a/9.png")


def test_a_home_relative_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    fill(tmp_path, "Pictures/a.jpg")
    assert paths(open_source("~/Pictures")) == ["a.jpg"]
    assert paths(open_source(Path("~/Pictures"))) == ["a.jpg"]


def test_hidden_files_and_litter_are_neither_named_nor_counted(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", ".b.jpg", ".git/c.jpg", "@eaDir/d.jpg", "__MACOSX/e.jpg")
    fill(tmp_path, "Thumbs.db", "desktop.ini", "imagefinder-manifest.jsonl")
    (tmp_path / "imagefinder-manifest.jsonl").write_text("")
    items = list(open_source(tmp_path).items())
    assert [item.path if isinstance(item, ImageRef) else item for item in items] == ["a.jpg"]


def test_a_hidden_folder_that_is_named_itself_is_read(tmp_path: Path) -> None:
    fill(tmp_path, ".private/a.jpg")
    assert paths(open_source(tmp_path / ".private")) == ["a.jpg"]


def test_what_is_no_image_by_name_and_content_is_ignored(tmp_path: Path) -> None:
    fill(tmp_path, "photo", "photo.txt", "photo.jpg")
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "empty").touch()
    (tmp_path / "text.jpg").write_text("its name says image, and decoding will say more")
    items = list(open_source(tmp_path).items())
    assert items.count(None) == 2
    assert paths(open_source(tmp_path)) == ["photo", "photo.jpg", "photo.txt", "text.jpg"]


@POSIX
def test_pipes_sockets_and_broken_links_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    os.mkfifo("pipe.jpg")
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
        Path("broken.jpg").symlink_to("nothing")
        Path("broken").symlink_to("nothing")
        Path("self.jpg").symlink_to("self.jpg")
        items = list(open_source(tmp_path).items())
    assert items.count(None) == 2
    reasons = {item.id: item.reason for item in items if isinstance(item, Skipped)}
    assert reasons == {
        "broken.jpg": "broken link",
        "pipe.jpg": "not a regular file",
        "self.jpg": "too many levels of symbolic links",
        "socket.png": "not a regular file",
    }


@POSIX
def test_a_pipe_in_the_place_of_a_file_is_refused_without_waiting(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg")
    source = open_source(tmp_path)
    (ref,) = (item for item in source.items() if isinstance(item, ImageRef))
    (tmp_path / "a.jpg").unlink()
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(FetchError, match="not a regular file"):
        source.read(ref)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(FetchError, match="no such file"):
        source.read(ref)


@POSIX
def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    fill(outside, "x.jpg")
    fill(root, "a/1.jpg")
    (root / "link.jpg").symlink_to(root / "a/1.jpg")
    (root / "linked").symlink_to(outside)
    (root / "a/up").symlink_to(root)
    (root / "a/self").symlink_to(root / "a")
    (outside / "back").symlink_to(root / "a")
    # `outside/back` leads into a, and from there nowhere that the path has not been
    assert paths(open_source(root)) == ["a/1.jpg", "link.jpg", "linked/back/1.jpg", "linked/x.jpg"]
    assert skips(open_source(root)) == []


@POSIX
def test_folders_full_of_links_to_each_other_are_read_in_bounded_time(tmp_path: Path) -> None:
    folders = [tmp_path / f"{number:02}" for number in range(12)]
    for folder in folders:
        fill(folder, "a.jpg")
        for other in folders:
            if other != folder:
                (folder / f"to-{other.name}").symlink_to(other)
    items = list(open_source(tmp_path).items())
    assert {f"{folder.name}/a.jpg" for folder in folders} <= set(paths(open_source(tmp_path)))
    assert len(items) < 10_000  # in every order it would be 12! = 479,001,600
    assert any("link not followed" in skip.reason for skip in skips(open_source(tmp_path)))


@POSIX
def test_a_name_that_is_no_text_is_told_escaped(tmp_path: Path) -> None:
    for name in (b"caf\xe9.jpg", b"caf\xe9.txt"):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            file.write(b"text")
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    fill(tmp_path, "gut-ü.jpg")
    source = open_source(tmp_path)
    assert paths(source) == ["gut-ü.jpg"]
    found = {skip.id: skip.reason for skip in skips(source)}
    assert list(found) == [r"caf\xe9.jpg", r"\xff"]
    assert all("not valid UTF-8" in reason and name in reason for name, reason in found.items())
    assert all(skip.uri.encode() for skip in skips(source))


@POSIX
def test_a_tree_deeper_than_the_recursion_limit_is_read(tmp_path: Path) -> None:
    depth = sys.getrecursionlimit() + 200
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):  # step by step, since the whole path soon gets too long
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    fill(tmp_path, "d/d/a.jpg", "z.jpg")
    try:
        items = list(open_source(tmp_path).items())
    finally:  # shutil.rmtree, and with it pytest, is not up to it
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
    found = [item.path for item in items if isinstance(item, ImageRef)]
    assert found == ["d/d/a.jpg", "z.jpg"]
    assert [item.reason for item in items if isinstance(item, Skipped)] == (
        ["folder cannot be read: file name too long"]
        if 2 * depth + len(str(tmp_path)) > os.pathconf(tmp_path, "PC_PATH_MAX")
        else []
    )


@POSIX
@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)
def test_a_folder_without_permission_is_skipped_with_the_reason(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "locked/b.jpg", "z.jpg")
    (tmp_path / "locked").chmod(0)
    code = f"""
import os
from imagefinder.sources import open_source
source = open_source({str(tmp_path)!r})
os.setuid(65534)
for item in source.items():
    print(item.id, getattr(item, "reason", "ok"))
"""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.owner() == "root" and len(parent.parts) > 2:
            parent.chmod(0o755)
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.splitlines() == [
        "a.jpg ok",
        "locked folder cannot be read: permission denied",
        "z.jpg ok",
    ]


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ((), ("2019/**",), ["2020/b.png", "c.JPG"]),
        ((), ("2019",), ["2020/b.png", "c.JPG"]),
        (("*.jpg",), (), ["2019/a.jpg", "2019/x/d.jpg", "c.JPG"]),
        (("2019/*.jpg",), (), ["2019/a.jpg"]),
        (("2019/**", "*.png"), ("x/",), ["2019/a.jpg", "2020/b.png"]),
        (("/*.jpg",), (), ["c.JPG"]),
        ((), ("*.jpg", "!2019/a.jpg"), ["2019/a.jpg", "2020/b.png"]),
    ],
)
def test_globs_choose(
    tmp_path: Path, include: tuple[str, ...], exclude: tuple[str, ...], expected: list[str]
) -> None:
    fill(tmp_path, "2019/a.jpg", "2019/x/d.jpg", "2020/b.png", "c.JPG")
    source = open_source(tmp_path, include=include, exclude=exclude)
    assert paths(source) == expected
    assert not source.complete


def test_a_wrong_glob_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--exclude \[z-a\]: not a glob"):
        open_source(tmp_path, exclude=["[z-a]"])


def test_a_sample_is_the_same_each_time_and_hardly_changes(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{number:03}.jpg" for number in range(100)))
    (tmp_path / "notes.txt").write_text("notes")
    source = open_source(tmp_path, sample=10)
    chosen = paths(source)
    assert len(chosen) == 10
    assert chosen == sorted(chosen) == paths(open_source(tmp_path, sample=10))
    assert list(source.items()).count(None) == 1
    assert not source.complete
    (tmp_path / chosen[0]).unlink()
    assert set(chosen[1:]) < set(paths(open_source(tmp_path, sample=10)))
    assert len(paths(open_source(tmp_path, sample=1000))) == 99
    with pytest.raises(UsageError, match="--sample 0"):
        open_source(tmp_path, sample=0)


def test_a_sample_prefers_no_part_of_the_folder(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{number:04}.jpg" for number in range(1000)))
    first_half = sum(path < "0500" for path in paths(open_source(tmp_path, sample=200)))
    assert 70 < first_half < 130  # four standard deviations


def test_a_manifest_gives_ids_and_metadata(tmp_path: Path) -> None:
    fill(tmp_path, "1.jpg", "sub/2.jpg", "3.jpg")
    entries = [
        {"id": "old", "file": "1.jpg", "metadata": {}},
        {"id": "one", "file": "1.jpg", "metadata": {"label": "cat", "n": 3}},
        {"id": "two", "file": "sub/2.jpg", "metadata": {}},
    ]
    lines = [json.dumps(entry | {"url": "", "sha256": "", "size": 1}) for entry in entries]
    torn = '{"id": "three", "file": "3.jp'
    (tmp_path / "imagefinder-manifest.jsonl").write_text("\n".join([*lines, torn]))
    refs = [item for item in open_source(tmp_path).items() if isinstance(item, ImageRef)]
    assert [(ref.id, ref.path, dict(ref.metadata)) for ref in refs] == [
        ("one", "1.jpg", {"label": "cat", "n": 3}),
        ("3.jpg", "3.jpg", {}),
        ("two", "sub/2.jpg", {}),
    ]
    (single,) = open_source(tmp_path / "1.jpg").items()
    assert isinstance(single, ImageRef)
    assert single.id == "one"


def test_one_file_has_its_folder_as_root(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "b.jpg", "noname")
    source = open_source(tmp_path / "a.jpg")
    (ref,) = source.items()
    assert isinstance(ref, ImageRef)
    assert (ref.id, ref.path, ref.size) == ("a.jpg", "a.jpg", len(jpeg(1)))
    assert source.root == str(tmp_path.resolve())
    assert not source.complete
    assert source.read(ref) == jpeg(1)
    assert paths(open_source(f"file://{tmp_path / 'a.jpg'}")) == ["a.jpg"]
    assert paths(open_source(tmp_path / "noname")) == ["noname"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("nowhere/", "nowhere: no such file or folder"),
        ("book.pdf", "book.pdf: not an image, and not a table; a source is a folder, an image"),
        ("~nobody-of-this-name/x", "nobody-of-this-name"),
        ("null\0byte", "null"),
    ],
)
def test_what_can_be_no_source_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(SourceError, match=message):
        open_source(where)
    with pytest.raises(UsageError, match="empty path"):
        open_source("")


def test_a_folder_that_goes_away_is_an_error_of_the_source(tmp_path: Path) -> None:
    fill(tmp_path, "root/a.jpg")
    source = open_source(tmp_path / "root")
    (tmp_path / "root/a.jpg").unlink()
    (tmp_path / "root").rmdir()
    with pytest.raises(SourceError, match="no such file or directory"):
        source.items()


def test_files_that_vanish_meanwhile_are_as_if_they_had_never_been(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d/e.jpg")
    items = open_source(tmp_path).items()
    first = next(items)
    (tmp_path / "b.jpg").unlink()
    (tmp_path / "d/e.jpg").unlink()
    (tmp_path / "d").rmdir()
    rest = list(items)
    assert [item.path for item in (first, *rest) if isinstance(item, ImageRef)] == [
        "a.jpg",
        "c.jpg",
    ]
    assert not any(isinstance(item, Skipped) for item in rest)


def test_only_one_folder_is_read_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, *(f"{folder}/{number}.jpg" for folder in "abc" for number in range(5)))
    scanned: list[str] = []
    scandir = os.scandir

    def counting(path: str) -> os.PathLike[str]:
        scanned.append(Path(path).name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    items = open_source(tmp_path).items()
    list(itertools.islice(items, 6))
    assert scanned == [tmp_path.name, "a", "b"]


def test_files_above_the_limit_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "big.jpg").write_bytes(b"x" * 2_000_001)
    source = open_source(tmp_path, fetcher=Fetcher(max_bytes=2_000_000))
    (ref,) = source.items()
    assert isinstance(ref, ImageRef)
    with pytest.raises(FetchError, match=r"^larger than 2 MB$"):
        source.read(ref)


def test_what_cannot_be_looked_at_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails or a folder without permission must not look like deleted images."""
    fill(tmp_path, "a.jpg")
    source = open_source(tmp_path)
    assert source.exists("a.jpg")
    assert not source.exists("b.jpg")
    assert not source.exists("a.jpg/b.jpg")

    def fails(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.stat", fails)
    assert source.exists("b.jpg")
