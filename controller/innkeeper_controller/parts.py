"""What a VM has once an operation about a part of it has ended: disks, NICs, snapshots, sizes, images of its disks.

It starts nothing. What comes to a VM is in its specification from the start of the operation, so that it counts from
then on, and goes again when it was taken back; what leaves a VM is in it until the operation is done.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from innkeeper_controller import images
from innkeeper_controller.records import DiskSnapshot, Leg, Operation, OperationKind, VmRecord, VmSnapshot
from innkeeper_controller.templates.context import expand
from innkeeper_controller.turn import Turn
from innkeeper_plugins.steps import SaveImage
from innkeeper_plugins.vocabulary import Disk, ImageId, Outcome

_replace = msgspec.structs.replace

#: Variables that are made of NICs.
_ADDRESS: Final = re.compile(r"ETH[0-9]+_[A-Z0-9_]+")

Outcomes = dict[int, Outcome]
After = Callable[[Turn, VmRecord, Operation, Outcomes], VmRecord]


def when_done(turn: Turn, vm: VmRecord, operation: Operation, outcomes: Outcomes) -> VmRecord:
    """Return what the VM has now that the operation is done; the caller puts it."""
    after = _DONE.get(operation.kind)
    return after(turn, vm, operation, outcomes) if after is not None else vm


def when_taken_back(turn: Turn, vm: VmRecord, operation: Operation) -> VmRecord:
    """Return what the VM has now that the operation was taken back; the caller puts it."""
    after = _TAKEN_BACK.get(operation.kind)
    return after(turn, vm, operation, {}) if after is not None else vm


def when_failed(turn: Turn, operation: Operation) -> None:
    """Let go of what only the operation was to fill, however it failed."""
    image_id = ImageId(operation.part.image_id)
    if operation.kind is OperationKind.DISK_SAVEAS and image_id in turn.cluster.images:
        why = operation.error.message if operation.error is not None else "It was cancelled."
        images.fail(turn, image_id, why)


def take_images(turn: Turn, operation: Operation, leg: Leg, outcomes: Outcomes) -> None:
    """Let the disks that a leg has saved be the content of their images."""
    for step in leg.steps:
        outcome = outcomes.get(step.step_id)
        if not isinstance(step, SaveImage) or outcome is None or not outcome.ok:
            continue
        if step.image_id in turn.cluster.images:
            images.fill(turn, step.image_id, outcome.result, leg.host_id, operation_id=operation.operation_id)


def _without_disk(turn: Turn, vm: VmRecord, operation: Operation, _outcomes: Outcomes) -> VmRecord:
    gone = operation.part.disk_id
    spec = _replace(vm.spec, disks=tuple(each for each in vm.spec.disks if each.disk_id != gone))
    turn.event("vm.disk_gone", operation.subject, operation_id=operation.operation_id, disk_id=gone)
    return _replace(vm, spec=spec, disk_snapshots=tuple(each for each in vm.disk_snapshots if each.disk_id != gone))


def _without_nic(turn: Turn, vm: VmRecord, operation: Operation, _outcomes: Outcomes) -> VmRecord:
    gone = operation.part.nic_id
    for lease_id in sorted(turn.cluster.leases_of.get(vm.vm_id, ())):
        if turn.cluster.leases[lease_id].nic_id == gone:
            turn.drop(turn.cluster.leases[lease_id])
    spec = _replace(vm.spec, nics=tuple(each for each in vm.spec.nics if each.nic_id != gone))
    turn.event("vm.nic_gone", operation.subject, operation_id=operation.operation_id, nic_id=gone)
    return _with_addresses(_replace(vm, spec=spec))


def _with_nic(_turn: Turn, vm: VmRecord, _operation: Operation, _outcomes: Outcomes) -> VmRecord:
    return _with_addresses(vm)


def _with_addresses(vm: VmRecord) -> VmRecord:
    """Return the VM with the addresses in its context that its NICs have now; its guest sees them at the next boot."""
    context = vm.spec.context
    network = {name: value for name, value in context.items() if name == "NETWORK"}
    fresh = expand(network, vm.spec, {})
    kept = {name: value for name, value in context.items() if not _ADDRESS.fullmatch(name)}
    if not context or ({**fresh, **kept}) == context or len(fresh) == len(network):
        return vm
    return _replace(vm, spec=_replace(vm.spec, context={**fresh, **kept}), context_changed=True)


def _with_snapshot(turn: Turn, vm: VmRecord, operation: Operation, outcomes: Outcomes) -> VmRecord:
    told = [str(each.result["hypervisor_id"]) for each in outcomes.values() if "hypervisor_id" in each.result]
    made = VmSnapshot(
        snapshot_id=operation.part.snapshot_id,
        name=operation.part.name,
        at_s=turn.now_s,
        hypervisor_id=told[-1] if told else "",
        active=True,
    )
    return _replace(vm, snapshots=(*(_replace(each, active=False) for each in vm.snapshots), made))


def _at_snapshot(_turn: Turn, vm: VmRecord, operation: Operation, _outcomes: Outcomes) -> VmRecord:
    now = operation.part.snapshot_id
    return _replace(vm, snapshots=tuple(_replace(each, active=each.snapshot_id == now) for each in vm.snapshots))


def _without_snapshot(_turn: Turn, vm: VmRecord, operation: Operation, _outcomes: Outcomes) -> VmRecord:
    gone = operation.part.snapshot_id
    return _replace(vm, snapshots=tuple(each for each in vm.snapshots if each.snapshot_id != gone))


def _with_disk_snapshot(turn: Turn, vm: VmRecord, operation: Operation, _outcomes: Outcomes) -> VmRecord:
    part = operation.part
    parents = [each.snapshot_id for each in vm.disk_snapshots if each.disk_id == part.disk_id and each.active]
    made = DiskSnapshot(
        disk_id=part.disk_id,
        snapshot_id=part.snapshot_id,
        name=part.name,
        at_s=turn.now_s,
        parent_id=parents[0] if parents else -1,
        size_bytes=vm.spec.disk(part.disk_id).size_bytes,
        active=True,
    )
    return _replace(vm, disk_snapshots=(*_of_disk(vm, part.disk_id, active=-1), made))


def _at_disk_snapshot(_turn: Turn, vm: VmRecord, operation: Operation, _outcomes: Outcomes) -> VmRecord:
    part = operation.part
    (snapshot,) = [
        each for each in vm.disk_snapshots if (each.disk_id, each.snapshot_id) == (part.disk_id, part.snapshot_id)
    ]
    vm = _replace(vm, disk_snapshots=_of_disk(vm, part.disk_id, active=part.snapshot_id))
    return _resized(vm, part.disk_id, snapshot.size_bytes)


def _without_disk_snapshot(_turn: Turn, vm: VmRecord, operation: Operation, _outcomes: Outcomes) -> VmRecord:
    part = operation.part
    parents = {each.snapshot_id: each.parent_id for each in vm.disk_snapshots if each.disk_id == part.disk_id}
    kept = []
    for each in vm.disk_snapshots:
        if each.disk_id != part.disk_id:
            kept.append(each)
        elif each.snapshot_id != part.snapshot_id:
            is_child = each.parent_id == part.snapshot_id
            kept.append(_replace(each, parent_id=parents.get(part.snapshot_id, -1)) if is_child else each)
    return _replace(vm, disk_snapshots=tuple(kept))


def _of_disk(vm: VmRecord, disk_id: int, *, active: int) -> tuple[DiskSnapshot, ...]:
    return tuple(
        _replace(each, active=each.snapshot_id == active) if each.disk_id == disk_id else each
        for each in vm.disk_snapshots
    )


def _of_old_size(_turn: Turn, vm: VmRecord, operation: Operation, _outcomes: Outcomes) -> VmRecord:
    before = operation.part.before
    return (
        vm if before is None else _resized(vm, operation.part.disk_id, before.disk(operation.part.disk_id).size_bytes)
    )


def _resized(vm: VmRecord, disk_id: int, size_bytes: int) -> VmRecord:
    def sized(disk: Disk) -> Disk:
        return _replace(disk, size_bytes=size_bytes) if disk.disk_id == disk_id else disk

    return _replace(vm, spec=_replace(vm.spec, disks=tuple(map(sized, vm.spec.disks))))


def _of_old_share(_turn: Turn, vm: VmRecord, operation: Operation, _outcomes: Outcomes) -> VmRecord:
    before = operation.part.before
    if before is None:
        return vm
    spec = _replace(vm.spec, cpu_cores=before.cpu_cores, vcpus=before.vcpus, memory_mib=before.memory_mib)
    return _replace(vm, spec=_replace(spec, topology=before.topology))


def _bare(_turn: Turn, vm: VmRecord, _operation: Operation, _outcomes: Outcomes) -> VmRecord:
    return _replace(vm, snapshots=(), disk_snapshots=(), deploy_id="", context_changed=False)


_DONE: Final[dict[OperationKind, After]] = {
    OperationKind.RECREATE: _bare,
    OperationKind.DETACH_DISK: _without_disk,
    OperationKind.ATTACH_NIC: _with_nic,
    OperationKind.DETACH_NIC: _without_nic,
    OperationKind.SNAPSHOT_CREATE: _with_snapshot,
    OperationKind.SNAPSHOT_REVERT: _at_snapshot,
    OperationKind.SNAPSHOT_DELETE: _without_snapshot,
    OperationKind.DISK_SNAPSHOT_CREATE: _with_disk_snapshot,
    OperationKind.DISK_SNAPSHOT_REVERT: _at_disk_snapshot,
    OperationKind.DISK_SNAPSHOT_DELETE: _without_disk_snapshot,
}
_TAKEN_BACK: Final[dict[OperationKind, After]] = {
    OperationKind.ATTACH_DISK: _without_disk,
    OperationKind.ATTACH_NIC: _without_nic,
    OperationKind.DISK_RESIZE: _of_old_size,
    OperationKind.RESIZE: _of_old_share,
}
