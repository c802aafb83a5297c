"""What the order of the queue is made of, counted from the VMs' records as they change.

It decides nothing; because it is derived from the records and from nothing else, a restart finds it as it was.
What was used before is all that is forgotten with VMs that are gone, see ``queueing``.
"""

import heapq
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from innkeeper_controller.lifecycle import HOLDS_CAPACITY
from innkeeper_controller.records import Moment, Record, VmRecord
from innkeeper_controller.scheduling.order.fair_shares import FairShares, Party
from innkeeper_controller.scheduling.order.queue import GangKey, Waiting, gang_of
from innkeeper_plugins.vocabulary import VmId, VmState

#: Deadlines that may lie about, beside those of VMs that wait, before they are swept.
_STALE: Final = 1024
_CORE_DIGITS: Final = 6

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(slots=True)
class QueueIndex:
    """Who waits, and who has what on hosts; read freely, changed by ``apply`` alone."""

    waiting: dict[VmId, Waiting] = field(default_factory=dict)
    #: ``{gang: its members that wait}``
    gangs: dict[GangKey, dict[VmId, None]] = field(default_factory=dict)
    #: ``{gang: how many of it are on hosts}``
    gangs_on_hosts: dict[GangKey, int] = field(default_factory=dict)
    #: ``{user: VMs on hosts}``
    on_hosts: dict[str, int] = field(default_factory=dict)
    #: ``{(user, group): cores that they hold on hosts}``
    cores: dict[Party, float] = field(default_factory=dict)
    #: Heaps of VMs that wait, by the end of their own time, and by when they began where they have none.
    #: Those that do not wait any more, or began anew, are passed over.
    deadlines: list[tuple[Moment, VmId]] = field(default_factory=list, compare=False)
    arrivals: list[tuple[Moment, VmId]] = field(default_factory=list, compare=False)
    #: What everybody used of late; None until somebody asks. Kept by ``queueing``.
    shares: FairShares | None = field(default=None, compare=False)

    def apply(self, old: Record | None, new: Record | None) -> None:
        """Follow one record's change."""
        if not isinstance(new if new is not None else old, VmRecord):
            return
        before, after = (each if isinstance(each, VmRecord) else None for each in (old, new))
        self._follow_waiting(before, after)
        if _holding(before) != _holding(after):
            self._count(before, -1)
            self._count(after, 1)

    def _follow_waiting(self, old: VmRecord | None, new: VmRecord | None) -> None:
        was = _waiting(old) if old is not None and old.state is VmState.PENDING else None
        now = _waiting(new) if new is not None and new.state is VmState.PENDING else None
        if was == now:
            return
        if was is not None and now is None:
            self.waiting.pop(was.vm_id, None)
        if was is not None and (key := gang_of(was)) is not None and (now is None or gang_of(now) != key):
            members = self.gangs[key]
            members.pop(was.vm_id, None)
            if not members:
                del self.gangs[key]
        if now is not None:
            self.waiting[now.vm_id] = now
            if (key := gang_of(now)) is not None:
                self.gangs.setdefault(key, {})[now.vm_id] = None
            if was is None or (was.since_s, was.timeout_s) != (now.since_s, now.timeout_s):
                self._note_deadline(now)

    def _note_deadline(self, now: Waiting) -> None:
        if now.timeout_s is None:
            heapq.heappush(self.arrivals, (now.since_s, now.vm_id))
        else:
            heapq.heappush(self.deadlines, (now.since_s + now.timeout_s, now.vm_id))
        if len(self.arrivals) + len(self.deadlines) > 2 * len(self.waiting) + _STALE:
            self._sweep()

    def _sweep(self) -> None:
        """Drop what does not count any more."""
        everybody = self.waiting.values()
        self.arrivals = [(each.since_s, each.vm_id) for each in everybody if each.timeout_s is None]
        self.deadlines = [
            (each.since_s + each.timeout_s, each.vm_id) for each in everybody if each.timeout_s is not None
        ]
        heapq.heapify(self.arrivals)
        heapq.heapify(self.deadlines)

    def _count(self, vm: VmRecord | None, sign: int) -> None:
        if vm is None or not _is_on_host(vm):
            return
        _add(self.on_hosts, vm.owner, sign)
        if vm.wishes.gang is not None:
            _add(self.gangs_on_hosts, (vm.owner, vm.wishes.gang.name), sign)
        party = (vm.owner, vm.group)
        cores = round(self.cores.get(party, 0.0) + sign * vm.spec.cpu_cores, _CORE_DIGITS)
        if cores:
            self.cores[party] = cores
        else:
            self.cores.pop(party, None)


def _add(counts: dict[_Key, int], key: _Key, sign: int) -> None:
    left = counts.get(key, 0) + sign
    if left:
        counts[key] = left
    else:
        counts.pop(key, None)


def _waiting(vm: VmRecord) -> Waiting:
    wishes = vm.wishes
    return Waiting(
        vm_id=vm.vm_id,
        owner=vm.owner,
        group=vm.group,
        priority=wishes.priority,
        since_s=vm.since_s,
        gang=wishes.gang,
        timeout_s=wishes.pending_timeout_s,
    )


def _is_on_host(vm: VmRecord) -> bool:
    return vm.host_id is not None and vm.state in HOLDS_CAPACITY


def _holding(vm: VmRecord | None) -> tuple[object, ...] | None:
    """Return all that is counted of a VM on a host; None for one that is on none."""
    if vm is None or not _is_on_host(vm):
        return None
    return vm.owner, vm.group, vm.spec.cpu_cores, vm.wishes.gang
