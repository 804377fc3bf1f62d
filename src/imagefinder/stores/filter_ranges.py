"""Ranges of numbers in an index that only knows words.

The bits of a float, with the sign turned round, order as the floats do. A number goes into the
index as intervals, the first 4, 8, ... 28 bits of it, and a range is looked up as the few widest
intervals that cover it: as a trie of numbers, which Lucene's numeric fields were. 28 bits are a
step of 0.0015%: 4 hours in a date of today. What a range catches beside its ends is for
`Filter.matches` to refuse.
"""

import struct

__all__ = ["intervals_of", "intervals_within"]

STEP = 4  # bits
WIDEST, FINEST = 4, 28  # bits
LENGTHS = range(WIDEST, FINEST + STEP, STEP)


def intervals_of(number: float) -> list[str]:
    """The intervals that a number lies in."""
    bits = _ordered_bits(number)
    return [_name(length, bits >> (FINEST - length)) for length in LENGTHS]


def intervals_within(low: float, high: float) -> list[str]:
    """Intervals that together hold every number from `low` to `high`, and few others."""
    first, last = _ordered_bits(low), _ordered_bits(high)
    names: list[str] = []
    for length in reversed(LENGTHS):
        if length == WIDEST:
            return names + [_name(length, bits) for bits in range(first, last + 1)]
        while first <= last and first % 2**STEP != 0:
            names.append(_name(length, first))
            first += 1
        while first <= last and last % 2**STEP != 2**STEP - 1:
            names.append(_name(length, last))
            last -= 1
        if first > last:
            break
        first, last = first >> STEP, last >> STEP
    return names


def _ordered_bits(number: float) -> int:
    """The first FINEST bits; -0.0 and 0.0 are one number."""
    bits: int = struct.unpack(">Q", struct.pack(">d", number + 0.0))[0]
    bits = bits ^ 0xFFFF_FFFF_FFFF_FFFF if bits >> 63 else bits | 1 << 63
    return bits >> (64 - FINEST)


def _name(length: int, bits: int) -> str:
    return f"{length}.{bits:x}"
