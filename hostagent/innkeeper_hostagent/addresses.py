"""Which addresses a URL may lead to: public ones, and those that the operator allows; pure.

It resolves nothing and connects to nothing.
"""

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Prefixes of IPv6 addresses that stand for the IPv4 address in their last 32 bits (RFC 4291, RFC 6052, RFC 8215).
_STAND_FOR_IPV4 = tuple(map(ipaddress.ip_network, ("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")))
#: Not for the internet, although some versions of the standard library say so (RFC 6890).
_SPECIAL = ipaddress.ip_network("192.0.0.0/24")


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
    meant = _meant(ipaddress.ip_address(address.partition("%")[0]))
    networks = tuple(private_networks)
    return all(_is_public(each) or any(each in network for network in networks) for each in meant)


def _is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved and address not in _SPECIAL


def _meant(address: Address) -> tuple[Address, ...]:
    """Return the addresses that a connection to this one reaches, or passes as a tunnel."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if any(address in network for network in _STAND_FOR_IPV4):
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    tunnel = (*(address.teredo or ()), *((address.sixtofour,) if address.sixtofour else ()))
    return (address, *tunnel)
