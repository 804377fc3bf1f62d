"""Tar archives as sources: WebDataset's shards, and whatever else a tar may be."""

import gzip
import io
import os
import pickle
import tarfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imagefinder import ImageFinder
from imagefinder.errors import FetchError, SourceError, UsageError
from imagefinder.sources import Fetcher, open_source
from imagefinder.sources.archive import LocalBytes, members
from imagefinder.sources.braces import expand
from imagefinder.sources.shard_index import ShardIndexes, find_shard
from imagefinder.testing import FakeEmbedder
from imagefinder.types import ImageRef, Metadata, Skipped
from tests.image_server import jpeg
from tests.pictures import touch_later
from tests.s3_server import Bucket, S3Server, bucket, s3
from tests.shards import Content, add, tar, write_shards
from tests.test_sources_folder import paths, skips

__all__ = ["bucket", "s3"]  # fixtures


@pytest.fixture
def finder(tmp_path: Path) -> Iterator[ImageFinder]:
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        yield finder


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The archives that were read through to find a member."""
    found: list[str] = []
    scan = ShardIndexes.of.__globals__["_fill"]

    def counted(index: object, shard: object) -> None:
        found.append(shard.uri)  # type: ignore[attr-defined]
        scan(index, shard)

    monkeypatch.setattr("imagefinder.sources.shard_index._fill", counted)
    return found


def refs(where: str | Path) -> list[ImageRef]:
    return [item for item in open_source(str(where)).items() if isinstance(item, ImageRef)]


def metadata(shard: Path, content: Mapping[str, Content]) -> dict[str, Metadata]:
    shard.write_bytes(tar(content))
    return {ref.path.partition("/")[2]: ref.metadata for ref in refs(shard)}


def index(finder: ImageFinder, *where: object, **options: object) -> dict[str, int]:
    """The counts that are not 0."""
    counts = finder.index(*map(str, where), **options).counts()  # type: ignore[arg-type]
    return {name: count for name, count in counts.items() if count}


# what is named


def test_an_archive_is_read_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes(jpeg(9))
    shard = tmp_path / "a" / "x.tar"
    shard.parent.mkdir()
    shard.write_bytes(tar({"2.jpg": 2, "d/1.JPG": 1, "d/noname": 3, "notes.bin": b"x"}))
    source = open_source(str(tmp_path))
    items = list(source.items())
    found = [item for item in items if isinstance(item, ImageRef)]
    assert [ref.path for ref in found] == [
        *("a/x.tar/2.jpg", "a/x.tar/d/1.JPG", "a/x.tar/d/noname", "b.jpg")
    ]
    assert items.count(None) == 1
    ref = found[1]
    assert (ref.id, ref.uri) == (ref.path, f"{tmp_path}/a/x.tar/d/1.JPG")
    assert (ref.size, ref.mtime_ns) == (len(jpeg(1)), shard.stat().st_mtime_ns)
    assert [source.read(ref) for ref in found] == [jpeg(2), jpeg(1), jpeg(3), jpeg(9)]
    assert [Fetcher().read(ref.uri) for ref in found] == [jpeg(2), jpeg(1), jpeg(3), jpeg(9)]
    assert Fetcher().read(found[0].uri) == jpeg(2)
    assert Fetcher().read(f"file://{found[0].uri}") == jpeg(2)
    assert source.complete
    assert source.exists("a/x.tar/d/1.JPG")
    assert not source.exists("a/x.tar/d/2.JPG")
    assert not source.exists("a/y.tar/d/1.JPG")
    assert source.covers("a/x.tar/d/1.JPG")


def test_a_ref_is_read_on_another_machine_without_a_look_at_the_archive(
    tmp_path: Path, scans: list[str]
) -> None:
    write_shards(tmp_path, 1, 3)
    for ref in refs(tmp_path):
        assert Fetcher().read_ref(pickle.loads(pickle.dumps(ref))) == jpeg(ref.metadata["n"])
    assert scans == []


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_of_every_kind(tmp_path: Path, format: int) -> None:
    long = "/".join(["d" * 40, "e" * 40, "f" * 60]) + ".jpg"
    odd = ["./a.jpg", "b//c.jpg", "ü/日本.jpg", "what #1?.jpg", "[x]*.jpg", "g.tar/h.jpg", long]
    (tmp_path / "x.tar").write_bytes(tar(dict(zip(odd, range(7), strict=True)), format=format))
    found = refs(tmp_path)
    assert [ref.path.removeprefix("x.tar/") for ref in found] == [
        *("a.jpg", "b/c.jpg", "ü/日本.jpg", "what #1?.jpg", "[x]*.jpg", "g.tar/h.jpg", long)
    ]
    assert [Fetcher().read(ref.uri) for ref in found] == [jpeg(n) for n in range(7)]


def test_the_members_are_those_that_tarfile_finds(tmp_path: Path) -> None:
    file = tmp_path / "x.tar"
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        for n in range(50):
            add(archive, f"{'n' * n}/{n}.jpg", n, pax_headers={"comment": "c" * n})
            add(archive, f"link-{n}", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
            add(archive, f"dir-{n}", b"", type=tarfile.DIRTYPE)
    with tarfile.open(file) as archive:
        expected = [(m.name, m.offset_data, m.size) for m in archive if m.isfile()]
    with LocalBytes(str(file)) as source:
        assert [(m.name, m.offset, m.size) for m in members(source)] == expected
    assert len(expected) == 50


def test_what_leads_out_or_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(jpeg(1))
    folder = tmp_path / "shards"
    folder.mkdir()
    with tarfile.open(folder / "x.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        for name in ("../../secret.jpg", "/etc/secret.jpg", "a/../../../secret.jpg"):
            add(archive, name, 1)
        add(archive, "link.jpg", b"", type=tarfile.SYMTYPE, linkname="../secret.jpg")
        add(archive, "hard.jpg", b"", type=tarfile.LNKTYPE, linkname="../secret.jpg")
        add(archive, "pipe.jpg", b"", type=tarfile.FIFOTYPE)
        add(archive, ".hidden.jpg", 2)
        add(archive, "__MACOSX/a.jpg", 2)
        add(archive, os.fsdecode(b"\xff.jpg"), 2)
        add(archive, "good.jpg", 3)
    source = open_source(str(folder))
    assert paths(source) == ["x.tar/good.jpg"]
    assert [(skip.id, skip.reason.partition(":")[0]) for skip in skips(source)] == [
        ("x.tar/../../secret.jpg", "its name leads out of the archive"),
        ("x.tar//etc/secret.jpg", "its name leads out of the archive"),
        ("x.tar/a/../../../secret.jpg", "its name leads out of the archive"),
        ("x.tar/\\xff.jpg", "its name is not valid UTF-8"),
    ]
    for name in ("../../secret.jpg", "../secret.jpg", "link.jpg", "hard.jpg"):
        with pytest.raises(FetchError):
            Fetcher().read(f"{folder}/x.tar/{name}")


def test_include_and_exclude(tmp_path: Path) -> None:
    write_shards(tmp_path, 3, 2)
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    assert paths(open_source(str(tmp_path), exclude=["*.tar"])) == ["a.jpg"]
    source = open_source(str(tmp_path), include=["shard-0001.tar", "*/000000.*"])
    assert paths(source) == [
        *("shard-0000.tar/000000.jpg", "shard-0001.tar/000002.jpg", "shard-0001.tar/000003.jpg")
    ]
    assert not source.complete
    assert source.exists("shard-0000.tar/000001.jpg")  # not wanted, and yet there


def test_a_name_that_comes_twice_is_its_first(tmp_path: Path, finder: ImageFinder) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        add(archive, "a.jpg", 1)
        add(archive, "a.jpg", 2)
    (tmp_path / "x.tar").write_bytes(file.getvalue())
    assert index(finder, tmp_path / "x.tar") == {"added": 1}
    assert finder.read("x.tar/a.jpg") == jpeg(1)
    assert finder.search(jpeg(1), k=1)[0].score == pytest.approx(1, abs=1e-5)


# metadata


def test_what_lies_beside_an_image_is_its_metadata(tmp_path: Path) -> None:
    said = {"a": 1, "b": "x", "tags": ["u", "v"], "deep": {"c": 1}, "mixed": [1, {}], "none": None}
    found = metadata(
        tmp_path / "x.tar",
        {
            "d.v1/1.json": said,
            "d.v1/1.jpg": 1,
            "d.v1/1.txt": "a cat\n",
            "d.v1/1.cls": "7",
            "d.v1/1.npy": b"",
            "d.v1/2.jpg": 2,
            "d.v1/3.left.jpg": 3,
            "d.v1/3.right.jpg": 4,
            "d.v1/3.cls": "left or right",
        },
    )
    assert found == {
        "d.v1/1.jpg": {"a": 1, "b": "x", "tags": ["u", "v"], "text": "a cat", "label": 7},
        "d.v1/2.jpg": {},
        "d.v1/3.left.jpg": {"label": "left or right"},
        "d.v1/3.right.jpg": {"label": "left or right"},
    }
    items = list(open_source(str(tmp_path / "x.tar")).items())
    assert items.count(None) == 1  # a sidecar is no file that was ignored


def test_sidecars_that_say_nothing(tmp_path: Path) -> None:
    found = metadata(
        tmp_path / "x.tar",
        {
            "1.jpg": 1,
            "1.json": "{not json",
            "1.txt": " \n",
            "2.jpg": 2,
            "2.json": "[1, 2]",
            "3.jpg": 3,
            "3.json": '{"x": NaN, "y": "\\ud800z", "label": "said"}',
            "3.cls": "5",
            "4.jpg": 4,
            "4.txt": "x" * (1 << 20) + "y",
            "5.txt": "of no image",
        },
    )
    assert found == {
        "1.jpg": {},
        "2.jpg": {},
        "3.jpg": {"y": "�z", "label": "said"},
        "4.jpg": {},
    }
    assert list(open_source(str(tmp_path / "x.tar")).items()).count(None) == 1


# several archives


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("s-{00..03}.tar", ["s-00.tar", "s-01.tar", "s-02.tar", "s-03.tar"]),
        ("s-{8..11}.tar", ["s-8.tar", "s-9.tar", "s-10.tar", "s-11.tar"]),
        ("{a,b}-{0..1}.tar", ["a-0.tar", "a-1.tar", "b-0.tar", "b-1.tar"]),
        ("{x}{}.tar", ["{x}{}.tar"]),
        ("{3..1}.tar", []),
        ("plain.tar", ["plain.tar"]),
    ],
)
def test_braces(pattern: str, names: list[str]) -> None:
    assert expand(pattern) == names


@pytest.mark.parametrize(
    "pattern", ["{0..1000000}", "{0..9999}{0..9999}", "{5..99999999999999999999}"]
)
def test_braces_that_stand_for_too_much(pattern: str) -> None:
    with pytest.raises(UsageError, match="stands for more than 1,000,000 names"):
        expand(pattern)


def test_archives_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "shards"
    names = write_shards(folder, 4, 2)
    two = names[2:6]
    for where in (
        f"{folder}/shard-{{0001..0002}}.tar",
        f"{folder}/shard-000[12].tar",
        f"{folder}/{{shard-0001,shard-0002}}.tar",
        f"file://{folder}/shard-{{0001..0002}}.tar",
    ):
        source = open_source(where)
        assert (source.root, source.complete) == (str(folder), False)
        assert paths(source) == two
        assert source.covers(two[0])
        assert not source.covers(names[0])
    one = open_source(str(folder / "shard-0003.tar"))
    assert (one.root, paths(one)) == (str(folder), names[6:])
    monkeypatch.chdir(folder)
    assert paths(open_source("shard-{0001..0002}.tar")) == two
    assert paths(open_source("shard-0003.tar")) == names[6:]
    assert paths(open_source(f"{tmp_path}/*/shard-000{{1,2}}.tar")) == [f"shards/{n}" for n in two]


def test_archives_that_are_not_there(tmp_path: Path) -> None:
    names = write_shards(tmp_path, 1, 2)
    source = open_source(f"{tmp_path}/shard-{{0000..0001}}.tar")
    assert paths(source) == names
    missing = f"{tmp_path}/shard-0001.tar"
    assert skips(source) == [Skipped("shard-0001.tar", missing, "no such file")]
    for where in ("nowhere-*.tar", "nowhere.tar"):
        with pytest.raises(SourceError, match=r"nowhere.*: no such file"):
            open_source(f"{tmp_path}/{where}")
    (tmp_path / "a{0..9}.tar").write_bytes(tar({"1.jpg": 1}))  # a file of this very name
    assert paths(open_source(f"{tmp_path}/a{{0..9}}.tar")) == ["a{0..9}.tar/1.jpg"]
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "folder.tar" / "1.jpg").write_bytes(jpeg(1))
    assert paths(open_source(f"{tmp_path}/folder.tar")) == ["1.jpg"]
    assert Fetcher().read(f"{tmp_path}/folder.tar/1.jpg") == jpeg(1)


def test_named_archives_and_their_folder_have_the_same_images(
    tmp_path: Path, finder: ImageFinder
) -> None:
    folder = tmp_path / "data" / "shards"
    write_shards(folder, 3, 2)
    assert index(finder, folder / "shard-0000.tar", f"{folder}/shard-{{0001..0002}}.tar") == {
        "added": 6
    }
    assert index(finder, folder) == {"unchanged": 6}
    assert index(finder, tmp_path / "data") == {"unchanged": 6}
    assert index(finder, folder / "shard-0001.tar") == {"unchanged": 2}
    assert next(record.id for record in finder.images()) == "shards/shard-0000.tar/000000.jpg"
    with pytest.raises(UsageError, match="prune needs whole sources"):
        finder.index(folder / "shard-0000.tar", prune=True)


# runs


def test_runs_over_a_folder_of_archives(
    tmp_path: Path, finder: ImageFinder, scans: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shards"
    write_shards(folder, 3, 4)
    assert index(finder, folder) == {"added": 12}
    reads = []
    read = Fetcher._read_part
    monkeypatch.setattr(
        Fetcher, "_read_part", lambda self, *place: reads.append(place) or read(self, *place)
    )
    assert index(finder, folder) == {"unchanged": 12}
    assert reads == []
    shard = folder / "shard-0001.tar"  # one image less, one more, one changed, new metadata
    shard.write_bytes(
        tar({"000004.jpg": 4, "000005.jpg": 55, "000006.jpg": 6, "000006.cls": "9", "new.jpg": 77})
    )
    touch_later(shard)
    assert index(finder, folder, prune=True) == {
        "added": 1,
        "updated": 3,  # two of them with other metadata only
        "unchanged": 8,
        "removed": 1,
    }
    assert finder.get("shard-0001.tar/000004.jpg").metadata == {}
    assert finder.get("shard-0001.tar/000006.jpg").metadata == {"label": 9}
    assert finder.search(jpeg(55), k=1)[0].id == "shard-0001.tar/000005.jpg"
    shard.unlink()
    assert index(finder, folder, prune=True) == {"unchanged": 8, "removed": 4}
    assert scans == []
    hits = finder.search(jpeg(3), k=1, filter="n == 3 and label == 3")
    assert hits[0].uri == f"{folder}/shard-0000.tar/000003.jpg"
    assert finder.read(hits[0].id) == jpeg(3)
    moved = folder.rename(tmp_path / "moved")
    finder.relocate(folder, moved)
    assert finder.read(hits[0].id) == jpeg(3)
    assert index(finder, moved) == {"unchanged": 8}


def test_the_same_image_in_many_archives_is_found_without_reading_them_again(
    tmp_path: Path, finder: ImageFinder, scans: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.ingest.commit.COMMIT_IMAGES", 1)
    for number in range(6):
        shard = tmp_path / "shards" / f"{number}.tar"
        shard.parent.mkdir(exist_ok=True)
        shard.write_bytes(tar({f"{n}.jpg": n for n in range(4)}))
    assert index(finder, tmp_path / "shards", workers=1) == {"added": 24}
    assert scans == []
    (tmp_path / "shards" / "5.tar").rename(tmp_path / "shards" / "6.tar")
    counts = index(finder, tmp_path / "shards", prune=True)
    assert counts.pop("renamed", 0) + counts.pop("added", 0) == 4
    assert len(finder) == 24


def test_a_member_is_found_by_reading_through_its_archive_once(
    tmp_path: Path, scans: list[str]
) -> None:
    names = write_shards(tmp_path, 2, 30)
    fetcher = Fetcher()
    barrier = threading.Barrier(8)

    def read(name: str) -> bytes:
        barrier.wait(30)
        return fetcher.read(f"{tmp_path}/{name}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, names[:56])) == [jpeg(n) for n in range(56)]
    assert sorted(scans) == [f"{tmp_path}/shard-000{n}.tar" for n in range(2)]
    shard = tmp_path / "shard-0000.tar"
    shard.write_bytes(tar({"x.jpg": 1, "000000.jpg": 99}))
    touch_later(shard)
    assert fetcher.read(f"{shard}/000000.jpg") == jpeg(99)
    assert len(scans) == 3
    with pytest.raises(FetchError, match=r"^no such member of the archive$"):
        fetcher.read(f"{shard}/000001.jpg")


def test_the_indexes_that_are_kept_are_bounded(tmp_path: Path, scans: list[str]) -> None:
    write_shards(tmp_path, 5, 10)
    found = [find_shard(f"{tmp_path}/shard-{n:04}.tar") for n in range(5)]
    indexes = ShardIndexes(most_members=25)
    for shard in [found[0], found[1], found[0], found[2], found[0], found[1]]:
        assert shard is not None
        assert len(indexes.of(shard).places) == 10
    assert [uri[-5] for uri in scans] == ["0", "1", "2", "1"]


def test_an_archive_that_changes_while_it_is_read(tmp_path: Path) -> None:
    write_shards(tmp_path, 1, 3)
    *_, last = refs(tmp_path)
    (tmp_path / "shard-0000.tar").write_bytes(tar({})[:512])
    with pytest.raises(FetchError, match=r"^the archive has changed meanwhile$"):
        Fetcher().read_ref(last)
    (tmp_path / "shard-0000.tar").unlink()
    with pytest.raises(FetchError, match=r"^cannot be read: no such file"):
        Fetcher().read_ref(last)


def test_a_large_member_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tar({"big.jpg": bytes(100_000)}))
    (ref,) = refs(tmp_path)
    for read in (
        Fetcher(max_bytes=1000).read_ref,
        lambda ref: Fetcher(max_bytes=1000).read(ref.uri),
    ):
        with pytest.raises(FetchError, match=r"^larger than 0\.001 MB$"):
            read(ref)


# what is damaged


WHOLE = tar({f"{n}.jpg": n for n in range(10)})


@pytest.mark.parametrize("cut", [100, 512, 700, 4000, 9000, len(WHOLE) - 10240, 15_360])
def test_what_is_before_the_end_of_a_torn_archive_is_indexed(tmp_path: Path, cut: int) -> None:
    shard = tmp_path / "x.tar"
    shard.write_bytes(WHOLE[:cut])
    source = open_source(str(tmp_path))
    *found, last = source.items()
    assert isinstance(last, Skipped)
    assert (last.id, last.uri) == ("x.tar", str(shard))
    assert "cut short" in last.reason or "not a tar archive" in last.reason
    with tarfile.open(fileobj=io.BytesIO(WHOLE)) as archive:
        whole = [m.name for m in archive if m.offset_data + m.size <= cut]
    assert [ref.path for ref in found] == [f"x.tar/{name}" for name in whole]  # type: ignore[union-attr]
    assert [source.read(ref) for ref in found] == [jpeg(n) for n in range(len(whole))]  # type: ignore[arg-type]


def test_nothing_is_pruned_that_a_damaged_archive_may_hold(
    tmp_path: Path, finder: ImageFinder
) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "x.tar").write_bytes(WHOLE)
    assert index(finder, folder) == {"added": 10}
    (folder / "x.tar").write_bytes(WHOLE[:9000])
    touch_later(folder / "x.tar")
    assert index(finder, folder, prune=True) == {"unchanged": 5, "skipped": 1}
    assert len(finder) == 10
    with pytest.raises(FetchError, match="cut short"):
        finder.read("x.tar/9.jpg")
    (folder / "x.tar").write_bytes(WHOLE)
    touch_later(folder / "x.tar", 2)
    assert index(finder, folder, prune=True) == {"unchanged": 10}
    assert finder.skipped() == []


def test_every_byte_of_a_header_may_be_wrong(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(WHOLE)) as archive:
        starts = [member.offset for member in archive]
    shard = tmp_path / "x.tar"
    for place in range(0, 512, 3):
        broken = bytearray(WHOLE)
        broken[starts[4] + place] ^= 0x15
        shard.write_bytes(broken)
        *found, last = open_source(str(tmp_path)).items()
        assert [ref.path for ref in found] == [f"x.tar/{n}.jpg" for n in range(4)]  # type: ignore[union-attr]
        assert isinstance(last, Skipped)
        assert last.reason == f"the archive is damaged at byte {starts[4]}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a tar archive"),
        (b"hello" * 1000, "not a tar archive"),
        (bytes(200_000), "not a tar archive"),
        (jpeg(1), "not a tar archive"),
        (gzip.compress(WHOLE), "a compressed archive, which is not read; unpack it first: gunzip"),
    ],
)
def test_what_is_only_called_an_archive(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    source = open_source(str(tmp_path))
    assert paths(source) == ["a.jpg"]
    assert skips(source) == [Skipped("x.tar", f"{tmp_path}/x.tar", reason)]


def test_an_archive_of_nothing_is_empty(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tar({}))
    assert list(open_source(str(tmp_path)).items()) == []


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tgz", "x.TAR.ZST"])
def test_a_compressed_archive_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(WHOLE))
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    with pytest.raises(SourceError, match=rf"{name}: compressed .* unpack it to a \.tar"):
        open_source(tmp_path / name)
    assert list(open_source(tmp_path).items()).count(None) == 1  # in a folder, a file like others


@pytest.mark.parametrize("size", [-1, -(2**40), 2**62, 2**80])
def test_sizes_that_cannot_be(tmp_path: Path, size: int) -> None:
    info = tarfile.TarInfo("a.jpg")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    mark = b"\xff" if size < 0 else b"\x80"
    header[124:136] = mark + (size % 256**11).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "x.tar").write_bytes(bytes(header) + bytes(2048))
    (found,) = open_source(str(tmp_path)).items()
    assert isinstance(found, Skipped)
    assert "damaged" in found.reason or "cut short" in found.reason


def test_an_archive_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = write_shards(tmp_path, 2, 2)
    opening = LocalBytes.__init__

    def refusing(self: LocalBytes, path: str) -> None:
        if path.endswith("0000.tar"):
            raise FetchError("cannot be read: permission denied")
        opening(self, path)

    monkeypatch.setattr(LocalBytes, "__init__", refusing)
    source = open_source(str(tmp_path))
    assert paths(source) == names[2:]
    assert skips(source)[0].reason == "cannot be read: permission denied"
    assert source.exists(names[0])  # as far as is known


# in an object store


def put_shards(bucket: Bucket, count: int, each: int, tmp_path: Path) -> list[str]:
    names = write_shards(tmp_path / "to-put", count, each)
    files = sorted((tmp_path / "to-put").glob("*.tar"))
    bucket.put({f"p/{file.name}": file.read_bytes() for file in files})
    return names


def test_archives_in_a_bucket(
    s3: S3Server, bucket: Bucket, tmp_path: Path, finder: ImageFinder
) -> None:
    names = put_shards(bucket, 3, 4, tmp_path)
    bucket.put({"p/a.jpg": jpeg(50)})
    assert index(finder, f"{bucket.url}/p") == {"added": 13}
    assert {record.id for record in finder.images()} == {*names, "a.jpg"}
    hit = finder.search(jpeg(5), k=1, filter="n == 5")[0]
    assert hit.uri == f"{bucket.url}/p/shard-0001.tar/000005.jpg"
    assert finder.read(hit.id) == jpeg(5)
    s3.requests.clear()
    assert index(finder, f"{bucket.url}/p") == {"unchanged": 13}
    assert s3.asked("GET") == 3  # one for each index; these archives are small
    bucket.delete("p/shard-0002.tar")
    assert index(finder, f"{bucket.url}/p", prune=True) == {"unchanged": 9, "removed": 4}
    for where in ("p/shard-0000.tar", "p/shard-{0000..0001}.tar", "p/shard-*.tar"):
        source = open_source(f"{bucket.url}/{where}")
        assert source.root.rstrip("/") == f"{bucket.url}/p"
        assert paths(source)[:4] == names[:4]
        assert source.exists(names[0])
        assert not source.exists("shard-0000.tar/nope.jpg")
        assert index(finder, f"{bucket.url}/{where}").keys() == {"unchanged"}


def test_an_archive_in_a_bucket_is_read_in_pieces(
    s3: S3Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.sources.archive.READ_AHEAD", 4096)
    content: dict[str, Content] = {}
    for n in range(20):
        content |= {f"{n:02}.jpg": bytes(60_000) if n % 5 == 0 else n, f"{n:02}.cls": str(n)}
    bucket.put({"x.tar": tar(content)})
    sent = s3.sent
    found = refs(f"{bucket.url}/x.tar")
    assert [ref.metadata for ref in found] == [{"label": n} for n in range(20)]
    assert s3.sent - sent < 100_000  # of 280 kB: the large ones were passed over
    assert [Fetcher().read_ref(ref) for ref in found if ref.metadata["label"] % 5] == [  # type: ignore[operator]
        jpeg(n) for n in range(20) if n % 5
    ]


def test_archives_that_are_not_in_the_bucket(bucket: Bucket) -> None:
    bucket.put({"p/1.tar": tar({"a.jpg": 1}), "p/x.tar/b.jpg": jpeg(2)})
    source = open_source(f"{bucket.url}/p/{{0..1}}.tar")
    assert paths(source) == ["1.tar/a.jpg"]
    assert skips(source) == [Skipped("0.tar", f"{bucket.url}/p/0.tar", "no such file")]
    with pytest.raises(SourceError, match=r"p/2\.tar: no such folder or object"):
        open_source(f"{bucket.url}/p/2.tar")
    with pytest.raises(SourceError, match=r"p/9\*\.tar: no such file"):
        open_source(f"{bucket.url}/p/9*.tar")
    assert paths(open_source(f"{bucket.url}/p/x.tar")) == ["b.jpg"]  # a prefix of this name
    assert Fetcher().read(f"{bucket.url}/p/x.tar/b.jpg") == jpeg(2)


def test_a_torn_archive_in_a_bucket(bucket: Bucket, finder: ImageFinder) -> None:
    bucket.put({"p/x.tar": WHOLE})
    assert index(finder, f"{bucket.url}/p") == {"added": 10}
    bucket.put({"p/x.tar": WHOLE[:9000]})
    assert index(finder, f"{bucket.url}/p", prune=True) == {"unchanged": 5, "skipped": 1}
    assert len(finder) == 10
