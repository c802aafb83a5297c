"""What a template of a virtual network asks for, or one of ranges of addresses alone.

Networks as they were described before OpenNebula 4 (RANGED, FIXED) come out as ranges too.
"""

from collections.abc import Iterator, Sequence

import msgspec

from innkeeper_controller.addresses import (
    WITH_IP4,
    AddressError,
    find,
    format_ip,
    mac_of,
    parse_ip,
    parse_mac,
    range_faults,
)
from innkeeper_controller.records import AddressRange
from innkeeper_controller.templates.attributes import Attribute, Pair
from innkeeper_controller.templates.errors import TemplateError, close_to, in_order
from innkeeper_controller.templates.kept import kept_as_text
from innkeeper_controller.templates.validation import Checked, Findings, Group, check
from innkeeper_controller.templates.vocabulary import NETWORK_TABLE, Use
from innkeeper_controller.turn import Mistake
from innkeeper_plugins.vocabulary import Value

_replace = msgspec.structs.replace

#: Machines in the networks of class A, B and C.
_CLASS_SIZES = {"A": (1 << 24) - 2, "B": (1 << 16) - 2, "C": (1 << 8) - 2}
#: Runs of addresses that a FIXED network may have; each is compared with all others.
MAX_RUNS = 256
#: What OpenNebula's documents say of a range beside what was asked for; clients send it back.
TOLD_OF_A_RANGE = frozenset(
    {
        *("AR_ID", "ALLOCATED", "USED_LEASES", "LEASES", "NEXT_INDEX", "MAC_END", "IP_END", "IP6", "IP6_END"),
        *("IP6_GLOBAL", "IP6_GLOBAL_END", "IP6_ULA", "IP6_ULA_END", "PARENT_NETWORK_AR_ID"),
    }
)


class NetworkTemplate(Value):
    """A virtual network as its author wants it; the fields are those of ``records.Network``."""

    name: str = ""
    ranges: tuple[AddressRange, ...] = ()
    vn_mad: str = ""
    #: What we do not act on, verbatim.
    attributes: dict[str, str] = {}
    bridge: str = ""
    vlan_id: int | None = None
    physical_device: str = ""
    gateway: str = ""
    netmask: str = ""
    dns: str = ""


def network_template(attributes: Sequence[Attribute]) -> NetworkTemplate:
    """Return what the attributes ask for.

    Raises:
        TemplateError: with every mistake.
    """
    checked, ranges = _read(attributes)
    top = checked.top
    if checked.findings.mistakes:
        raise TemplateError(checked.findings.mistakes)
    return NetworkTemplate(
        name=top.text("NAME"),
        ranges=ranges,
        vn_mad=top.text("VN_MAD"),
        attributes=_told(top) | kept_as_text(checked.others),
        bridge=top.text("BRIDGE"),
        vlan_id=top.integer("VLAN_ID") or None,
        physical_device=top.text("PHYDEV"),
        gateway=top.text("GATEWAY"),
        netmask=top.text("NETWORK_MASK"),
        dns=top.text("DNS"),
    )


def _told(top: Group) -> dict[str, str]:
    """Return what is known and has no field of its own, for those who read the network's template back."""
    address = top.text("NETWORK_ADDRESS")
    return {"NETWORK_ADDRESS": address} if address and not _is_ranged(top) else {}


def network_remarks(attributes: Sequence[Attribute]) -> tuple[Mistake, ...]:
    """Return what the author should know although nothing is wrong: no effect, a gateway in a range."""
    checked, ranges = _read(attributes)
    gateway = checked.top.text("GATEWAY")
    if gateway and not checked.findings.mistakes and find(ranges, ip=gateway):
        text = f"{gateway} is in a range, so a VM may be given it; hold it: inn network hold NETWORK {gateway}."
        checked.findings.remark(checked.top.place("GATEWAY"), "GATEWAY", text)
    return in_order(checked.findings.remarks)


def _read(attributes: Sequence[Attribute]) -> tuple[Checked, tuple[AddressRange, ...]]:
    """Return what was understood, and the ranges; what is wrong with them is noted."""
    plain, kept = _without_kept_keys(attributes)
    checked = check(plain, NETWORK_TABLE, keeps_others=True)
    groups = checked.vectors.get("AR", ())
    ranges = tuple(_range(group, notes) for group, notes in zip(groups, kept, strict=False))
    if all("SIZE" in group.entries and not group.is_damaged for group in groups):
        for fault in range_faults(ranges):
            group = groups[fault.range_index]
            field = fault.field.upper()
            checked.findings.mistake(group.place(field), f"AR/{field}", fault.message)
    return checked, (*ranges, *_old_ranges(checked))


