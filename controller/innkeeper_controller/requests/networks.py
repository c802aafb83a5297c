"""Requests about virtual networks and their addresses."""

import msgspec

from innkeeper_controller import access, leases, quotas
from innkeeper_controller.access import Right
from innkeeper_controller.records import OWNER_ONLY, AddressLease, AddressRange, Network
from innkeeper_controller.requests import find, ranges
from innkeeper_controller.requests.clusters import clusters_of_new
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.requests.templates import check_wire, keys_from, network_from
from innkeeper_controller.requests.views import LeaseView, NetworkView, lease_view, network_view
from innkeeper_controller.templates import parse
from innkeeper_controller.templates.restricted import NETWORK as RESTRICTED
from innkeeper_controller.templates.restricted import restricted
from innkeeper_controller.templates.vm import with_overrides
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value

_replace = msgspec.structs.replace


class AddNetwork(Value):
    """A network to be: a template, or its parts one by one; parts given win over the template."""

    #: Template in OpenNebula's text syntax, XML or YAML; empty for none.
    template: str = ""
    name: str = ""
    ranges: tuple[AddressRange, ...] = ()
    bridge: str = ""
    vlan_id: int | None = None
    physical_device: str = ""
    vn_mad: str = ""
    gateway: str = ""
    netmask: str = ""
    dns: str = ""
    #: The cluster that it belongs to; empty for the default one.
    cluster: str = ""


class NamedNetwork(Value):
    """One network, by id or name."""

    network: str


class NetworkAddress(Value):
    """One address of a network."""

    network: str
    #: IP or MAC.
    address: str


class Reserve(Value):
    """Addresses to be set aside."""

    #: The network to take them of.
    network: str
    #: SIZE, and NAME of the new network, or NETWORK_ID of a reservation that is to grow; AR_ID, IP or MAC say which.
    template: str


