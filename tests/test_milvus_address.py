"""Addresses of collections on a cluster, and what their parts are called there. No server."""

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefinder.errors import MissingExtraError, StoreError, UsageError
from imagefinder.stores.milvus.address import Address, parse_address
from imagefinder.stores.milvus.connection import Connection
from imagefinder.stores.milvus.names import family, physical

SECRET = "hunter2"


def test_the_shortest_address() -> None:
    address = parse_address("milvus://box/photos")
    assert address == Address("box", "photos")
    assert (address.port, address.server, address.token) == (19530, "box:19530", None)
    assert (address.database, address.tls, address.media) == (None, False, None)
    assert (address.index, address.consistency) == ("auto", "session")
    assert str(address) == "milvus://box:19530/photos"


def test_an_address_with_everything() -> None:
    address = parse_address(
        f"MILVUS://ann:{SECRET}@db.example.org:1234/My-photos.2024/?database=art&tls=1"
        f"&media=s3%3A%2F%2Fkey%3A{SECRET}%40bucket%2Fmedia&index=IVF_SQ8&consistency=strong"
    )
    assert address == Address(
        "db.example.org", "My-photos.2024", 1234, f"ann:{SECRET}", "art", True,
        f"s3://key:{SECRET}@bucket/media", "ivf_sq8", "strong",
    )  # fmt: skip
    assert str(address) == (
        "milvus://db.example.org:1234/My-photos.2024?database=art&tls=1&media=s3://bucket/media"
        "&index=ivf_sq8&consistency=strong"
    )
    assert SECRET not in f"{address}{address!r}{address.shown}"
    assert parse_address(str(address)) == Address(
        "db.example.org", "My-photos.2024", 1234, None, "art", True, "s3://bucket/media",
        "ivf_sq8", "strong",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "given", "token"),
    [
        ("milvus://ann:p%40ss%2F%3A%23%25@box/n", None, "ann:p@ss/:#%"),
        ("milvus://ann:a:b@box/n", None, "ann:a:b"),
        ("milvus://%6Bey@box/n", None, "key"),
        ("milvus://box/n", "ann:secret", "ann:secret"),
        ("milvus://box/n", "", None),
        ("milvus://ann:mine@box/n", "env:theirs", "ann:mine"),
        ("milvus://@box/n", "env:theirs", "env:theirs"),
    ],
)
def test_who_comes(uri: str, given: str | None, token: str | None) -> None:
    assert parse_address(uri, given).token == token


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("http://box/n", "not an address of a Milvus collection; write milvus://"),
        ("milvus://box", "the collection's name is missing"),
        ("milvus://box:1/", "the collection's name is missing"),
        ("milvus:///n", "no host name or IPv4 address"),
        ("milvus://u:hunter2@/n", "no host name"),
        ("milvus://b ox/n", "no host name"),
        ("milvus://[::1]:19530/n", "no host name or IPv4 address"),
        ("milvus://[::1/n", "the host or port cannot be read"),
        ("milvus://box:port/n", "the host or port cannot be read"),
        ("milvus://box:70000/n", "the host or port cannot be read"),
        ("milvus://box:0/n", "the port is 0; leave it out for 19530"),
        ("milvus://box/a/b", "'a/b' cannot be a collection's name; use letters, digits"),
        ("milvus://box/-a", "'-a' cannot be a collection's name; .* a letter or digit first"),
        ("milvus://box/a%20b", "'a%20b' cannot be a collection's name"),
        ("milvus://box/ä", "'%C3%A4' cannot be a collection's name"),
        ("milvus://box/n?datbase=x", "'datbase' is no parameter of it; there are database, tls"),
        ("milvus://box/n?password=hunter2", "'password' is no parameter"),
        ("milvus://box/n?tls=1&tls=0", "a parameter comes twice"),
        ("milvus://box/n?tls=perhaps", "tls is 'perhaps'; write tls=1 or tls=0"),
        ("milvus://box/n?index=flat", "index is 'flat'; choose auto, hnsw, ivf_sq8, diskann"),
        ("milvus://box/n?consistency=", "consistency is ''; choose session, bounded, strong"),
        ("milvus://box/n?database=a-b", "'a-b' cannot be a database's name"),
        ("milvus://box/n?media=folder", "media is no URL; write one such as media=s3://"),
        ("milvus://box/n?media=s3://[x", "media is no URL"),
        ("milvus://u:@box/n", "a user and a password belong together"),
        ("milvus://:hunter2@box/n", "a user and a password belong together"),
        ("milvus://u%3Av:hunter2@box/n", "':' in the user"),
        ("milvus://u:hunt/er2@box/n", "the host or port cannot be read|'/' in the user or"),
        ("milvus://u:12/hunter2@box/n", "'/' in the user or password; write it there as %2F"),
        ("milvus://u:hunter2#x@box/n", "the host or port cannot be read|'#' has no meaning"),
        ("milvus://u:hunter2@@x/n?index=no", "index is 'no'"),
        ("milvus://u:1?hunter2@box/n", "'\\?' in a password is written %3F"),
        ("milvus://u:1?a&hunter2@box/n", "'\\?' in a password is written %3F"),
    ],
)
def test_a_wrong_address_is_told_without_its_secret(uri: str, problem: str) -> None:
    with pytest.raises(UsageError, match=f"^[a-z]+://.*: .*({problem})") as caught:
        parse_address(uri)
    assert not re.search(r"hunt|er2", str(caught.value))


NAMES = [
    "photos", "Photos", "a_b", "a__b", "a-b", "a.b", "_a", "a_", "2024", "2024_a", "c_2024",
    "x" * 100, "x" * 101, "x" * 102, "a_h0123456789abcdef", "ä", "", "a_h" + "0" * 15,
]  # fmt: skip


def test_parts_have_names_that_milvus_takes_and_no_two_share_one() -> None:
    assert physical("photos", "images") == "photos__images"
    assert physical("my_photos", "space_lite0") == "my_photos__space_lite0"
    assert physical("my-photos", "images").startswith("my_photos_h")
    pairs = [(name, part) for name in NAMES for part in NAMES]
    found = {physical(*pair) for pair in pairs}
    assert len(found) == len(pairs)
    for each in found:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,254}", each)


@given(st.text(), st.text(), st.text())
def test_a_family_begins_the_names_of_its_parts_and_of_no_other(a: str, b: str, part: str) -> None:
    assert physical(a, part).startswith(family(a))
    assert a == b or not physical(b, part).startswith(family(a))


def test_nothing_is_connected_before_it_is_needed() -> None:
    connection = Connection(parse_address("milvus://nowhere.invalid/n?consistency=bounded"))
    assert (connection.level(), connection.level(strong=True)) == ("Bounded", "Strong")
    connection.close()
    with pytest.raises(StoreError, match="the collection is closed; open it again"):
        connection.call(lambda client: client.list_collections())


def test_what_to_install_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    connection = Connection(parse_address("milvus://nowhere.invalid/n"))
    with pytest.raises(
        MissingExtraError, match=r"milvus:// collections needs: .*finder\[milvus\]'"
    ):
        connection.call(lambda client: client.list_collections())
