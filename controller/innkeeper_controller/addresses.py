"""Arithmetic of MAC and IP addresses: which address is number n of a range, and which number an address is.

It knows nothing of leases: whether an address is free is not decided here.
"""

import hashlib
import ipaddress
import itertools
import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from innkeeper_controller.records import AddressRange
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.vocabulary import Value

#: First two octets of a MAC that is made from an IP: locally administered, unicast.
MAC_PREFIX = 0x0200
#: First octet of a MAC that is made up for a range without IPv4 addresses: locally administered, unicast, and not that
#: of those made from IPs.
MADE_UP_MAC_OCTET = 0x06
#: What of the other five octets is made up: so much that ranges hardly ever meet, and none counts into the first octet.
_MADE_UP_BITS = 0x7F_FFFF_0000
#: Addresses in one range, at most.
MAX_RANGE_SIZE = 1 << 24
#: Types of ranges whose addresses have an IPv4 part.
WITH_IP4 = frozenset({"IP4", "IP4_6"})
#: Types of ranges whose addresses have IPv6 parts.
WITH_IP6 = frozenset({"IP6", "IP4_6"})
TYPES = ("IP4", "IP6", "IP4_6", "ETHER")
_MAC = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}", re.IGNORECASE | re.ASCII)
_MULTICAST_BIT = 1 << 40
_LAST_MAC = (1 << 48) - 1
_LAST_IP = (1 << 32) - 1
_LAST_64_BITS = (1 << 64) - 1
_FIRST_HOST_IP = 1 << 24
_FIRST_MULTICAST_IP = 0xE0000000


class AddressError(InnkeeperError):
    """A text is no address, or a number lies outside a range; whoever gave it must act."""


class RangeFault(Value):
    """What is wrong with one range of a network."""

    #: Index of the range, counted from 0.
    range_index: int
    #: ``ip``, ``mac``, ``size``, ``type``, ``global_prefix`` or ``ula_prefix``.
    field: str
    message: str


