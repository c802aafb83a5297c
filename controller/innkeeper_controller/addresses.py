"""Arithmetic of MAC and IP addresses: which address is number n of a range, and which number an address is.

It knows nothing of leases: whether an address is free is not decided here.
"""

import ipaddress
import re
from collections.abc import Sequence

from innkeeper_controller.records import AddressRange
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.vocabulary import Value

#: First two octets of a MAC that is made from an IP: locally administered, unicast.
MAC_PREFIX = 0x0200
#: Addresses in one range, at most.
MAX_RANGE_SIZE = 1 << 24
_MAC = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}", re.IGNORECASE | re.ASCII)
_MULTICAST_BIT = 1 << 40
_LAST_MAC = (1 << 48) - 1
_LAST_IP = (1 << 32) - 1
_FIRST_HOST_IP = 1 << 24
_FIRST_MULTICAST_IP = 0xE0000000


class AddressError(InnkeeperError):
    """A text is no address, or a number lies outside a range; whoever gave it must act."""


class RangeFault(Value):
    """What is wrong with one range of a network."""

    #: Index of the range, counted from 0.
    range_index: int
    #: ``ip``, ``mac`` or ``size``.
    field: str
    message: str


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
    """Return (range index, offset) of an IP, a MAC, or the one address that is both.

    None where the ranges have no such address; a text that is no address is in no range.
    """
    try:
        wanted_ip = parse_ip(ip) if ip else None
        wanted_mac = parse_mac(mac) if mac else None
    except AddressError:
        return None
    for index, each in enumerate(ranges):
        offsets = _offsets(each, wanted_ip, wanted_mac)
        if len(offsets) == 1 and 0 <= (offset := offsets.pop()) < each.size:
            return index, offset
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


def _offsets(each: AddressRange, ip: int | None, mac: int | None) -> set[int]:
    """Return where the addresses lie in the range; two numbers where IP and MAC disagree."""
    offsets = set()
    if ip is not None:
        offsets.add(ip - parse_ip(each.ip) if each.ip else -1)
    if mac is not None:
        offsets.add(mac - _first_mac(each))
    return offsets


def _faults_of(index: int, each: AddressRange) -> list[RangeFault]:
    if not 1 <= each.size <= MAX_RANGE_SIZE:
        text = f"A range has 1 to {MAX_RANGE_SIZE} addresses, not {each.size}."
        return [RangeFault(range_index=index, field="size", message=text)]
    if not each.ip and not each.mac:
        return [
            RangeFault(range_index=index, field="ip", message="A range needs its first IP, its first MAC, or both.")
        ]
    found = (("ip", _ip_fault(each) if each.ip else ""), ("mac", _mac_fault(each) if each.mac else ""))
    return [RangeFault(range_index=index, field=field, message=text) for field, text in found if text]


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
    for field, starts in (("ip", _starts(first, second)), ("mac", (_first_mac(first), _first_mac(second)))):
        if starts and starts[0] < starts[1] + second.size and starts[1] < starts[0] + first.size:
            text = f"Range {other_index} has {field.upper()} addresses that range {index} has already."
            return RangeFault(range_index=other_index, field=field, message=text)
    return None


def _starts(first: AddressRange, second: AddressRange) -> tuple[int, int] | None:
    return (parse_ip(first.ip), parse_ip(second.ip)) if first.ip and second.ip else None
