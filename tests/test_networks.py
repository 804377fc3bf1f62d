"""Which addresses are public, and what allowing a network changes."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefinder.sources.networks import may_fetch_from

SPECIAL = """
0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255 127.0.0.1
127.255.255.255 168.63.129.16 169.254.0.1 169.254.169.254 172.16.0.0 172.31.255.255 192.0.0.0
192.0.0.9 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255
198.51.100.1 203.0.113.1 224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.255
:: ::1 ::7f00:1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:8.8.8.8 64:ff9b::127.0.0.1
64:ff9b::8.8.8.8 64:ff9b:1::8.8.8.8 100::1 200::1 2001::1 2001:0:808:808::1 2001:2::1 2001:10::1
2001:20::1 2001:db8::1 2002:808:808:: 2002:7f00:1:: 3fff::1 4000::1 5f00::1 8000::1 fc00::1
fd00:ec2::254 fdff::1 fe80::1 febf::1 fec0::1 ff02::1 ff0e::1 ffff::1 fe80::1%lo 2606:4700::1%lo
"""

PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255
192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255
2001:200::1 2001:4860:4860::8888 2003::1 2606:4700::1111 2a00::1 3ffe::1
"""


@pytest.mark.parametrize("address", SPECIAL.split())
def test_a_special_address_is_refused(address: str) -> None:
    assert not may_fetch_from(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC.split())
def test_a_public_address_is_not(address: str) -> None:
    assert may_fetch_from(ip_address(address))
    assert may_fetch_from(ip_address(address), [ip_network("10.0.0.0/8")])


@pytest.mark.parametrize(
    ("networks", "address", "expected"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "11.1.2.3", True),
        (["10.0.0.0/8"], "192.168.0.1", False),
        (["10.0.0.0/8", "192.168.0.0/24"], "192.168.0.1", True),
        (["169.254.169.254/32"], "169.254.169.254", True),
        (["::1/128"], "::1", True),
        (["fc00::/7"], "fd00::1", True),
        (["fe80::/10"], "fe80::1%lo", False),
        # a mapped address is the address in it
        (["10.0.0.0/8"], "::ffff:10.0.0.1", True),
        (["10.0.0.0/8"], "::ffff:127.0.0.1", False),
        (["::/0"], "::ffff:127.0.0.1", False),
        # a tunnel's network has to be allowed, and where it leads to
        (["64:ff9b::/96"], "64:ff9b::8.8.8.8", True),
        (["64:ff9b::/96"], "64:ff9b::127.0.0.1", False),
        (["127.0.0.0/8"], "64:ff9b::127.0.0.1", False),
        (["64:ff9b::/96", "127.0.0.0/8"], "64:ff9b::127.0.0.1", True),
        (["64:ff9b:1::/48"], "64:ff9b:1::10.0.0.1", False),
        (["2002::/16"], "2002:808:808::", True),
        (["2002::/16"], "2002:a00:1::", False),
        (["2001::/32"], "2001:0:808:808::f7f7:f7f7", True),
        (["2001::/32"], "2001:0:a00:1::f7f7:f7f7", False),
        (["2001::/32"], "2001:0:808:808::80ff:fffe", False),
        (["::/0"], "::127.0.0.1", False),
        (["::/0"], "::ffff:0:127.0.0.1", False),
    ],
)
def test_an_allowed_network_may_be_fetched_from(
    networks: list[str], address: str, expected: bool
) -> None:
    allowed = [ip_network(network) for network in networks]
    assert may_fetch_from(ip_address(address), allowed) is expected


@given(st.ip_addresses(v=4))
def test_no_form_of_an_address_may_be_more_than_the_address(address: IPv4Address) -> None:
    bits = int(address)
    forms = [
        IPv6Address(bits),
        IPv6Address(0xFFFF << 32 | bits),
        IPv6Address(0xFFFF << 48 | bits),
        IPv6Address(0x64FF9B << 96 | bits),
        IPv6Address(0x2002 << 112 | bits << 80),
        IPv6Address(0x20010000 << 96 | 0x08080808 << 64 | bits ^ 0xFFFFFFFF),
    ]
    everything = [ip_network("::/0")]
    for form in forms[bits < 2 :]:  # :: and ::1 are addresses of their own
        assert not may_fetch_from(form)
        assert may_fetch_from(address) or not may_fetch_from(form, everything)