@lru_cache(maxsize=4096)  # the first address of a range is asked for with each of its leases
def parse_ip(text: str) -> int:
    """Return the number of a dotted IPv4 address.

    Raises:
        AddressError: it is none.
    """
    try:
        return int(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise AddressError(f"{text!r} is no IPv4 address; one looks like 192.168.0.10.") from error


def format_ip(number: int) -> str:
    """Return the dotted text of an IPv4 address."""
    return f"{number >> 24 & 255}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def parse_mac(text: str) -> int:
    """Return the number of a MAC, ``02:00:c0:a8:00:01`` or with dashes.

    Raises:
        AddressError: it is none.
    """
    if not _MAC.fullmatch(text):
        raise AddressError(f"{text!r} is no MAC address; one looks like 02:00:c0:a8:00:0a.")
    return int(text.replace(":", "").replace("-", ""), 16)


def format_mac(number: int) -> str:
    """Return a MAC in lower case with colons."""
    return number.to_bytes(6, "big").hex(":")


def is_multicast_mac(number: int) -> bool:
    """Say whether a MAC names a group of cards, and so can belong to none."""
    return bool(number & _MULTICAST_BIT)


def mac_of(ip: str) -> str:
    """Return the MAC that goes with an IP by default: ``192.168.0.1`` has ``02:00:c0:a8:00:01``.

    Raises:
        AddressError: ``ip`` is no IPv4 address.
    """
    return format_mac((MAC_PREFIX << 32) | parse_ip(ip))


def parse_prefix(text: str) -> int:
    """Return the upper 64 bits of an IPv6 prefix, ``2001:db8::`` or ``2001:db8::/64``.

    Raises:
        AddressError: it is none, or has bits beyond the 64th.
    """
    try:
        number = int(ipaddress.IPv6Address(text.removesuffix("/64")))
    except ValueError as error:
        raise AddressError(f"{text!r} is no IPv6 prefix; one looks like 2001:db8::.") from error
    if number & _LAST_64_BITS:
        raise AddressError(f"{text!r} has more than 64 bits; a prefix looks like 2001:db8::.")
    return number >> 64


def ip6_of(prefix: str, mac: str) -> str:
    """Return the IPv6 address that a card of that MAC gives itself below a prefix (EUI-64, RFC 4291); empty for none.

    Raises:
        AddressError: one of them is none.
    """
    if not prefix:
        return ""
    number = parse_mac(mac) ^ (0x02 << 40)
    interface = (number >> 24) << 40 | 0xFFFE << 24 | number & 0xFFFFFF
    return str(ipaddress.IPv6Address(parse_prefix(prefix) << 64 | interface))


def _mac_in(prefix: int, ip6: int) -> int | None:
    """Return the MAC that an IPv6 address below the prefix was made of; None where it was made otherwise."""
    interface = ip6 & _LAST_64_BITS
    if ip6 >> 64 != prefix or interface >> 24 & 0xFFFF != 0xFFFE:  # noqa: PLR2004 - the mark of EUI-64
        return None
    return ((interface >> 40) << 24 | interface & 0xFFFFFF) ^ (0x02 << 40)


def address_at(address_range: AddressRange, offset: int) -> tuple[str, str]:
    """Return MAC and IP of the range's address number ``offset``; the IP is empty in a range of MACs only.

    Raises:
        AddressError: the range has no such number.
    """
    if not 0 <= offset < address_range.size:
        raise AddressError(f"Number {offset} is outside a range of {address_range.size} addresses.")
    ip = format_ip(parse_ip(address_range.ip) + offset) if address_range.ip else ""
    return format_mac(_first_mac(address_range) + offset), ip


def find(ranges: Sequence[AddressRange], *, ip: str = "", mac: str = "") -> tuple[int, int] | None:
    """Return (ar_id, offset) of an IPv4 or IPv6 address, a MAC, or the one address that is both.

    None where the ranges have no such address; a text that is no address is in no range.
    """
    try:
        wanted_ip = ipaddress.ip_address(ip) if ip else None
        wanted_mac = parse_mac(mac) if mac else None
    except (ValueError, AddressError):
        return None
    for each in ranges:
        offsets = _offsets(each, wanted_ip, wanted_mac)
        if len(offsets) == 1 and 0 <= (offset := offsets.pop()) < each.size:
            return each.ar_id, offset
    return None


def completed(wanted: AddressRange, others: Sequence[AddressRange], *, network_id: int, ar_id: int) -> AddressRange:
    """Return the range as a network keeps it: numbered, of the type that it is, and with a MAC to count from.

    Args:
        wanted: A range without faults.
        others: The network's other ranges; a MAC that is made up is none of theirs.
        network_id: Of the network; the same range gets the same MAC again.
        ar_id: The range's new number.
    """
    is_macs_only = wanted.type == "IP4" and not wanted.ip
    numbered = msgspec.structs.replace(wanted, ar_id=ar_id, type="ETHER" if is_macs_only else wanted.type)
    if numbered.ip or numbered.mac:
        return numbered
    for attempt in itertools.count():
        word = f"network {network_id} range {ar_id} attempt {attempt}".encode()
        low = int.from_bytes(hashlib.blake2s(word, digest_size=5).digest(), "big") & _MADE_UP_BITS
        made = msgspec.structs.replace(numbered, mac=format_mac(MADE_UP_MAC_OCTET << 40 | low))
        if all(overlap(each, made) is None for each in others):
            return made
    raise AssertionError


def overlap(one: AddressRange, other: AddressRange) -> str | None:
    """Return ``ip`` or ``mac`` where both ranges have some of the same, None where they have not."""
    for field, starts in (("ip", _starts(one, other)), ("mac", _mac_starts(one, other))):
        if starts and starts[0] < starts[1] + other.size and starts[1] < starts[0] + one.size:
            return field
    return None


def range_faults(ranges: Sequence[AddressRange]) -> tuple[RangeFault, ...]:
    """Return everything that is wrong with the ranges of a network; empty when they can be used."""
    faults = [fault for index, each in enumerate(ranges) for fault in _faults_of(index, each)]
    broken = {fault.range_index for fault in faults}
    whole = [(index, each) for index, each in enumerate(ranges) if index not in broken]
    overlaps = [_overlap(one, other) for nth, other in enumerate(whole) for one in whole[:nth]]
    return (*faults, *(fault for fault in overlaps if fault is not None))


def _first_mac(address_range: AddressRange) -> int:
    return parse_mac(address_range.mac or mac_of(address_range.ip))


def _offsets(each: AddressRange, ip: ipaddress.IPv4Address | ipaddress.IPv6Address | None, mac: int | None) -> set[int]:
    """Return where the addresses lie in the range; two numbers where IP and MAC disagree."""
    offsets = set()
    if isinstance(ip, ipaddress.IPv4Address):
        offsets.add(int(ip) - parse_ip(each.ip) if each.ip else -1)
    if isinstance(ip, ipaddress.IPv6Address):
        prefixes = [parse_prefix(prefix) for prefix in (each.global_prefix, each.ula_prefix) if prefix]
        found = next((made for prefix in prefixes if (made := _mac_in(prefix, int(ip))) is not None), None)
        offsets.add(found - _first_mac(each) if found is not None else -1)
    if mac is not None:
        offsets.add(mac - _first_mac(each))
    return offsets


def _faults_of(index: int, each: AddressRange) -> list[RangeFault]:
    if not 1 <= each.size <= MAX_RANGE_SIZE:
        text = f"A range has 1 to {MAX_RANGE_SIZE} addresses, not {each.size}."
        return [RangeFault(range_index=index, field="size", message=text)]
    if each.type not in TYPES:
        text = f"{each.type[:40]!r} is no type of a range; use one of {', '.join(TYPES)}."
        return [RangeFault(range_index=index, field="type", message=text)]
    if not each.ip and each.type in WITH_IP4 and not (each.mac and each.type == "IP4"):
        text = "A range needs its first IP, its first MAC, or both."
        return [RangeFault(range_index=index, field="ip", message=text)]
    found = (
        ("ip", _ip_fault(each) if each.ip else ""),
        ("mac", _mac_fault(each) if each.mac else ""),
        ("global_prefix", _prefix_fault(each, each.global_prefix)),
        ("ula_prefix", _prefix_fault(each, each.ula_prefix)),
    )
    return [RangeFault(range_index=index, field=field, message=text) for field, text in found if text]


def _prefix_fault(each: AddressRange, prefix: str) -> str:
    if not prefix:
        return ""
    if each.type not in WITH_IP6:
        return f"A range of type {each.type} has no IPv6 prefix; use TYPE = IP4_6 or IP6."
    try:
        first = parse_prefix(prefix) >> 56
    except AddressError as error:
        return str(error)
    return f"{prefix} is multicast, which no card can have." if first == 0xFF else ""  # noqa: PLR2004 - RFC 4291


def _ip_fault(each: AddressRange) -> str:
    try:
        first = parse_ip(each.ip)
    except AddressError as error:
        return str(error)
    last = first + each.size - 1
    if last > _LAST_IP:
        return f"{each.size} addresses from {each.ip} run past 255.255.255.255; {_LAST_IP - first + 1} would be left."
    if first < _FIRST_HOST_IP or last >= _FIRST_MULTICAST_IP:
        return f"{each.ip} to {format_ip(last)} is not all addresses of machines: those are 1.0.0.0 to 223.255.255.255."
    return ""


def _mac_fault(each: AddressRange) -> str:
    try:
        first = parse_mac(each.mac)
    except AddressError as error:
        return str(error)
    last = first + each.size - 1
    if last > _LAST_MAC:
        return f"{each.size} addresses from {each.mac} run past ff:ff:ff:ff:ff:ff."
    if is_multicast_mac(first) or is_multicast_mac(last):
        unicast = format_mac(first & ~_MULTICAST_BIT)
        return f"{each.mac} is a multicast MAC (its first octet is odd), which no card can have; {unicast} would do."
    return "" if first else "00:00:00:00:00:00 is no card's address."


def _overlap(one: tuple[int, AddressRange], other: tuple[int, AddressRange]) -> RangeFault | None:
    (index, first), (other_index, second) = one, other
    field = overlap(first, second)
    if field is None:
        return None
    text = f"Range {other_index} has {field.upper()} addresses that range {index} has already."
    return RangeFault(range_index=other_index, field=field, message=text)


def _starts(first: AddressRange, second: AddressRange) -> tuple[int, int] | None:
    return (parse_ip(first.ip), parse_ip(second.ip)) if first.ip and second.ip else None


def _mac_starts(first: AddressRange, second: AddressRange) -> tuple[int, int] | None:
    """Return where both begin; None where one is to get a MAC yet."""
    is_known = (first.mac or first.ip) and (second.mac or second.ip)
    return (_first_mac(first), _first_mac(second)) if is_known else None
