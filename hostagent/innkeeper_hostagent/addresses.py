"""Which addresses a URL may lead to: public ones, and those that the operator allows; pure.

It resolves nothing and connects to nothing.
"""

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Prefixes of IPv6 addresses that carry an IPv4 address in their last 32 bits (RFC 6052).
_TRANSLATED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks.

    Raises:
        ValueError: one of the texts is none.
    """
    return tuple(ipaddress.ip_network(text) for text in texts)


def is_allowed(address: str, private_networks: Iterable[Network]) -> bool:
    """Whether a connection may be made to that numeric address.

    Args:
        address: As the resolver gives it; a zone (``%eth0``) makes it link-local.
        private_networks: Networks allowed although they are not public.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    meant = {parsed, *_carried(parsed)}
    networks = tuple(private_networks)
    return all(_is_public(each) or any(each in network for network in networks) for each in meant)


def _is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved


def _carried(address: Address) -> Iterable[Address]:
    """Return the IPv4 addresses that an IPv6 address leads to by translation or a tunnel."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in _TRANSLATED):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
