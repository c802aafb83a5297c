"""What a VM's change means for its history: the stays on hosts, with when each part of them began and ended.

A function of values: it stores nothing, and reads no clock.

The law:
1. A VM has at most one stay that has not ended, and that is on the host that the VM is on.
2. A guest that goes on after it was off or saved, or that gets another share of its host, begins a new stay there,
   so that what ran for how long with how much can be read from each stay alone.
"""

from typing import Final

import msgspec

from innkeeper_controller.records import HistoryRecord, Host, Moment, Operation, OperationKind, VmRecord
from innkeeper_plugins.vocabulary import DiskKind, VmState

_replace = msgspec.structs.replace

MIB: Final = 1024 * 1024
#: ``{state: the part of a stay that it belongs to}``; nothing is done in the others.
_SECTIONS: Final = {
    VmState.PROLOG: "prolog",
    VmState.BOOT: "running",
    VmState.RUNNING: "running",
    VmState.UNKNOWN: "running",
    VmState.SAVE: "running",
    VmState.EPILOG: "epilog",
}
#: States of a cold migration in which the guest still runs where it was.
_NOT_LEFT_YET: Final = frozenset({VmState.RUNNING, VmState.SAVE})


def follow(
    last: HistoryRecord | None, vm: VmRecord, *, operation: Operation | None, host: Host | None, now_s: Moment
) -> tuple[HistoryRecord, ...]:
    """Return the stays that are new or have changed, in the order of their numbers.

    Args:
        last: The VM's last stay, if it has had any.
        vm: The VM as it is from now on.
        operation: The one that it is busy with, or the one that has just ended.
        host: The host that it is on; None for none, and for one that was deleted.
        now_s: The moment of the change.
    """
    section = _section(vm, operation)
    now_s = max(now_s, _latest(last)) if last is not None else now_s
    host_id = None if vm.state is VmState.DONE else vm.host_id
    stay = last if last is not None and last.ended_at_s is None else None
    ended: tuple[HistoryRecord, ...] = ()
    if stay is not None and (stay.host_id != host_id or _is_new_share(stay, vm, section)):
        ended, stay = (_closed(stay, now_s),), None
    if host_id is None:
        return ended
    if stay is None:
        name = host.name if host is not None else f"host {host_id}"
        seq = 0 if last is None else last.seq + 1
        stay = HistoryRecord(vm_id=vm.vm_id, seq=seq, host_id=host_id, host_name=name, began_at_s=now_s)
        stay = _replace(stay, cluster_id=host.cluster_id if host is not None else 0)
    marked = _marked(_described(stay, vm, operation), section, now_s)
    return (*ended, marked) if marked != last else ended


#: Moments of a stay.
_MOMENTS: Final = tuple(name for name in HistoryRecord.__struct_fields__ if name.endswith("_s"))


def _latest(stay: HistoryRecord) -> Moment:
    """Return the latest moment of a stay: a clock that was set back breaks no order."""
    moments: list[Moment | None] = [getattr(stay, name) for name in _MOMENTS]
    return max(moment for moment in moments if moment is not None)


def _section(vm: VmRecord, operation: Operation | None) -> str:
    """Return what part of its stay the VM is in; empty for none."""
    if vm.operation_id is None or operation is None:
        return _SECTIONS.get(vm.state, "")
    if operation.kind is OperationKind.MIGRATE_LIVE:
        return "running"
    ran = operation.origin in {VmState.RUNNING, VmState.UNKNOWN}
    if vm.state is VmState.SHUTDOWN:
        return "running" if ran else ""
    if operation.kind is OperationKind.MIGRATE:
        return "running" if vm.state in _NOT_LEFT_YET else ""
    return _SECTIONS.get(vm.state, "")


def _is_new_share(stay: HistoryRecord, vm: VmRecord, section: str) -> bool:
    if section != "running" or stay.running_began_s is None:
        return False
    share = (vm.spec.cpu_cores, vm.spec.vcpus, vm.spec.memory_mib)
    return stay.running_ended_s is not None or share != (stay.cpu_cores, stay.vcpus, stay.memory_mib)


def _described(stay: HistoryRecord, vm: VmRecord, operation: Operation | None) -> HistoryRecord:
    """Return the stay with whose it is, what it takes, and what was last begun in it."""
    spec = vm.spec
    if stay.running_ended_s is None:
        stay = _replace(
            stay,
            hypervisor=spec.hypervisor,
            transfer=spec.driver,
            datastore=spec.datastore,
            owner=vm.owner,
            group=vm.group,
            vm_name=vm.name,
            cpu_cores=spec.cpu_cores,
            vcpus=spec.vcpus,
            memory_mib=spec.memory_mib,
            disks_mib=sum(disk.size_bytes for disk in spec.disks if disk.kind is not DiskKind.CDROM) // MIB,
            cpu_cost=_cost(vm, "CPU_COST"),
            memory_cost=_cost(vm, "MEMORY_COST"),
            disk_cost=_cost(vm, "DISK_COST"),
        )
    if operation is None:
        return stay
    return _replace(stay, action=operation.kind.value, actor=operation.actor, request_id=operation.request_id)


def _cost(vm: VmRecord, name: str) -> float:
    try:
        cost = float(vm.attributes.get(name, "0"))
    except ValueError:
        return 0.0
    return cost if 0.0 <= cost < float("inf") else 0.0


def _marked(stay: HistoryRecord, section: str, now_s: Moment) -> HistoryRecord:
    marks: dict[str, Moment | None] = {}
    for name in ("prolog", "running", "epilog"):
        began, ended = getattr(stay, f"{name}_began_s"), getattr(stay, f"{name}_ended_s")
        if name == section:
            marks |= {f"{name}_began_s": now_s if began is None else began, f"{name}_ended_s": None}
        elif began is not None and ended is None:
            marks[f"{name}_ended_s"] = now_s
    return _replace(stay, **marks)


def _closed(stay: HistoryRecord, now_s: Moment) -> HistoryRecord:
    return _replace(_marked(stay, "", now_s), ended_at_s=now_s)
