"""Formats by content, and words for what is none."""

import subprocess
import sys

import pytest

from imagefinder.signatures import FORMATS, describe, refusal, sniff
from tests.samples import picture, samples

BY_SUFFIX = {"jpg": "jpeg", "tif": "tiff", "heic": "heif"}


@pytest.mark.parametrize("name", sorted(samples(picture())))
def test_every_format_is_told_by_its_first_64_bytes(name: str) -> None:
    suffix = name.rpartition(".")[2]
    assert sniff(samples(picture())[name][:64]) == BY_SUFFIX.get(suffix, suffix)


def test_every_format_is_among_the_samples() -> None:
    assert {sniff(content) for content in samples(picture()).values()} == set(FORMATS)


def ftyp(*brands: bytes) -> bytes:
    body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (len(body) + 4).to_bytes(4, "big") + body + b"\0\0\0\x20meta"


@pytest.mark.parametrize(
    ("brands", "format"),
    [
        ((b"mif1", b"mif1", b"avif", b"miaf"), "avif"),
        ((b"mif1", b"mif1", b"heic"), "heif"),
        ((b"avis", b"msf1"), "avif"),
        ((b"heix",), "heif"),
        ((b"isom", b"iso2", b"mp41"), None),
        ((b"qt  ",), None),
    ],
)
def test_avif_and_heif_share_a_container_and_are_told_by_its_brands(
    brands: tuple[bytes, ...], format: str | None
) -> None:
    assert sniff(ftyp(*brands)) == format


def test_a_brand_beyond_the_box_does_not_count() -> None:
    assert sniff(ftyp(b"isom")[:-4] + b"avif") is None


@pytest.mark.parametrize("head", [b"", b"\xff", b"BM", b"BMW builds cars.", b"RIFF", b"GIF", b"II"])
def test_a_few_letters_make_no_image(head: bytes) -> None:
    assert sniff(head) is None


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"Hello\nworld", "text"),
        ("Grüße, 写真".encode(), "text"),
        (("x" * 63 + "ü").encode()[:64], "text"),  # cut within a letter
        (b"\xff\xfeH\0i\0", "text"),
        (b"\xef\xbb\xbf <!DOCTYPE HTML>", "HTML"),
        (b"%PDF-1.4", "PDF"),
        (b"PK\x03\x04", "an archive"),
        (ftyp(b"mp42"), "video"),
        (b"RIFF\0\0\0\0WAVE", "sound"),
        (bytes(64), "nothing but zeros"),
        (b"\x01\x02\x03", "unknown data"),
        (b"caf\xe9 au lait", "unknown data"),
    ],
    ids=repr,
)
def test_content_is_described(head: bytes, words: str) -> None:
    assert describe(head) == words


def test_refusals_are_sentences() -> None:
    assert refusal(b"") == "empty file"
    assert refusal(b"Hello") == "not an image: the content is text"
    assert refusal(b"8BPS\0\x01") == "Photoshop images are not supported"
    assert refusal(b'<?xml version="1.0"?><svg ') == "SVG images are not supported"
    assert refusal(b"\0\0\0\x18ftypcrx ") == "raw camera images are not supported"


def test_it_imports_nothing_heavy() -> None:
    script = "import sys, imagefinder.signatures; print({'PIL', 'numpy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
