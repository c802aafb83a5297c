"""Takes and gives back the addresses of virtual networks, inside the turn that needs them."""

from collections.abc import Iterator

from innkeeper_controller import addresses
from innkeeper_controller.addresses import AddressError
from innkeeper_controller.records import AddressLease, AddressRange, Network
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import VmId

#: Addresses that one reservation takes at once, at most: each is a record.
MAX_RESERVED_AT_ONCE = 1 << 14


def take(turn: Turn, network: Network, *, vm_id: VmId, nic_id: int, ip: str = "", mac: str = "") -> AddressLease:
    """Lease one address to a NIC: the one asked for, or the lowest free one.

    Raises:
        RefusalError: ``no_address``: none is free, or the one asked for is not of the network or taken.
    """
    ar_id, offset = _asked(turn, network, ip, mac) if ip or mac else _free(turn, network)
    return _lease(turn, network, ar_id, offset, vm_id=vm_id, nic_id=nic_id)


def hold(turn: Turn, network: Network, address: str) -> AddressLease:
    """Keep an address (IP or MAC) from everybody.

    Raises:
        RefusalError: ``no_address``: it is not of the network, or taken.
    """
    ar_id, offset = _asked(turn, network, **_named(address))
    return _lease(turn, network, ar_id, offset)


def reserve(
    turn: Turn, network: Network, size: int, *, child_id: int, ar_id: int | None, ip: str = "", mac: str = ""
) -> AddressRange:
    """Take consecutive free addresses for a reservation and return them as a range, still without a number.

    Args:
        turn: The turn.
        network: Whose addresses they are.
        size: How many.
        child_id: The network that they are for.
        ar_id: The range to take them of; None for the first that has them.
        ip: The first of them; empty for the lowest.
        mac: The same.

    Raises:
        RefusalError: ``bad_request``, ``not_found`` (no such range) or ``no_address``.
    """
    if not 1 <= size <= MAX_RESERVED_AT_ONCE:
        text = f"Reserve between 1 and {MAX_RESERVED_AT_ONCE} addresses at once, not {size}."
        raise RefusalError("bad_request", text)
    ranges = network.ranges if ar_id is None else (range_of(network, ar_id),)
    found = _asked_run(turn, network, size, ip, mac) if ip or mac else _first_run(turn, network, ranges, size)
    if found is None:
        where = f"Network {network.name}" if ar_id is None else f"Range {ar_id} of network {network.name}"
        raise RefusalError("no_address", f"{where} has no {size} free addresses in a row; ask for fewer.")
    parent, offset = found
    if ar_id is not None and parent.ar_id != ar_id:
        raise RefusalError("no_address", f"{ip or mac} is not in range {ar_id} of network {network.name}.")
    for number in range(offset, offset + size):
        _lease(turn, network, parent.ar_id, number, reserved_by=child_id)
    first_mac, first_ip = addresses.address_at(parent, offset)
    return AddressRange(
        size=size,
        type=parent.type,
        ip=first_ip,
        mac=first_mac if parent.mac else "",
        global_prefix=parent.global_prefix,
        ula_prefix=parent.ula_prefix,
        parent_ar_id=parent.ar_id,
        attributes=parent.attributes,
    )


def give_back(turn: Turn, child: Network, ranges: tuple[AddressRange, ...]) -> None:
    """Give a reservation's ranges back to the network that they were cut from."""
    parent = turn.cluster.networks.get(child.parent_id) if child.parent_id is not None else None
    if parent is None:
        return
    for each in ranges:
        place = addresses.find(parent.ranges, mac=addresses.address_at(each, 0)[0])
        if place is None:
            continue
        ar_id, first = place
        for offset in range(first, first + each.size):
            lease = turn.cluster.leases.get(_lease_id(parent, (ar_id, offset)))
            if lease is not None and lease.reserved_by == child.network_id:
                turn.drop(lease)


def release(turn: Turn, network: Network, address: str) -> AddressLease:
    """Give a held address free again.

    Raises:
        RefusalError: ``not_found``: nobody holds it; ``in_use``: a VM or a reservation has it.
    """
    place = addresses.find(network.ranges, **_named(address))
    lease = turn.cluster.leases.get(_lease_id(network, place)) if place is not None else None
    if lease is None:
        raise RefusalError(
            "not_found", f"Nobody holds {address}; `inn network leases {network.name}` lists what is taken."
        )
    if lease.vm_id is not None:
        raise RefusalError("in_use", f"VM {lease.vm_id} has {address}; it gives it back when it is terminated.")
    if lease.reserved_by is not None:
        child = _child(turn, lease.reserved_by)
        raise RefusalError("in_use", f"{address} is reserved by network {child}; delete that to give it back.")
    turn.drop(lease)
    return lease