#: ``{parameter: the template's word for it}``
_WORDS = {
    "name": "NAME",
    "bridge": "BRIDGE",
    "vlan_id": "VLAN_ID",
    "physical_device": "PHYDEV",
    "vn_mad": "VN_MAD",
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
    _check_name(turn, name)
    _check_restricted(turn, params.template, given)
    network_id = turn.cluster.next_id("network")
    whole = {
        **wanted,
        "network_id": network_id,
        "owner": turn.user.name,
        "group": access.primary_group(turn),
        "clusters": clusters_of_new(turn, params.cluster),
        "ranges": (),
    }
    network = ranges.with_ranges(msgspec.convert(whole, type=Network), wanted.get("ranges", ()))  # type: ignore[arg-type]  # the template's
    check_wire(network)
    turn.put(network)
    turn.event("network.added", f"network:{network_id}", name=name)
    return network_view(turn.cluster, network)


def _check_name(turn: Turn, name: str) -> None:
    find.check_name("network", name)
    if name in turn.cluster.network_ids:
        raise RefusalError("name_taken", f"There is a network {name} already; choose another name.")


def _check_restricted(turn: Turn, template: str, given: dict[str, str]) -> None:
    if turn.user is None or turn.user.is_admin:
        return
    attributes = with_overrides(parse(template) if template else (), given)
    found = restricted(attributes, turn.settings.restricted_network, usual=RESTRICTED)
    if found:
        names = " or ".join(each.field for each in found)
        raise RefusalError(
            "forbidden",
            f"Only an administrator may give a network {names}; leave it out, or reserve addresses of a network that "
            "has it: inn network reserve.",
            mistakes=found,
        )


def networks(turn: Turn, _params: Nothing) -> tuple[NetworkView, ...]:
    """List the networks that one may use."""
    return tuple(network_view(turn.cluster, each) for each in access.visible(turn, turn.cluster.networks.values()))


def show(turn: Turn, params: NamedNetwork) -> NetworkView:
    """Show one network."""
    return network_view(turn.cluster, find.network(turn.cluster, params.network))


def delete(turn: Turn, params: NamedNetwork) -> Nothing:
    """Delete a network that no VM has an address of; held addresses go with it, reserved ones go back."""
    network = find.network(turn.cluster, params.network)
    taken_now = list(leases.of_network(turn, network))
    ranges.check_unused(turn, f"Network {network.name}", taken_now)
    for lease in taken_now:
        turn.drop(lease)
    leases.give_back(turn, network, network.ranges)
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


def reserve(turn: Turn, params: Reserve) -> NetworkView:
    """Set addresses aside as a network of one's own, or let one grow."""
    assert turn.user is not None, "addresses are reserved by users"
    parent = find.network(turn.cluster, params.network)
    if parent.parent_id is not None:
        text = f"Network {parent.name} is a reservation itself; reserve of the network that it was cut from."
        raise RefusalError("wrong_state", text)
    (keys,) = keys_from(params.template)
    grown = _grown(turn, parent, keys["NETWORK_ID"]) if keys.get("NETWORK_ID") else None
    child = grown or _child(turn, parent, keys.get("NAME", ""))
    size = ranges.number(keys, "SIZE")
    ar_id = ranges.number(keys, "AR_ID") if keys.get("AR_ID") else None
    quotas.charge(turn, child.owner, child.group, {f"network.{parent.network_id}.leases": float(size)})
    cut = leases.reserve(
        turn,
        parent,
        size,
        child_id=child.network_id,
        ar_id=ar_id,
        ip=keys.get("IP", ""),
        mac=keys.get("MAC", ""),
    )
    child = ranges.with_ranges(child, (cut,))
    turn.put(child)
    what = "network.grown" if grown else "network.reserved"
    turn.event(what, f"network:{child.network_id}", name=child.name, parent=parent.name, size=size)
    return network_view(turn.cluster, child)


def _grown(turn: Turn, parent: Network, wanted: str) -> Network:
    child = find.network(turn.cluster, wanted)
    if child.parent_id != parent.network_id:
        text = f"Network {child.name} is no reservation of network {parent.name}, and cannot grow by its addresses."
        raise RefusalError("bad_request", text)
    access.authorize(turn, Right.MANAGE, child)
    return child


def _child(turn: Turn, parent: Network, name: str) -> Network:
    """Return the reservation, still without addresses: its owner's, but on the wire as its parent."""
    _check_name(turn, name)
    assert turn.user is not None
    return _replace(
        parent,
        network_id=turn.cluster.next_id("network"),
        name=name,
        owner=turn.user.name,
        group=access.primary_group(turn),
        mode=OWNER_ONLY,
        lock=None,
        parent_id=parent.network_id,
        last_ar_id=-1,
        ranges=(),
    )


def taken(turn: Turn, params: NamedNetwork) -> tuple[LeaseView, ...]:
    """List the addresses that are not free, in their order; whose VMs have them, only who may use those learns."""
    return tuple(map(lease_view, told(turn, find.network(turn.cluster, params.network))))


def told(turn: Turn, network: Network) -> list[AddressLease]:
    """Return a network's leases in the order of their addresses, without the VMs that who asks may not use."""
    found = sorted(leases.of_network(turn, network), key=lambda lease: (lease.range_index, lease.offset))
    vms = {each.vm_id: turn.cluster.vms[each.vm_id] for each in found if each.vm_id in turn.cluster.vms}
    known = {vm.vm_id for vm in access.visible(turn, vms.values())}
    return [each if each.vm_id in known else _replace(each, vm_id=None, nic_id=None) for each in found]


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
        summary="List the networks that one may use and how full they are.",
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
    Request(
        name="network.reserve",
        method="POST",
        path="/v1/networks/{network}/reserve",
        params=Reserve,
        answer=NetworkView,
        who=Who.USER,
        summary="Set addresses of a network aside as a network of one's own, or let such a reservation grow.",
        handler=reserve,
        needs=Need(Right.USE, "network"),
    ),
    *ranges.REQUESTS,
)
