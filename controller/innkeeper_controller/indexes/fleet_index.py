"""The scheduler's columns as an index of the records: brought along with every change, and taken back with it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from innkeeper_controller.indexes.host_views import view_of
from innkeeper_controller.indexes.loads import load_of
from innkeeper_controller.lifecycle import HOLDS_CAPACITY
from innkeeper_controller.records import ClusterRecord, Host, Record, VmRecord
from innkeeper_controller.scheduling.columns.fleet import Fleet
from innkeeper_controller.scheduling.model import Load
from innkeeper_controller.scheduling.rules import BUILT_IN, Rules
from innkeeper_plugins.vocabulary import HostId, VmId


def claims(vm: VmRecord) -> tuple[HostId, ...]:
    """Return the hosts whose capacity the VM takes: where it is and where it goes."""
    here = (vm.host_id,) if vm.host_id is not None and vm.state in HOLDS_CAPACITY else ()
    there = (vm.destination_id,) if vm.destination_id is not None and vm.destination_id not in here else ()
    return here + there


@dataclass(slots=True)
class FleetIndex:
    """Hosts and what is on them; read ``fleet`` freely, changed by ``apply`` alone."""

    fleet: Fleet = field(default_factory=Fleet)
    #: What scheduling goes by.
    rules: Rules = BUILT_IN
    #: ``{digest: hosts that have the image}``, there or not.
    holders: dict[str, dict[HostId, None]] = field(default_factory=dict)
    _hosts: dict[HostId, Host] = field(default_factory=dict)
    _clusters: dict[int, ClusterRecord] = field(default_factory=dict)
    #: ``{host: names of its attributes}``, and how many hosts have the same ones: most have.
    _names: dict[HostId, frozenset[str]] = field(default_factory=dict)
    _hosts_with: dict[frozenset[str], int] = field(default_factory=dict)
    #: All of them; None where that has to be found anew.
    _all_names: frozenset[str] | None = field(default=None, compare=False)
    #: ``{VM: {host: what it takes there}}``
    _taken: dict[VmId, dict[HostId, Load]] = field(default_factory=dict)

    def apply(self, old: Record | None, new: Record | None) -> None:
        """Follow one record's change."""
        record = new if new is not None else old
        if isinstance(record, VmRecord):
            self._follow_vm(old, new)  # type: ignore[arg-type]  # a change is of records of one kind
        elif isinstance(record, Host):
            self._follow_host(record.host_id, old, new)  # type: ignore[arg-type]  # as above
        elif isinstance(record, ClusterRecord):
            self._follow_cluster(record, is_there=new is not None)

    def attribute_names(self) -> frozenset[str]:
        """Return what some host can be asked for: facts and labels; the same object as long as none comes or goes."""
        if self._all_names is None:
            self._all_names = frozenset().union(*self._hosts_with)
        return self._all_names

    @contextmanager
    def without(self, vm_id: VmId) -> Iterator[Fleet]:
        """Give the fleet as it were without one VM, while the block lasts."""
        taken = self._taken.get(vm_id, {})
        for host_id, load in taken.items():
            self.fleet.give_back(host_id, load)
        try:
            yield self.fleet
        finally:
            for host_id, load in taken.items():
                self.fleet.take(host_id, load)

    def _follow_host(self, host_id: HostId, old: Host | None, new: Host | None) -> None:
        self._follow_images(host_id, old, new)
        if new is None:
            self._hosts.pop(host_id, None)
            self.fleet.drop(host_id)
            self._follow_names(host_id, ())
            return
        self._hosts[host_id] = new
        view = view_of(new, self._clusters.get(new.cluster_id))
        self.fleet.put(view)
        self._follow_names(host_id, view.attributes)
        if old is None:
            # One that was deleted in this turn and is taken back finds its VMs again.
            for taken in self._taken.values():
                if host_id in taken:
                    self.fleet.take(host_id, taken[host_id])

    def _follow_names(self, host_id: HostId, names: Iterable[str]) -> None:
        before, now = self._names.pop(host_id, frozenset()), frozenset(names)
        if now:
            self._names[host_id] = before if now == before else now
        if now == before:
            return
        if before:
            self._hosts_with[before] -= 1
            if not self._hosts_with[before]:
                del self._hosts_with[before]
                self._all_names = None
        if now:
            self._all_names = self._all_names if now in self._hosts_with else None
            self._hosts_with[now] = self._hosts_with.get(now, 0) + 1

    def _follow_images(self, host_id: HostId, old: Host | None, new: Host | None) -> None:
        had = old.advertisement.images if old is not None else ()
        has = new.advertisement.images if new is not None else ()
        if had is has:
            return
        for digest in set(had).difference(has):
            those = self.holders.get(digest, {})
            those.pop(host_id, None)
            if not those:
                self.holders.pop(digest, None)
        for digest in set(has).difference(had):
            self.holders.setdefault(digest, {})[host_id] = None

    def _follow_cluster(self, record: ClusterRecord, *, is_there: bool) -> None:
        if is_there:
            self._clusters[record.cluster_id] = record
        else:
            self._clusters.pop(record.cluster_id, None)
        for host in self._hosts.values():
            if host.cluster_id == record.cluster_id:
                self.fleet.put(view_of(host, self._clusters.get(record.cluster_id)))

    def _follow_vm(self, old: VmRecord | None, new: VmRecord | None) -> None:
        hosts = claims(new) if new is not None else ()
        is_same = old is not None and new is not None and _takes_the_same(old, new)
        if is_same and hosts == tuple(self._taken.get(new.vm_id, ())):  # type: ignore[union-attr]  # is_same says so
            return
        self._set(new if new is not None else old, hosts)  # type: ignore[arg-type]  # one of them is a record

    def _set(self, vm: VmRecord, hosts: tuple[HostId, ...]) -> None:
        for host_id, load in self._taken.pop(vm.vm_id, {}).items():
            self.fleet.give_back(host_id, load)
        if hosts:
            taken = self._taken[vm.vm_id] = {host_id: load_of(vm, host_id) for host_id in hosts}
            for host_id, load in taken.items():
                self.fleet.take(host_id, load)


def _takes_the_same(old: VmRecord, new: VmRecord) -> bool:
    return old.spec is new.spec and old.wishes is new.wishes and old.leaving is new.leaving and old.owner == new.owner
