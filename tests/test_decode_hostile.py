"""Files that nobody wrote on purpose, and files that somebody did."""

import random
import threading
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefinder.decode import DecodeLimits, decode
from imagefinder.decode.pieces import MOST_PIECES
from imagefinder.decode.silence import silence
from imagefinder.errors import ImageError
from tests.hostile import IGNORED, make
from tests.samples import encoded, photograph, picture, samples

SMALL = DecodeLimits(max_megapixels=2)


def is_text(name: str) -> bool:
    return name.encode(errors="surrogateescape") == name.encode(errors="replace")


def test_the_hostile_folder(tmp_path: Path) -> None:
    verdicts = make(tmp_path)
    wrong = {}
    for name, expected in verdicts.items():
        if expected == IGNORED or not is_text(name):  # for a source to judge
            continue
        try:
            reason = None
            decoded = decode((tmp_path / name).read_bytes())
            assert decoded.pixels.shape == (decoded.height, decoded.width, 3)
        except ImageError as error:
            reason = str(error)
        if (reason is None) != (expected is None) or (reason and expected not in reason):
            wrong[name] = (expected, reason)
    assert wrong == {}
    assert sum(verdict is None for verdict in verdicts.values()) > 150
    assert sum(verdict not in (None, IGNORED) for verdict in verdicts.values()) > 100


def test_no_warning_is_given(tmp_path: Path) -> None:
    """Not even one that a caller of Pillow would swallow together with a tag."""
    make(tmp_path)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        for file in tmp_path.rglob("*"):
            if file.is_file():
                with suppress(ImageError):
                    decode(file.read_bytes())
    assert [str(warning.message) for warning in given] == []


def test_the_hostile_folder_is_always_the_same(tmp_path: Path) -> None:
    assert make(tmp_path / "a") == make(tmp_path / "b")
    for file in (tmp_path / "a").rglob("*"):
        if file.is_file():
            twin = tmp_path / "b" / file.relative_to(tmp_path / "a")
            assert file.read_bytes() == twin.read_bytes()


@pytest.mark.parametrize("name", sorted(samples(photograph())))
def test_a_file_cut_off_anywhere_loses_no_pixel_unnoticed(name: str) -> None:
    data = samples(photograph((48, 32)))[name]
    whole = decode(data).pixels
    for end in range(0, len(data), 1 + len(data) // 400):
        try:
            assert np.array_equal(decode(data[:end]).pixels, whole)
        except ImageError as error:
            if end >= 64 and not {"truncated", "damaged"}.intersection(str(error).split()):
                pytest.fail(f"{end}: {error}")


def test_a_large_tiff_cut_off_anywhere() -> None:
    for compression in ("raw", "tiff_lzw", "packbits", "jpeg"):
        data = encoded(photograph((600, 400)), "TIFF", compression=compression, strip_size=9_000)
        for end in range(100, len(data), len(data) // 20):
            with pytest.raises(ImageError, match=r"^the TIFF is truncated$"):
                decode(data[:end])


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        # half of the changes in the first 200 bytes, where the headers are
        at = chance.randrange(len(changed) if chance.random() < 0.5 else min(len(changed), 200))
        match chance.randrange(5):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                changed[at] ^= 1 << chance.randrange(8)
            case 2:
                del changed[at : at + min(30, len(changed) - 2)]
            case 3:
                changed[at:at] = chance.randbytes(chance.randrange(1, 20))
            case _:
                word = (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\xff\xff")
                changed[at : at + 4] = chance.choice(word)
    return bytes(changed)


def test_2000_mutated_files() -> None:
    """Nothing but ImageError, and no warning (they are errors here)."""
    chance = random.Random(0)
    exif = Image.Exif()
    exif[0x010F] = "Acme"
    exif.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)
    frames = {"save_all": True, "append_images": [picture()]}
    originals = [
        *samples(photograph((32, 24))).values(),
        *(encoded(picture(), format, exif=exif) for format in ("JPEG", "PNG", "WEBP", "TIFF")),
        *(encoded(photograph(), format, **frames) for format in ("GIF", "PNG", "WEBP", "TIFF")),
    ]
    good, reasons = 0, set[str]()
    for number in range(2_000):
        data = mutated(originals[number % len(originals)], chance)
        try:
            decoded = decode(data, limits=SMALL, at_least=chance.choice((None, 8)))
        except ImageError as error:
            reasons.add(str(error))
        else:
            assert decoded.pixels.dtype == np.uint8
            assert decoded.pixels.shape[2] == 3
            good += 1
    assert 200 < good < 1_800
    assert not [reason for reason in reasons if "\n" in reason or not 8 < len(reason) < 200]


def test_warnings_of_pillow_are_silent_only_while_decoding() -> None:
    def warn(module: str) -> None:
        warnings.warn_explicit("hello", UserWarning, "file.py", 1, module=module)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with silence():
            warn("PIL.TiffImagePlugin")
            with pytest.raises(UserWarning):
                warn("numpy")
            with silence():
                pass
            warn("PIL.Image")
        with pytest.raises(UserWarning):
            warn("PIL.TiffImagePlugin")


def test_warnings_of_other_threads_are_left_alone() -> None:
    heard: list[str] = []

    def listen() -> None:
        try:
            warnings.warn_explicit("hello", UserWarning, "file.py", 1, module="PIL.Image")
        except UserWarning as warning:
            heard.append(str(warning))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with silence():
            thread = threading.Thread(target=listen)
            thread.start()
            thread.join()
    assert heard == ["hello"]


def test_the_filters_do_not_grow() -> None:
    data = encoded(picture(), "PNG")
    decode(data)
    before = len(warnings.filters)
    for _ in range(10):
        decode(data)
    assert len(warnings.filters) == before


def tiny_pieces() -> dict[str, bytes]:
    """Files that a parser goes through piece by piece, each of some bytes."""
    jpeg, png, gif = (encoded(picture(), format) for format in ("JPEG", "PNG", "GIF"))
    count = MOST_PIECES + 1
    chunk = b"\0\0\0\0teXt" + zlib.crc32(b"teXt").to_bytes(4, "big")
    colours = 13 + 3 * 2 ** ((gif[10] & 7) + 1)  # where the table of them ends
    return {
        "junk between a JPEG's segments": jpeg[:20] + bytes(count) + jpeg[20:],
        "fill between a JPEG's segments": jpeg[:2] + b"\xff" * count + jpeg[2:],
        "empty segments of a JPEG": jpeg[:2] + b"\xff\xe9\0\2" * count + jpeg[2:],
        "empty chunks of a PNG": png[:33] + chunk * count + png[33:],
        "empty comments of a GIF": gif[:colours] + b"!\xfe\0" * count + gif[colours:],
    }


@pytest.mark.parametrize("name", tiny_pieces())
def test_tiny_pieces_without_end(name: str) -> None:
    with pytest.raises(ImageError, match="it comes in more than 200,000 pieces"):
        decode(tiny_pieces()[name])


@pytest.mark.parametrize("name", tiny_pieces())
def test_some_tiny_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_decode_hostile.MOST_PIECES", 1000)
    assert (
        decode(tiny_pieces()[name]).pixels.shape == decode(encoded(picture(), "PNG")).pixels.shape
    )
