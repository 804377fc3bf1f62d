"""Texts that may leave the server: no paths, no addresses, no secrets, one line."""

import re
from ipaddress import ip_address

from imagefinder.sources.address import redact_within

LONGEST = 500  # characters

_HALF_URL = re.compile(r"[a-z0-9+.-]{1,20}://\S*$", re.IGNORECASE)
_OBJECT = re.compile(r"<[^<>]{1,200} at 0x[0-9a-fA-F]+>")
_FILE_URL = re.compile(r"\bfile:/[^\s'\"<>]*", re.IGNORECASE)
# From the root on, two names and more: `/v1` is no path of ours. What follows a letter, a colon or
# a slash is the inside of an id or of a URL.
_POSIX = re.compile(r"(?<![\w:/.~-])~?/[^\s/:;,'\"<>()]+/[^\s:;,'\"<>()]*")
_WINDOWS = re.compile(r"(?<!\w)(?:[A-Za-z]:[\\/]|\\\\)[^\s:;,'\"<>()]+")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-fA-F:]{2,39}(?:\.\d{1,3}){0,3}(?![\w:])")


def scrub(text: str, longest: int = LONGEST) -> str:
    """The text in the form in which a client may see it."""
    text = printable(redact_within(shorten(text, 4 * longest)))
    text = _OBJECT.sub("[object]", text)
    for path in (_FILE_URL, _WINDOWS, _POSIX):
        text = path.sub("[path]", text)
    for address in (_IPV6, _IPV4):
        text = address.sub(_hidden, text)
    return cut(text, longest)


def printable(text: str) -> str:
    """One line: runs of white space become a space, control characters and the like U+FFFD."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in line)


def shorten(text: str, longest: int) -> str:
    """Cut without leaving half a URL at the end, in which a password would not be seen as one."""
    return text if len(text) <= longest else _HALF_URL.sub("", text[:longest]) + "…"


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _hidden(found: re.Match[str]) -> str:
    try:
        ip_address(found[0])
    except ValueError:  # such as 12:30:45
        return found[0]
    return "[address]"
