"""Requests about the ranges of addresses that a virtual network has."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from innkeeper_controller import addresses, leases
from innkeeper_controller.access import Right
from innkeeper_controller.records import AddressLease, AddressRange, Network
from innkeeper_controller.requests import find
from innkeeper_controller.requests.table import Need, Request, Who
from innkeeper_controller.requests.templates import MAX_RANGES, keys_from, ranges_from
from innkeeper_controller.requests.views import NetworkView, network_view
from innkeeper_controller.templates.network import TOLD_OF_A_RANGE
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value

_replace = msgspec.structs.replace


class RangeTemplate(Value):
    """Ranges of a network: ``AR = [ TYPE = IP4, IP = 10.0.0.1, SIZE = 5 ]``."""

    network: str
    template: str


class NamedRange(Value):
    """One range of a network, by its number."""

    network: str
    ar_id: int


class DeleteRange(Value):
    """A range that goes."""

    network: str
    ar_id: int
    #: Held addresses go with it. Addresses that VMs or reservations have are not taken from them in any case.
    force: bool = False


def with_ranges(network: Network, wanted: Iterable[AddressRange]) -> Network:
    """Return the network with more ranges, each with a number that no other ever had.

    Raises:
        RefusalError: ``bad_request``: there are too many, or they overlap others of the network.
    """
    has = list(network.ranges)
    last = max([network.last_ar_id, *(each.ar_id for each in has)])
    for each in wanted:
        last += 1
        made = addresses.completed(each, has, network_id=network.network_id, ar_id=last)
        _check_overlap(network, has, made)
        has.append(made)
    if len(has) > MAX_RANGES:
        raise RefusalError("bad_request", f"A network has at most {MAX_RANGES} ranges, not {len(has)}.")
    return _replace(network, ranges=tuple(has), last_ar_id=last)


def _check_overlap(network: Network, others: Iterable[AddressRange], made: AddressRange) -> None:
    for other in others:
        field = addresses.overlap(other, made) if other.ar_id != made.ar_id else None
        if field is not None:
            raise RefusalError(
                "bad_request",
                f"The range has {field.upper()} addresses that range {other.ar_id} of network {network.name} has "
                "already; begin elsewhere or make it smaller.",
            )


def number(keys: Mapping[str, str], word: str) -> int:
    """Return a whole number out of a template.

    Raises:
        RefusalError: ``bad_request``: it is none.
    """
    text = keys.get(word, "").strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 10):  # noqa: PLR2004 - digits of the largest size
        raise RefusalError("bad_request", f"{word} has to be a whole number, not {text[:40]!r}.")
    return int(text)


def add_range(turn: Turn, params: RangeTemplate) -> NetworkView:
    """Give a network more addresses."""
    network = find.network(turn.cluster, params.network)
    if network.parent_id is not None:
        text = f"Network {network.name} is a reservation, which grows by `inn network reserve` alone."
        raise RefusalError("wrong_state", text)
    grown = with_ranges(network, ranges_from(params.template))
    turn.put(grown)
    added = [each.ar_id for each in grown.ranges[len(network.ranges) :]]
    turn.event("range.added", f"network:{network.network_id}", ar_ids=added)
    return network_view(turn.cluster, grown)


def update_range(turn: Turn, params: RangeTemplate) -> NetworkView:
    """Change the size of a range, its IPv6 prefixes, or what people note of it."""
    network = find.network(turn.cluster, params.network)
    vectors = keys_from(params.template, "AR")
    if not vectors:
        raise RefusalError("bad_request", "The template has no range; one reads like AR = [ AR_ID = 0, SIZE = 9 ].")
    for keys in vectors:
        network = _updated(turn, network, keys)
    turn.put(network)
    ar_ids = [number(keys, "AR_ID") for keys in vectors]
    turn.event("range.updated", f"network:{network.network_id}", ar_ids=ar_ids)
    return network_view(turn.cluster, network)


#: Keys of a range that the controller acts on.
_ACTING = frozenset({"TYPE", "IP", "MAC", "SIZE", "GLOBAL_PREFIX", "ULA_PREFIX"})


def _updated(turn: Turn, network: Network, keys: Mapping[str, str]) -> Network:
    old = leases.range_of(network, number(keys, "AR_ID"))
    _check_fixed(old, keys)
    notes = {key: value for key, value in keys.items() if key not in _ACTING | TOLD_OF_A_RANGE}
    new = _replace(
        old,
        size=number(keys, "SIZE") if "SIZE" in keys else old.size,
        global_prefix=keys.get("GLOBAL_PREFIX", old.global_prefix),
        ula_prefix=keys.get("ULA_PREFIX", old.ula_prefix),
        attributes={key: value for key, value in (old.attributes | notes).items() if value},
    )
    for fault in addresses.range_faults((new,)):
        raise RefusalError("bad_request", fault.message)
    _check_overlap(network, network.ranges, new)
    _check_kept(network, old, new, list(leases.of_network(turn, network, old.ar_id)))
    return _replace(network, ranges=tuple(new if each.ar_id == old.ar_id else each for each in network.ranges))


def _check_fixed(old: AddressRange, keys: Mapping[str, str]) -> None:
    """Refuse to let a range begin elsewhere; what says the same as before is what clients send back."""
    mac, ip = addresses.address_at(old, 0)
    for word, now in (("TYPE", old.type), ("IP", ip), ("MAC", mac)):
        asked = keys.get(word, "")
        if asked and asked.upper().replace("-", ":") != now.upper():
            raise RefusalError(
                "bad_request", f"The {word} of range {old.ar_id} stays {now or 'none'}; make a new range in its place."
            )


def _check_kept(network: Network, old: AddressRange, new: AddressRange, taken: list[AddressLease]) -> None:
    """Refuse to change what somebody has."""
    if network.parent_id is not None and new.size != old.size:
        text = f"Network {network.name} is a reservation; its ranges keep their size."
        raise RefusalError("wrong_state", text)
    lost = sorted(lease.mac for lease in taken if lease.offset >= new.size)
    if lost:
        text = f"Range {old.ar_id} of network {network.name} has taken addresses beyond {new.size}, the first {lost[0]}"
        raise RefusalError("in_use", f"{text}; keep it larger, or end those who have them.")
    if taken and (new.global_prefix, new.ula_prefix) != (old.global_prefix, old.ula_prefix):
        text = f"Range {old.ar_id} of network {network.name} has taken addresses, which keep their prefixes."
        raise RefusalError("in_use", text)


def delete_range(turn: Turn, params: DeleteRange) -> NetworkView:
    """Take a range away; with force also its held addresses, but nothing that VMs or reservations have."""
    return _remove(turn, find.network(turn.cluster, params.network), params.ar_id, force=params.force)


def free_range(turn: Turn, params: NamedRange) -> NetworkView:
    """Give a range of a reservation back to the network that it was cut from."""
    network = find.network(turn.cluster, params.network)
    if network.parent_id is None:
        text = f"Network {network.name} is no reservation; `inn network range delete` takes ranges away."
        raise RefusalError("wrong_state", text)
    return _remove(turn, network, params.ar_id, force=False)


def _remove(turn: Turn, network: Network, ar_id: int, *, force: bool) -> NetworkView:
    gone = leases.range_of(network, ar_id)
    taken = list(leases.of_network(turn, network, ar_id))
    what = f"Range {ar_id} of network {network.name}"
    check_unused(turn, what, taken, but=", which force does not take from them" if force else "")
    if taken and not force:
        text = f"{what} has {len(taken)} addresses that are held; release them, or use force to drop the holds."
        raise RefusalError("in_use", text)
    for lease in taken:
        turn.drop(lease)
    leases.give_back(turn, network, (gone,))
    last = max(network.last_ar_id, *(each.ar_id for each in network.ranges))
    left = tuple(each for each in network.ranges if each.ar_id != ar_id)
    network = _replace(network, ranges=left, last_ar_id=last)
    turn.put(network)
    turn.event("range.deleted", f"network:{network.network_id}", ar_id=ar_id)
    return network_view(turn.cluster, network)


def check_unused(turn: Turn, what: str, taken: Iterable[AddressLease], *, but: str = "") -> None:
    """Refuse where VMs or reservations have some of the addresses.

    Raises:
        RefusalError: ``in_use``.
    """
    vms = sorted({lease.vm_id for lease in taken if lease.vm_id is not None})
    if vms:
        text = f"{what} has addresses leased to VM {_few(vms)}{but}; terminate them first."
        raise RefusalError("in_use", text)
    children = sorted({lease.reserved_by for lease in taken if lease.reserved_by is not None})
    if children:
        names = _few([turn.cluster.networks[each].name for each in children])
        raise RefusalError("in_use", f"{what} has addresses reserved by network {names}{but}; delete that first.")


def _few(names: Sequence[object]) -> str:
    return ", ".join(map(str, names[:8]))


REQUESTS = (
    Request(
        name="network.add_range",
        method="POST",
        path="/v1/networks/{network}/ranges",
        params=RangeTemplate,
        answer=NetworkView,
        who=Who.USER,
        summary="Give a network more ranges of addresses.",
        handler=add_range,
        needs=Need(Right.ADMIN, "network"),
    ),
    Request(
        name="network.update_range",
        method="POST",
        path="/v1/networks/{network}/ranges/update",
        params=RangeTemplate,
        answer=NetworkView,
        who=Who.USER,
        summary="Change the size, the IPv6 prefixes or the notes of a range; it names its AR_ID.",
        handler=update_range,
        needs=Need(Right.ADMIN, "network"),
    ),
    Request(
        name="network.delete_range",
        method="DELETE",
        path="/v1/networks/{network}/ranges/{ar_id}",
        params=DeleteRange,
        answer=NetworkView,
        who=Who.USER,
        summary="Take a range away that no VM and no reservation has an address of; with force also its holds.",
        handler=delete_range,
        needs=Need(Right.ADMIN, "network"),
    ),
    Request(
        name="network.free_range",
        method="POST",
        path="/v1/networks/{network}/ranges/{ar_id}/free",
        params=NamedRange,
        answer=NetworkView,
        who=Who.USER,
        summary="Give a range of a reservation back to the network that it was cut from.",
        handler=free_range,
        needs=Need(Right.MANAGE, "network"),
    ),
)
