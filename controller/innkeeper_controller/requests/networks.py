"""Requests about virtual networks and their addresses."""

import msgspec

from innkeeper_controller import leases
from innkeeper_controller.access import Right
from innkeeper_controller.records import AddressRange, Network
from innkeeper_controller.requests import find
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.requests.templates import network_from
from innkeeper_controller.requests.views import LeaseView, NetworkView, lease_view, network_view
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value


class AddNetwork(Value):
    """A network to be: a template, or its parts one by one; parts given win over the template."""

    #: Template in OpenNebula's text syntax or YAML; empty for none.
    template: str = ""
    name: str = ""
    ranges: tuple[AddressRange, ...] = ()
    bridge: str = ""
    vlan_id: int | None = None
    physical_device: str = ""
    gateway: str = ""
    netmask: str = ""
    dns: str = ""


class NamedNetwork(Value):
    """One network, by id or name."""

    network: str


class NetworkAddress(Value):
    """One address of a network."""

    network: str
    #: IP or MAC.
    address: str


#: ``{parameter: the template's word for it}``
_WORDS = {
    "name": "NAME",
    "bridge": "BRIDGE",
    "vlan_id": "VLAN_ID",
    "physical_device": "PHYDEV",
    "gateway": "GATEWAY",
    "netmask": "NETWORK_MASK",
    "dns": "DNS",
}


def add(turn: Turn, params: AddNetwork) -> NetworkView:
    """Make a network."""
    assert turn.user is not None, "networks are made by users"
    parts = ((word, getattr(params, name)) for name, word in _WORDS.items())
    given = {word: str(value) for word, value in parts if value not in ("", None)}
    wanted = network_from(params.template, given, params.ranges)
    name = str(wanted.get("name", ""))
    find.check_name("network", name)
    if name in turn.cluster.network_ids:
        raise RefusalError("name_taken", f"There is a network {name} already; choose another name.")
    network_id = turn.cluster.next_id("network")
    network = msgspec.convert({**wanted, "network_id": network_id, "owner": turn.user.name}, type=Network)
    turn.put(network)
    turn.event("network.added", f"network:{network_id}", name=name)
    return network_view(turn.cluster, network)


def networks(turn: Turn, _params: Nothing) -> tuple[NetworkView, ...]:
    """List all networks."""
    return tuple(network_view(turn.cluster, network) for network in turn.cluster.networks.values())


def show(turn: Turn, params: NamedNetwork) -> NetworkView:
    """Show one network."""
    return network_view(turn.cluster, find.network(turn.cluster, params.network))


def delete(turn: Turn, params: NamedNetwork) -> Nothing:
    """Delete a network that no VM has an address of; held addresses go with it."""
    network = find.network(turn.cluster, params.network)
    users = sorted({lease.vm_id for lease in leases.of_network(turn, network) if lease.vm_id is not None})
    if users:
        shown = ", ".join(map(str, users[:8]))
        raise RefusalError(
            "in_use", f"Network {network.name} has addresses leased to VM {shown}; terminate them first."
        )
    for lease in leases.of_network(turn, network):
        turn.drop(lease)
    turn.drop(network)
    turn.event("network.deleted", f"network:{network.network_id}", name=network.name)
    return Nothing()


def hold(turn: Turn, params: NetworkAddress) -> LeaseView:
    """Keep an address from everybody."""
    network = find.network(turn.cluster, params.network)
    lease = leases.hold(turn, network, params.address)
    turn.event("address.held", f"network:{network.network_id}", address=params.address)
    return lease_view(lease)


def release(turn: Turn, params: NetworkAddress) -> LeaseView:
    """Give a held address free again."""
    network = find.network(turn.cluster, params.network)
    lease = leases.release(turn, network, params.address)
    turn.event("address.released", f"network:{network.network_id}", address=params.address)
    return lease_view(lease)


def taken(turn: Turn, params: NamedNetwork) -> tuple[LeaseView, ...]:
    """List the addresses that are not free, in their order."""
    network = find.network(turn.cluster, params.network)
    found = sorted(leases.of_network(turn, network), key=lambda lease: (lease.range_index, lease.offset))
    return tuple(lease_view(lease) for lease in found)


REQUESTS = (
    Request(
        name="network.add",
        method="POST",
        path="/v1/networks",
        params=AddNetwork,
        answer=NetworkView,
        who=Who.USER,
        summary="Make a virtual network with ranges of MAC and IP addresses.",
        handler=add,
        needs=Need(Right.CREATE, "network"),
    ),
    Request(
        name="network.list",
        method="GET",
        path="/v1/networks",
        params=Nothing,
        answer=tuple[NetworkView, ...],
        who=Who.USER,
        summary="List the networks and how full they are.",
        handler=networks,
    ),
    Request(
        name="network.show",
        method="GET",
        path="/v1/networks/{network}",
        params=NamedNetwork,
        answer=NetworkView,
        who=Who.USER,
        summary="Show one network.",
        handler=show,
        needs=Need(Right.USE, "network"),
    ),
    Request(
        name="network.delete",
        method="DELETE",
        path="/v1/networks/{network}",
        params=NamedNetwork,
        answer=Nothing,
        who=Who.USER,
        summary="Delete a network that no VM has an address of.",
        handler=delete,
        needs=Need(Right.MANAGE, "network"),
    ),
    Request(
        name="network.hold",
        method="POST",
        path="/v1/networks/{network}/hold",
        params=NetworkAddress,
        answer=LeaseView,
        who=Who.USER,
        summary="Keep an address from everybody.",
        handler=hold,
        needs=Need(Right.MANAGE, "network"),
    ),
    Request(
        name="network.release",
        method="POST",
        path="/v1/networks/{network}/release",
        params=NetworkAddress,
        answer=LeaseView,
        who=Who.USER,
        summary="Give a held address free again.",
        handler=release,
        needs=Need(Right.MANAGE, "network"),
    ),
    Request(
        name="network.leases",
        method="GET",
        path="/v1/networks/{network}/leases",
        params=NamedNetwork,
        answer=tuple[LeaseView, ...],
        who=Who.USER,
        summary="List the addresses that are leased or held, and by whom.",
        handler=taken,
        needs=Need(Right.USE, "network"),
    ),
)
