"""Where bytes are: telling paths from URLs, and URLs without their secrets."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*)://|([a-z][a-z0-9+.\-]*)::", re.IGNORECASE)

_URL = re.compile(r"[a-z][a-z0-9+.\-]*://[^\s\"<>|;,]+", re.IGNORECASE)

# Query parameters that grant access. The rest (`?id=7`) tells images apart and stays.
_SECRET = re.compile(
    r"token|secret|passw|signature|credential|api_?key|^(key|sig|auth|pwd)$|^x-(amz|goog|oss)-",
    re.IGNORECASE,
)
# What comes along with a signature and changes with it (CloudFront, Google, Azure, old S3).
_SIGNED = re.compile(
    r"^(expires|policy|key-pair-id|awsaccesskeyid|googleaccessid|s[eprtv]|sk(oid|tid|t|e|s|v))$",
    re.IGNORECASE,
)


def scheme(where: str) -> str | None:
    """`s3` of `s3://bucket/a.jpg`, lower case; None for a path, also a Windows one."""
    found = SCHEME.match(where)
    return (found[1] or found[2]).lower() if found else None


def is_http(where: str) -> bool:
    return scheme(where) in ("http", "https")


def local_path(uri: str) -> str:
    """The path of a `file://` URL; a path stays as it is."""
    if scheme(uri) != "file":
        return uri
    from urllib.request import url2pathname  # 40 ms, for a form that few use

    parts = urlsplit(uri)
    host = "" if parts.netloc in ("", "localhost") else f"//{parts.netloc}"
    # `?` and `#` are letters of a path here: people put file:// before a path as it is
    return host + url2pathname(uri[len("file://") + len(parts.netloc) :])


def redact(url: str) -> str:
    """The URL without user, password and the parameters that grant access; one of the web without
    its fragment, too, which is part of an object's name elsewhere.

    What identifies the image stays, so a URL that is signed anew each day keeps one redacted form.
    """
    if scheme(url) is None:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:  # such as a broken IPv6 host
        return re.sub(r"//[^/@]*@", "//", url).partition("?")[0]
    if "@" not in parts.netloc and not parts.query and not parts.fragment:
        return url
    netloc = parts.netloc.rpartition("@")[2]
    fragment = "" if is_http(url) else parts.fragment
    return urlunsplit((parts.scheme, netloc, parts.path, _public(parts.query), fragment))


def redact_within(text: str) -> str:
    """A text with every URL in it redacted."""
    return _URL.sub(lambda found: redact(found[0]), text)


def _public(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(_SECRET.search(name) for name, _ in pairs):
        return query  # as it was written: quoting it anew could change it
    kept = [pair for pair in pairs if not _SECRET.search(pair[0]) and not _SIGNED.search(pair[0])]
    return urlencode(kept)
