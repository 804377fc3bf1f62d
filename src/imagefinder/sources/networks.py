"""Which network addresses may be fetched from for somebody else: public ones, and what is allowed.

The lists are IANA's registries of special-purpose addresses, and what clouds answer on besides.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# Written out, since what `is_global` says differs between patch releases of Python.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by the customers of a provider; Alibaba's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host
        "169.254.0.0/16",  # link-local; the metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_UNICAST_6 = IPv6Network("2000::/3")  # nothing else is public
_NOT_PUBLIC_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
# Networks whose addresses lead to an IPv4 address, and how many bits follow that one.
_EMBEDDING = {
    IPv6Network("::/96"): 0,  # IPv4-compatible
    IPv6Network("::ffff:0:0:0/96"): 0,  # translated
    IPv6Network("64:ff9b::/96"): 0,  # NAT64
    IPv6Network("64:ff9b:1::/48"): 0,  # NAT64 of a site
    IPv6Network("2002::/16"): 80,  # 6to4
}
_TEREDO = IPv6Network("2001::/32")
_OWN = (IPv6Address("::"), IPv6Address("::1"))  # in ::/96, and not IPv4


def may_fetch_from(address: Address, allowed: Iterable[Network] = ()) -> bool:
    """Whether an address is public, or in one of the `allowed` networks.

    What leads to an IPv4 address is judged by that one, too; to be there at all, a tunnel's
    network has to be allowed, while a mapped address is nothing but the IPv4 address.
    """
    allowed = tuple(allowed)
    if isinstance(address, IPv4Address):
        return _is_in(address, allowed) or _is_public(address)
    if address.scope_id is not None:
        return False
    if address in _MAPPED:
        return _is_in(_low_bits(address, 0), allowed)
    if not _is_in(address, allowed):
        return _is_public(address)
    return all(may_fetch_from(inner, allowed) for inner in _embedded(address))


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global and not _is_in(address, _NOT_PUBLIC_4)
    return address.is_global and address in _UNICAST_6 and not _is_in(address, _NOT_PUBLIC_6)


def _embedded(address: IPv6Address) -> list[IPv4Address]:
    if address in _OWN:
        return []
    if address in _TEREDO:  # the server's, and the client's with all bits turned
        return [_low_bits(address, 64), IPv4Address(int(_low_bits(address, 0)) ^ 0xFFFFFFFF)]
    return [_low_bits(address, bits) for network, bits in _EMBEDDING.items() if address in network]


def _low_bits(address: IPv6Address, below: int) -> IPv4Address:
    return IPv4Address(int(address) >> below & 0xFFFFFFFF)


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
