"""How many more VMs like one there is room for, by cluster, and what runs out first; nothing is stored."""

from collections.abc import Iterator
from typing import Final

from innkeeper_controller import quotas
from innkeeper_controller.placement.planning import Misfit, misfit_of, placer_on_copy
from innkeeper_controller.placement.prospects import MAX_WORK, Batch, WantedVms, batch_of, line_with, work_of
from innkeeper_controller.placement.waits import beyond_reach
from innkeeper_controller.scheduling.answers import what_if
from innkeeper_controller.scheduling.answers.what_if import Filled
from innkeeper_controller.scheduling.choice.alike import kind_of
from innkeeper_controller.scheduling.columns.fleet import Fleet
from innkeeper_controller.turn import Mistake, Turn
from innkeeper_controller.usage import amounts_of
from innkeeper_plugins.vocabulary import HostId, Value

#: VMs that are counted at most.
MAX_COUNTED: Final = 100_000
#: The same of VMs that are asked for one by one, as those with affinity, nodes or devices.
MAX_COUNTED_ALONE: Final = 5_000
#: A part of a limit that is only missing because decimal fractions are rounded.
_ROUNDING: Final = 1e-6


class ClusterRoom(Value):
    """What one cluster has room for."""

    cluster: str
    hosts: int
    fits: int
    #: The clause that keeps one more away from most of the hosts that could take one; empty where one still fits.
    runs_out: str = ""
    #: ``{clause: hosts that it keeps one more away from}``
    counts: dict[str, int] = {}


class Bound(Value):
    """What else limits how many more there can be: addresses, quotas."""

    #: ``addresses of network lan``, ``vm.cpu of user ann``.
    what: str
    fits: int


class Capacity(Value):
    """How many more VMs like one could be submitted and run now."""

    #: The least of what the hosts, the addresses and the quotas let in.
    fits: int
    #: True where counting ended before the hosts were full.
    at_least: bool
    #: What runs out first: a clause (``memory``), or what a bound is of; empty where nothing was seen to.
    runs_out: str
    #: How many more the hosts have room for.
    on_hosts: int
    clusters: tuple[ClusterRoom, ...]
    #: Those who have none are left out; the narrowest first.
    bounds: tuple[Bound, ...] = ()
    #: Why not even one fits on any host; None where one does.
    misfit: Misfit | None = None
    remarks: tuple[Mistake, ...] = ()


def capacity(turn: Turn, wanted: WantedVms) -> Capacity:
    """Return how many more VMs of a template fit now, behind all that wait already.

    Raises:
        RefusalError: ``bad_template``, ``forbidden``, ``locked`` or ``in_use``.
    """
    batch = batch_of(turn, wanted)
    placer = placer_on_copy(turn)
    queue = [unit for unit in line_with(turn, batch).units if batch.demand not in unit.demands]
    what_if.place_line(placer, queue, turn.settings.scheduling.order, turn.cluster.queue.on_hosts)
    out_of_reach = beyond_reach(turn.cluster, batch.sample)
    misfit = Misfit(why=out_of_reach) if out_of_reach else misfit_of(placer, batch.demand)
    limit = MAX_COUNTED
    if kind_of(batch.demand, placer.fleet) is None:
        limit = min(MAX_COUNTED_ALONE, max(1, MAX_WORK // work_of(batch.demand, placer.fleet)))
    filled = what_if.fill(placer, batch.demand, 0 if out_of_reach else limit)
    on_hosts, is_full = filled.count, filled.is_full or bool(out_of_reach)
    bounds = tuple(sorted(_bounds(turn, batch), key=lambda each: each.fits))
    narrowest = bounds[0] if bounds and bounds[0].fits < on_hosts else None
    keeping = what_if.commonest(filled.keeps_out[each] for each in filled.could) if is_full else {}
    return Capacity(
        fits=narrowest.fits if narrowest is not None else on_hosts,
        at_least=narrowest is None and not is_full,
        runs_out=narrowest.what if narrowest is not None else next(iter(keeping), ""),
        on_hosts=on_hosts,
        clusters=tuple(_by_cluster(placer.fleet, filled, is_full=is_full)),
        bounds=bounds,
        remarks=batch.blueprint.template.remarks,
        misfit=misfit,
    )


def _by_cluster(fleet: Fleet, filled: Filled, *, is_full: bool) -> Iterator[ClusterRoom]:
    hosts: dict[str, list[HostId]] = {}
    for view in fleet.views:
        if view is not None:
            hosts.setdefault(view.cluster or "default", []).append(view.host_id)
    for name, host_ids in sorted(hosts.items()):
        could = [each for each in host_ids if each in filled.could]
        counts = what_if.commonest(filled.keeps_out[each] for each in could or host_ids)
        yield ClusterRoom(
            cluster=name,
            hosts=len(host_ids),
            fits=sum(filled.fits.get(each, 0) for each in host_ids),
            runs_out=next(iter(counts), "") if is_full else "",
            counts=counts,
        )


def _bounds(turn: Turn, batch: Batch) -> Iterator[Bound]:
    cluster, networks = turn.cluster, batch.blueprint.networks
    for network in {each.network_id: each for each in networks}.values():
        size = sum(each.size for each in network.ranges)
        free = size - cluster.lease_count.get(network.network_id, 0)
        yield Bound(what=f"addresses of network {network.name}", fits=max(0, free // networks.count(network)))
    yield from _of_quotas(turn, batch)
    owner = batch.sample.owner
    most = turn.settings.scheduling.order.max_placed_per_user
    if most:
        left = most - cluster.queue.on_hosts.get(owner, 0)
        yield Bound(what=f"VMs on hosts of user {owner}", fits=max(0, left))
    if any(disk.persistent for disk in batch.blueprint.spec.disks):
        yield Bound(what="VMs of one persistent image", fits=1)
    if any(nic.ip or nic.mac for nic in batch.blueprint.template.nics):
        yield Bound(what="VMs of one address", fits=1)


def _of_quotas(turn: Turn, batch: Batch) -> Iterator[Bound]:
    for account in (("user", batch.sample.owner), ("group", batch.sample.group)):
        used = turn.cluster.usages.of(account)
        for resource, amount in amounts_of(batch.sample).items():
            limit = quotas.limit_of(turn.cluster, account, resource)
            if limit is not None and amount > 0:
                left = limit - used.get(resource, 0.0)
                what = f"quota {resource} of {account[0]} {account[1]}"
                yield Bound(what=what, fits=max(0, int((left + _ROUNDING) // amount)))
