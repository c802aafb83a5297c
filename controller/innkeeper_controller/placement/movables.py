"""Which VMs may be moved for the good of all: none that is busy, kept where it is, or that somebody else is moving.

It moves nothing.
"""

from collections.abc import Iterator

import msgspec

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.indexes.fleet_index import claims
from innkeeper_controller.indexes.loads import load_of
from innkeeper_controller.placement.fitting import demand_of
from innkeeper_controller.records import Host, HostState, Moment, OperationKind, OperationStatus, VmRecord
from innkeeper_controller.scheduling.columns.fleet import repelled_keys
from innkeeper_controller.scheduling.columns.members import vm_key
from innkeeper_controller.scheduling.model import Demand, Load
from innkeeper_controller.scheduling.wishes import Relation
from innkeeper_plugins.vocabulary import HostId, VmId, VmState

_replace = msgspec.structs.replace

MIGRATIONS = frozenset({OperationKind.MIGRATE, OperationKind.MIGRATE_LIVE})
#: As histories have them.
_MOVED = frozenset(kind.value for kind in MIGRATIONS)
_FAILED = frozenset({OperationStatus.FAILED, OperationStatus.CANCELLED})


class Movables:
    """The VMs of a cluster that may be moved, as they are now."""

    def __init__(
        self, cluster: Cluster, *, now_s: Moment, cool_down_s: float = 0.0, keeps_company: bool = True
    ) -> None:
        """Look at these.

        Args:
            cluster: All records.
            now_s: The moment.
            cool_down_s: A VM that was moved, or failed to be, stays for so long.
            keeps_company: True to leave VMs where they are that others have to be with, or that are spread with
                others: their going would break what holds.
        """
        self._cluster = cluster
        self._since_s = now_s - cool_down_s
        self._cool_down_s = cool_down_s
        self._company = frozenset(_company(cluster)) if keeps_company else frozenset()
        #: What was asked before: the records stay as they are meanwhile.
        self._found: dict[HostId, list[Load]] = {}

    def loads_on(self, host_id: HostId) -> list[Load]:
        """Return what those on a host take of it that may be moved; nothing of hosts that are not up and free."""
        found = self._found.get(host_id)
        if found is None:
            host = self._cluster.hosts.get(host_id)
            is_up = host is not None and host.connected and host.state is HostState.ON
            vms = [vm for vm in self._vms_on(host) if self._may_go(vm)] if host is not None and is_up else []
            found = self._found[host_id] = [_load(vm) for vm in vms]
        return found

    def all_loads_on(self, host_id: HostId) -> list[Load]:
        """Return what all on a host take of it."""
        host = self._cluster.hosts.get(host_id)
        return [_load(vm) for vm in self._vms_on(host)] if host is not None else []

    def demand_of(self, vm_id: VmId) -> Demand:
        """Return what a VM asks of a host."""
        return demand_of(self._cluster, self._cluster.vms[vm_id])

    def _vms_on(self, host: Host) -> Iterator[VmRecord]:
        for vm_id in sorted(self._cluster.vms_on.get(host.host_id, ())):
            vm = self._cluster.vms.get(vm_id)
            if vm is not None and vm.host_id == host.host_id and host.host_id in claims(vm):
                yield vm

    def _may_go(self, vm: VmRecord) -> bool:
        return (
            why_not_movable(vm) == ""
            and not self._cools_down(vm)
            and self._company.isdisjoint((*vm.wishes.groups, vm_key(vm.vm_id)))
        )

    def _cools_down(self, vm: VmRecord) -> bool:
        if not self._cool_down_s:
            return False
        last = self._cluster.operations.get(vm.last_operation_id) if vm.last_operation_id else None
        if last is not None and last.kind in MIGRATIONS and last.status in _FAILED:
            return (last.ended_at_s or 0.0) > self._since_s
        stays = self._cluster.history_of.get(vm.vm_id, ())
        return any(stay.action in _MOVED and (stay.ended_at_s or 0.0) > self._since_s for stay in stays)


def why_not_movable(vm: VmRecord) -> str:
    """Return why a VM stays where it is, one clause of a sentence; empty where it may be moved."""
    if vm.lock is not None:
        return "it is locked"
    if vm.operation_id is not None or vm.end_asked_by:
        return "it is busy"
    if vm.state is not VmState.RUNNING:
        return f"it is {vm.state}"
    if vm.resched:
        return "it is being rescheduled"
    if vm.spec.numa is not None or vm.spec.numa_cells or vm.spec.pci_addresses:
        return "it has nodes or devices of its host"
    return ""


def recent_moves(cluster: Cluster, since_s: Moment) -> dict[HostId, int]:
    """Return how many migrations to or from each host have ended since, or go on; whoever asked for them."""
    counts: dict[HostId, int] = {}
    for stays in cluster.history_of.values():
        for stay, following in zip(stays, (*stays[1:], None), strict=True):
            if stay.ended_at_s is not None and stay.ended_at_s > since_s and stay.action in _MOVED:
                _count(counts, stay.host_id)
                if following is not None:
                    _count(counts, following.host_id)
    for operation_id in cluster.running:
        operation = cluster.operations[operation_id]
        if operation.kind in MIGRATIONS:
            for host_id in {leg.host_id for leg in operation.plan.legs}:
                _count(counts, host_id)
    return counts


def _count(counts: dict[HostId, int], host_id: HostId) -> None:
    counts[host_id] = counts.get(host_id, 0) + 1


def _load(vm: VmRecord) -> Load:
    """Return what a VM takes; without its images, which a host that it is tried on would seem to have from then on."""
    return _replace(load_of(vm, vm.host_id), images={})


def _company(cluster: Cluster) -> Iterator[str]:
    for vm in cluster.vms.values():
        for term in vm.wishes.terms:
            if term.is_hard and term.relation is not Relation.APART:
                yield from repelled_keys(term.groups, term.vm_ids)
