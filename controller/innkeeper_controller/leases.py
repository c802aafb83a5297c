"""Takes and gives back the addresses of virtual networks, inside the turn that needs them."""

from collections.abc import Iterator

from innkeeper_controller import addresses
from innkeeper_controller.records import AddressLease, Network
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import VmId


def take(turn: Turn, network: Network, *, vm_id: VmId, nic_id: int, ip: str = "", mac: str = "") -> AddressLease:
    """Lease one address to a NIC: the one asked for, or the lowest free one.

    Raises:
        RefusalError: ``no_address``: none is free, or the one asked for is not of the network or taken.
    """
    range_index, offset = _asked(turn, network, ip, mac) if ip or mac else _free(turn, network)
    return _lease(turn, network, range_index, offset, vm_id=vm_id, nic_id=nic_id)


def hold(turn: Turn, network: Network, address: str) -> AddressLease:
    """Keep an address (IP or MAC) from everybody.

    Raises:
        RefusalError: ``no_address``: it is not of the network, or taken.
    """
    range_index, offset = _asked(turn, network, **_named(address))
    return _lease(turn, network, range_index, offset, vm_id=None, nic_id=None)


def release(turn: Turn, network: Network, address: str) -> AddressLease:
    """Give a held address free again.

    Raises:
        RefusalError: ``not_found``: nobody holds it; ``in_use``: a VM has it.
    """
    place = addresses.find(network.ranges, **_named(address))
    lease = turn.cluster.leases.get(_lease_id(network, place)) if place is not None else None
    if lease is None:
        raise RefusalError(
            "not_found", f"Nobody holds {address}; `inn network leases {network.name}` lists what is taken."
        )
    if lease.vm_id is not None:
        raise RefusalError("in_use", f"VM {lease.vm_id} has {address}; it gives it back when it is terminated.")
    turn.drop(lease)
    return lease


def of_network(turn: Turn, network: Network) -> Iterator[AddressLease]:
    """Go over the addresses of the network that are not free."""
    return (lease for lease in list(turn.cluster.leases.values()) if lease.network_id == network.network_id)


def _lease(
    turn: Turn, network: Network, range_index: int, offset: int, *, vm_id: VmId | None, nic_id: int | None
) -> AddressLease:
    mac, ip = addresses.address_at(network.ranges[range_index], offset)
    lease = AddressLease(
        network_id=network.network_id,
        range_index=range_index,
        offset=offset,
        mac=mac,
        ip=ip,
        vm_id=vm_id,
        nic_id=nic_id,
    )
    turn.put(lease)
    return lease


def _named(address: str) -> dict[str, str]:
    """Return the address as the IP or as the MAC that it seems to be."""
    return {"mac": address} if ":" in address or "-" in address else {"ip": address}


def _lease_id(network: Network, place: tuple[int, int]) -> str:
    return f"{network.network_id}.{place[0]}.{place[1]}"


def _asked(turn: Turn, network: Network, ip: str = "", mac: str = "") -> tuple[int, int]:
    place = addresses.find(network.ranges, ip=ip, mac=mac)
    if place is None:
        raise RefusalError("no_address", f"{ip or mac} is not an address of network {network.name}.")
    taken = turn.cluster.leases.get(_lease_id(network, place))
    if taken is not None:
        who = "is held back" if taken.vm_id is None else f"belongs to VM {taken.vm_id}"
        raise RefusalError("no_address", f"{ip or mac} of network {network.name} {who}; ask for another or for none.")
    return place


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
