"""VMs that are not there yet, as scheduler, queue and quotas would see them; nothing is stored, and nothing placed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from innkeeper_controller import access, leases, quotas, submission
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.placement import queueing
from innkeeper_controller.placement.fitting import demand_of
from innkeeper_controller.placement.waits import beyond_reach
from innkeeper_controller.records import VmRecord
from innkeeper_controller.scheduling.answers.what_if import Unit
from innkeeper_controller.scheduling.choice.alike import kind_of
from innkeeper_controller.scheduling.columns.fleet import Fleet
from innkeeper_controller.scheduling.model import Demand
from innkeeper_controller.scheduling.order import queue
from innkeeper_controller.scheduling.order.queue import Waiting
from innkeeper_controller.submission import Blueprint
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_controller.usage import Amounts, amounts_of
from innkeeper_plugins.vocabulary import Nic, Value, VmId, VmState

_replace = msgspec.structs.replace

#: What one question may take, see ``work_of``: about two seconds, in which nobody else is answered.
MAX_WORK: Final = 20_000_000
#: Of a VM that is placed like many others.
_WORK_OF_ALIKE: Final = 500
#: What a VM that is asked for alone takes beside its hosts, in hosts; and what a rank does, in terms.
_HOSTS_AT_LEAST: Final = 1_000
_TERMS_OF_RANK: Final = 4


class WantedVms(Value):
    """VMs that may be submitted, as ``vm.submit`` takes them."""

    #: Template in OpenNebula's text syntax, XML or YAML.
    template: str
    #: Name instead of the template's; several VMs get ``-0``, ``-1``... behind it.
    name: str = ""
    count: int = 1
    #: Attributes set or replaced: ``{"MEMORY": "512"}``.
    set: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Batch:
    """VMs of one blueprint that are not there yet, and what one of them asks and takes."""

    blueprint: Blueprint
    sample: VmRecord
    demand: Demand
    count: int

    @property
    def vm_ids(self) -> range:
        """The numbers that they would have."""
        return range(self.sample.vm_id, self.sample.vm_id + self.count)


def batch_of(turn: Turn, wanted: WantedVms) -> Batch:
    """Return the VMs as they would be, with neither addresses nor records.

    Raises:
        RefusalError: as ``submission.draw`` does, and ``bad_request`` for a count that nobody may submit.
    """
    limit = turn.settings.max_vms_per_request
    if not 1 <= wanted.count <= limit:
        raise RefusalError("bad_request", f"Plan between 1 and {limit} VMs at once, not {wanted.count}.")
    name = {"NAME": wanted.name} if wanted.name else {}
    blueprint = submission.draw(turn, wanted.template, {**wanted.set, **name})
    sample = _sample(turn, blueprint)
    return Batch(blueprint, sample, demand_of(turn.cluster, sample), wanted.count)


def _sample(turn: Turn, blueprint: Blueprint) -> VmRecord:
    """Return what the scheduler and quotas would see of the first VM."""
    assert turn.user is not None, "VMs are planned by users"
    template = blueprint.template
    nics = tuple(
        Nic(nic_id=number, network=network.name, network_id=network.network_id, mac="", bridge=network.bridge)
        for number, network in enumerate(blueprint.networks)
    )
    return VmRecord(
        vm_id=VmId(turn.cluster.next_id("vm")),
        name=template.name,
        owner=turn.user.name,
        group=access.primary_group(turn),
        state=VmState.PENDING,
        spec=_replace(blueprint.spec, nics=nics),
        requirements=template.requirements,
        rank=template.rank,
        wishes=template.wishes,
        attributes=template.attributes,
        since_s=turn.now_s,
    )


@dataclass(frozen=True, slots=True)
class Line:
    """Who stands in line, in order, with those who are not looked at and why."""

    units: list[Unit]
    left_out: dict[VmId, str]


def line_with(turn: Turn, batch: Batch) -> Line:
    """Return the queue as it would be with the new VMs: those that wait already keep their turn.

    Raises:
        RefusalError: ``too_large``.
    """
    cluster, index = turn.cluster, turn.cluster.queue
    mine = {VmId(vm_id): _waiting(batch, VmId(vm_id)) for vm_id in batch.vm_ids}
    waiting = {**index.waiting, **mine}
    gangs = {key: dict(members) for key, members in index.gangs.items()}
    for each in mine.values():
        if (key := queue.gang_of(each)) is not None:
            gangs.setdefault(key, {})[each.vm_id] = None
    shares = queueing.shares_of(cluster, turn.settings, turn.now_s)
    looked_at = [waiting[vm_id] for vm_id in (*_looked_at(turn), *mine) if vm_id in waiting]
    order = queue.ordered(looked_at, shares, turn.settings.scheduling.order, turn.now_s)
    line = queue.units(order, waiting, gangs, index.gangs_on_hosts)
    left_out = {vm_id: each.words for vm_id, each in line.left_out.items()}
    reach = _Reach(cluster)
    units = []
    for vm_ids in line.units:
        words = next((text for vm_id in vm_ids if (text := reach.words(_record(cluster, batch, vm_id)))), "")
        if words:
            left_out |= dict.fromkeys(vm_ids, words)
        else:
            demands = tuple(_demand(cluster, batch, vm_id) for vm_id in vm_ids)
            units.append(Unit(owner=waiting[vm_ids[0]].owner, demands=demands))
    _check_work(cluster.fleet, units)
    return Line(units, left_out)


def work_of(demand: Demand, fleet: Fleet) -> int:
    """Return about what it takes to place a VM, in units of 0.1 us."""
    if kind_of(demand, fleet) is not None:
        return _WORK_OF_ALIKE
    terms = 1 + len(demand.terms) + (_TERMS_OF_RANK if demand.rank is not None else 0)
    return (fleet.count + _HOSTS_AT_LEAST) * terms


def _check_work(fleet: Fleet, units: Iterable[Unit]) -> None:
    if sum(work_of(demand, fleet) for unit in units for demand in unit.demands) > MAX_WORK:
        raise RefusalError(
            "too_large",
            "These VMs, with all that stand in line before them, are too many to be planned at once; plan fewer, or "
            "ask again once fewer wait.",
        )


def _looked_at(turn: Turn) -> Iterable[VmId]:
    """Return those who wait and may fit: who was looked at in vain before anything became better is left out."""
    cluster = turn.cluster
    if turn.settings.scheduler == "none" or cluster.freed or cluster.bettered:
        return cluster.queue.waiting
    return cluster.unconsidered


def _waiting(batch: Batch, vm_id: VmId) -> Waiting:
    vm, wishes = batch.sample, batch.sample.wishes
    return Waiting(
        vm_id=vm_id, owner=vm.owner, group=vm.group, priority=wishes.priority, since_s=vm.since_s, gang=wishes.gang
    )


def _record(cluster: Cluster, batch: Batch, vm_id: VmId) -> VmRecord:
    return batch.sample if vm_id in batch.vm_ids else cluster.vms[vm_id]


def _demand(cluster: Cluster, batch: Batch, vm_id: VmId) -> Demand:
    return _replace(batch.demand, vm_id=vm_id) if vm_id in batch.vm_ids else demand_of(cluster, cluster.vms[vm_id])


class _Reach:
    """Remembers for VMs that start from the same files whether those are on hosts that are there."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[object, str] = {}

    def words(self, vm: VmRecord) -> str:
        """Return why the VM can start nowhere; empty where it can."""
        key = (vm.spec.images, vm.sealed_on if vm.sealed else None)
        if key not in self._known:
            self._known[key] = beyond_reach(self._cluster, vm)
        return self._known[key]


def refusals(turn: Turn, batch: Batch) -> tuple[str, ...]:
    """Return why the VMs would be refused: addresses, quotas, and whatever else a submission is refused for."""
    owner, group = batch.sample.owner, batch.sample.group
    amounts: Amounts = {name: amount * batch.count for name, amount in amounts_of(batch.sample).items()}
    networks = batch.blueprint.networks
    checks = [
        partial(leases.check_room, turn, network, batch.count * networks.count(network))
        for network in {each.network_id: each for each in networks}.values()
    ]
    checks += [partial(quotas.charge, turn, *account, amounts) for account in ((owner, ""), ("", group))]
    found = [str(error) for check in checks if (error := _refusal(check)) is not None]
    if not found:
        mark = turn.mark()
        error = _refusal(lambda: submission.submit(turn, batch.blueprint, hold=False, count=batch.count))
        turn.take_back(mark)
        found += [str(error)] if error is not None else []
    return tuple(found)


def _refusal(check: Callable[[], object]) -> RefusalError | None:
    try:
        check()
    except RefusalError as error:
        return error
    return None