def of_network(turn: Turn, network: Network, ar_id: int | None = None) -> Iterator[AddressLease]:
    """Go over the addresses of the network that are not free, or over those of one range."""
    return (
        lease
        for lease in list(turn.cluster.leases.values())
        if lease.network_id == network.network_id and ar_id in {None, lease.range_index}
    )


def range_of(network: Network, ar_id: int) -> AddressRange:
    """Return the network's range of that number.

    Raises:
        RefusalError: ``not_found``.
    """
    for each in network.ranges:
        if each.ar_id == ar_id:
            return each
    has = ", ".join(str(each.ar_id) for each in network.ranges)
    raise RefusalError("not_found", f"Network {network.name} has no range {ar_id}; it has {has or 'none'}.")


def _lease(
    turn: Turn,
    network: Network,
    ar_id: int,
    offset: int,
    *,
    vm_id: VmId | None = None,
    nic_id: int | None = None,
    reserved_by: int | None = None,
) -> AddressLease:
    found = range_of(network, ar_id)
    mac, ip = addresses.address_at(found, offset)
    lease = AddressLease(
        network_id=network.network_id,
        range_index=ar_id,
        offset=offset,
        mac=mac,
        ip=ip,
        ip6_global=addresses.ip6_of(found.global_prefix, mac),
        ip6_ula=addresses.ip6_of(found.ula_prefix, mac),
        vm_id=vm_id,
        nic_id=nic_id,
        reserved_by=reserved_by,
    )
    turn.put(lease)
    return lease


def _named(address: str) -> dict[str, str]:
    """Return the address as the IP or as the MAC that it seems to be."""
    try:
        addresses.parse_mac(address)
    except AddressError:
        return {"ip": address}
    return {"mac": address}


def _lease_id(network: Network, place: tuple[int, int]) -> str:
    return f"{network.network_id}.{place[0]}.{place[1]}"


def _child(turn: Turn, network_id: int) -> str:
    child = turn.cluster.networks.get(network_id)
    return child.name if child is not None else str(network_id)


def _asked(turn: Turn, network: Network, ip: str = "", mac: str = "") -> tuple[int, int]:
    place = addresses.find(network.ranges, ip=ip, mac=mac)
    if place is None:
        raise RefusalError("no_address", f"{ip or mac} is not an address of network {network.name}.")
    taken = turn.cluster.leases.get(_lease_id(network, place))
    if taken is not None:
        who = _who(turn, taken)
        raise RefusalError("no_address", f"{ip or mac} of network {network.name} {who}; ask for another or for none.")
    return place


def _who(turn: Turn, taken: AddressLease) -> str:
    if taken.vm_id is not None:
        return f"belongs to VM {taken.vm_id}"
    return "is held back" if taken.reserved_by is None else f"is reserved by network {_child(turn, taken.reserved_by)}"


def _asked_run(turn: Turn, network: Network, size: int, ip: str, mac: str) -> tuple[AddressRange, int] | None:
    """Return where a run that begins with that address is; None where some of it is not free."""
    ar_id, offset = _asked(turn, network, ip, mac)
    found = range_of(network, ar_id)
    free = offset + size <= found.size and not any(
        _lease_id(network, (ar_id, number)) in turn.cluster.leases for number in range(offset, offset + size)
    )
    return (found, offset) if free else None


def _first_run(
    turn: Turn, network: Network, ranges: tuple[AddressRange, ...], size: int
) -> tuple[AddressRange, int] | None:
    taken: dict[int, list[int]] = {}
    for lease in of_network(turn, network):
        taken.setdefault(lease.range_index, []).append(lease.offset)
    for each in ranges:
        begin = 0
        for offset in sorted(taken.get(each.ar_id, ())):
            if offset - begin >= size:
                break
            begin = offset + 1
        if begin + size <= each.size:
            return each, begin
    return None


def check_room(turn: Turn, network: Network, needed: int) -> None:
    """Refuse to begin what the network has too few free addresses for.

    Raises:
        RefusalError: ``no_address``.
    """
    size = sum(each.size for each in network.ranges)
    taken = turn.cluster.lease_count.get(network.network_id, 0)
    if taken + needed > size:
        free = f"no free address ({taken} of {size} taken)"
        if taken < size:
            free = f"{size - taken} of {size} addresses free, {needed} are needed"
        raise RefusalError(
            "no_address",
            f"Network {network.name} has {free}; terminate a VM, release a held address, or make another network.",
        )


def _free(turn: Turn, network: Network) -> tuple[int, int]:
    check_room(turn, network, 1)
    return turn.cluster.free_address(network)
