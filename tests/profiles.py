"""Makes colour profiles, since none can be made with Pillow."""

import struct
from collections.abc import Callable

import numpy as np


def wide_gamut_profile() -> bytes:
    """The primaries of Display P3 (adapted to D50), gamma 2.2."""
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
        b"wtpt": (0.96420, 1.00000, 0.82491),
    }
    tags = {
        name: b"XYZ " + bytes(4) + struct.pack(">3i", *(round(part * 65536) for part in value))
        for name, value in primaries.items()
    }
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256))
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _profile(b"RGB ", _text_tags() | tags | curves)


def grey_profile(gamma: float) -> bytes:
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    return _profile(b"GRAY", _text_tags() | {b"wtpt": white, b"kTRC": curve})


def press_profile(ink: Callable[[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """A CMYK profile from the CIELAB colours of the 16 mixes of full inks."""
    ramp = bytes(range(256))
    grid = b""
    for mix in np.ndindex(2, 2, 2, 2):
        lightness, a, b = ink(*mix)
        grid += bytes((round(lightness * 2.55), round(a) + 128, round(b) + 128))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + ramp * 4 + grid + ramp * 3
    return _profile(b"CMYK", _text_tags() | {b"A2B0": table})


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 (ICC.1:2001-04, clause 6)."""
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    kind, pcs = (b"prtr", b"Lab ") if space == b"CMYK" else (b"mntr", b"XYZ ")
    head = struct.pack(">I4sI4s4s4s", offset + len(body), b"lcms", 0x02400000, kind, space, pcs)
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061)  # the illuminant, D50
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _text_tags() -> dict[bytes, bytes]:
    name = b"test\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78)
    return {b"desc": description, b"cprt": b"text" + bytes(4) + b"CC0\0"}