def _without_kept_keys(attributes: Sequence[Attribute]) -> tuple[list[Attribute], list[dict[str, str]]]:
    """Return the attributes without the keys of ranges that are only kept, and those keys of each range."""
    plain: list[Attribute] = []
    kept: list[dict[str, str]] = []
    for each in attributes:
        if each.name != "AR" or not isinstance(each.value, tuple):
            plain.append(each)
            continue
        pairs = each.value
        plain.append(_replace(each, value=tuple(pair for pair in pairs if not _is_kept(pair))))
        notes = (pair for pair in pairs if _is_kept(pair) and pair.key not in TOLD_OF_A_RANGE)
        kept.append({pair.key: pair.value for pair in notes})
    return plain, kept


def _is_kept(pair: Pair) -> bool:
    keys = NETWORK_TABLE.keys["AR"]
    known = keys.get(pair.key)
    if known is not None:
        return known.use is not Use.ACTS and pair.key in TOLD_OF_A_RANGE
    acting = [key.name for key in keys.values() if key.use is Use.ACTS]
    return pair.key in TOLD_OF_A_RANGE or not close_to(pair.key, acting, likeness=0.8)


def _range(group: Group, kept: dict[str, str]) -> AddressRange:
    kind = group.text("TYPE", "IP4")
    return AddressRange(
        size=group.integer("SIZE"),
        type=kind,
        ip=group.text("IP") if kind in WITH_IP4 else "",
        mac=group.text("MAC"),
        global_prefix=group.text("GLOBAL_PREFIX"),
        ula_prefix=group.text("ULA_PREFIX"),
        attributes=kept,
    )


def _old_ranges(checked: Checked) -> tuple[AddressRange, ...]:
    """Return the ranges that a RANGED or FIXED network has; what is wrong with them is noted."""
    top, findings = checked.top, checked.findings
    if _is_ranged(top):
        found = tuple(_ranged(top, findings))
    else:
        found = _joined([_leased(group) for group in checked.vectors.get("LEASES", ()) if not group.is_damaged])
    if len(found) > MAX_RUNS:
        text = f"The LEASES of a network are at most {MAX_RUNS} runs of addresses, not {len(found)}."
        findings.mistake((0, 0), "LEASES", text)
        return ()
    for fault in range_faults(found):
        findings.mistake(top.place("NETWORK_ADDRESS"), "NETWORK_ADDRESS", fault.message)
    return found


def _is_ranged(top: Group) -> bool:
    """Return whether NETWORK_ADDRESS stands for a range, as it did before OpenNebula 4."""
    address = top.text("NETWORK_ADDRESS")
    return bool(address) and (top.text("TYPE") == "RANGED" or bool(top.text("NETWORK_SIZE")) or "/" in address)


def _ranged(top: Group, findings: Findings) -> Iterator[AddressRange]:
    address, _, length = top.text("NETWORK_ADDRESS").partition("/")
    size_text = top.text("NETWORK_SIZE", "" if length else "C").upper()
    if size_text.isdecimal() or size_text in _CLASS_SIZES:
        size = _CLASS_SIZES.get(size_text) or int(size_text)
    else:
        size = (1 << max(0, 32 - int(length))) - 2
    try:
        yield AddressRange(size=size, ip=format_ip(parse_ip(address) + 1))
    except AddressError as error:
        findings.mistake(top.place("NETWORK_ADDRESS"), "NETWORK_ADDRESS", str(error))


def _leased(group: Group) -> AddressRange:
    ip, mac = group.text("IP"), group.text("MAC")
    return AddressRange(size=1, ip=ip, mac="" if ip and mac == mac_of(ip) else mac)


def _joined(singles: Sequence[AddressRange]) -> tuple[AddressRange, ...]:
    """Return single addresses as ranges, those in a row as one."""
    joined: list[AddressRange] = []
    for each in singles:
        last = joined[-1] if joined else None
        if last is not None and _follows(last, each):
            joined[-1] = _replace(last, size=last.size + 1)
        else:
            joined.append(each)
    return tuple(joined)


def _follows(last: AddressRange, each: AddressRange) -> bool:
    if bool(last.ip) != bool(each.ip) or bool(last.mac) != bool(each.mac):
        return False
    ip_follows = not each.ip or parse_ip(each.ip) == parse_ip(last.ip) + last.size
    return ip_follows and (not each.mac or parse_mac(each.mac) == parse_mac(last.mac) + last.size)
