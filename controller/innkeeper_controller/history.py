"""What a VM's change means for its history: the stays on hosts, with when each part of them began and ended.

A function of values: it stores nothing, and reads no clock.

The law:
1. A VM has at most one stay that has not ended, and that is on the host that the VM is on.
2. A guest that goes on after it was off or saved, or that gets another share of its host, begins a new stay there,
   so that what ran for how long with how much can be read from each stay alone.
"""

from typing import Any, Final

import msgspec

from innkeeper_controller.records import HistoryRecord, Host, Moment, Operation, OperationKind, VmRecord
from innkeeper_controller.units import MIB
from innkeeper_controller.usage import disks_bytes
from innkeeper_plugins.vocabulary import HostId, VmId, VmState

_replace = msgspec.structs.replace

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
    values = _description(vm, operation, is_over=stay is not None and stay.running_ended_s is not None)
    if stay is None:
        return (*ended, _opened(last, vm.vm_id, host_id, host, now_s, values | _begun(section, now_s)))
    marked = _replace(stay, **values, **_marks(stay, section, now_s))
    return (marked,) if marked != stay else ()


def _opened(  # noqa: PLR0917 - called at one place
    last: HistoryRecord | None, vm_id: VmId, host_id: HostId, host: Host | None, now_s: Moment, values: dict[str, Any]
) -> HistoryRecord:
    return HistoryRecord(
        vm_id=vm_id,
        seq=0 if last is None else last.seq + 1,
        host_id=host_id,
        host_name=host.name if host is not None else f"host {host_id}",
        cluster_id=host.cluster_id if host is not None else 0,
        began_at_s=now_s,
        **values,
    )


def _begun(section: str, now_s: Moment) -> dict[str, Any]:
    return {f"{section}_began_s": now_s} if section else {}


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


def _description(vm: VmRecord, operation: Operation | None, *, is_over: bool) -> dict[str, Any]:
    """Return whose a stay is, what it takes (what it took, where it is over), and what was last begun in it."""
    spec, attributes = vm.spec, vm.attributes
    values: dict[str, Any] = {}
    if not is_over:
        values = {
            "hypervisor": spec.hypervisor,
            "transfer": spec.driver,
            "datastore": spec.datastore,
            "owner": vm.owner,
            "group": vm.group,
            "vm_name": vm.name,
            "cpu_cores": spec.cpu_cores,
            "vcpus": spec.vcpus,
            "memory_mib": spec.memory_mib,
            "disks_mib": disks_bytes(spec) // MIB,
            "cpu_cost": _cost(attributes, "CPU_COST"),
            "memory_cost": _cost(attributes, "MEMORY_COST"),
            "disk_cost": _cost(attributes, "DISK_COST"),
        }
    if operation is not None:
        values |= {"action": operation.kind.value, "actor": operation.actor, "request_id": operation.request_id}
    return values


def _cost(attributes: dict[str, str], name: str) -> float:
    if name not in attributes:
        return 0.0
    try:
        cost = float(attributes[name])
    except ValueError:
        return 0.0
    return cost if 0.0 <= cost < float("inf") else 0.0


#: ``(part of a stay, the fields of when it began and ended)``
_PARTS: Final = tuple((name, f"{name}_began_s", f"{name}_ended_s") for name in ("prolog", "running", "epilog"))


def _marks(stay: HistoryRecord, section: str, now_s: Moment) -> dict[str, Any]:
    """Return the moments that a stay has from now on; parts that go on have no end."""
    marks: dict[str, Any] = {}
    for name, begin, end in _PARTS:
        began, ended = getattr(stay, begin), getattr(stay, end)
        if name == section:
            marks |= {begin: now_s if began is None else began, end: None}
        elif began is not None and ended is None:
            marks[end] = now_s
    return marks


def _closed(stay: HistoryRecord, now_s: Moment) -> HistoryRecord:
    return _replace(stay, ended_at_s=now_s, **_marks(stay, "", now_s))
