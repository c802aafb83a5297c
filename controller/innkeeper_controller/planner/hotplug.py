"""Compiles changes of a VM that stays: disks and NICs that come and go, snapshots, sizes."""

from collections.abc import Iterable

import msgspec

from innkeeper_controller.planner.deploy import fetches, make_disk
from innkeeper_controller.planner.drafts import Draft, by_hypervisor, by_transfer
from innkeeper_controller.planner.images import save_of
from innkeeper_controller.records import Host, Plan, VmRecord, VmSnapshot
from innkeeper_plugins.steps import (
    AttachDisk,
    AttachNic,
    Delete,
    DetachDisk,
    DetachNic,
    DiskSnapshotCreate,
    DiskSnapshotDelete,
    DiskSnapshotRevert,
    GrowDisk,
    Resize,
    ResizeDisk,
    SnapshotCreate,
    SnapshotDelete,
    SnapshotRevert,
    Step,
)
from innkeeper_plugins.vocabulary import Boot, Holder, Vm, VmState


def attach_disk(vm: VmRecord, host: Host, disk_id: int, holders: dict[str, tuple[Holder, ...]]) -> Plan:
    """Compile what gives the VM a disk that its specification has already.

    Raises:
        CannotPlanError: its image is out of reach.
    """
    disk = vm.spec.disk(disk_id)
    steps = fetches(_only(vm, disk_id), host, holders, vm.state)
    steps.append(make_disk(disk, vm.state))
    if vm.state is VmState.RUNNING:
        steps.append(AttachDisk(**by_hypervisor(vm.spec, vm.state), disk_id=disk_id))
    return _plan(vm, host, steps)


def _only(vm: VmRecord, disk_id: int) -> Vm:
    return msgspec.structs.replace(vm.spec, disks=(vm.spec.disk(disk_id),), boot=Boot())


def detach_disk(vm: VmRecord, host: Host, disk_id: int) -> Plan:
    """Compile what takes a disk from the VM and deletes it; a persistent one becomes its image again before."""
    disk = vm.spec.disk(disk_id)
    steps: list[Step] = []
    if vm.state is VmState.RUNNING:
        steps.append(DetachDisk(**by_hypervisor(vm.spec, vm.state), disk_id=disk_id))
    steps += save_of(disk, vm.state)
    steps.append(Delete(**by_transfer(disk, vm.state)))
    return _plan(vm, host, steps)


def attach_nic(vm: VmRecord, host: Host, nic_id: int) -> Plan:
    """Compile what gives a running guest a network card; one that is off finds it when it boots."""
    if vm.state is not VmState.RUNNING:
        return Plan(legs=())
    step = AttachNic(**by_hypervisor(vm.spec, vm.state), nic_id=nic_id)
    return _plan(vm, host, [step])


def detach_nic(vm: VmRecord, host: Host, nic_id: int) -> Plan:
    """Compile what takes a network card from a running guest."""
    if vm.state is not VmState.RUNNING:
        return Plan(legs=())
    step = DetachNic(**by_hypervisor(vm.spec, vm.state), nic_id=nic_id)
    return _plan(vm, host, [step])


def snapshot_create(vm: VmRecord, host: Host, snapshot_id: int, name: str) -> Plan:
    """Compile what keeps the guest as it is now."""
    common = by_hypervisor(vm.spec, vm.state)
    return _plan(vm, host, [SnapshotCreate(**common, snapshot_id=snapshot_id, name=name)])


def snapshot_revert(vm: VmRecord, host: Host, snapshot: VmSnapshot) -> Plan:
    """Compile what brings the guest back to a snapshot."""
    return _snapshot(vm, host, SnapshotRevert, snapshot)


def snapshot_delete(vm: VmRecord, host: Host, snapshot: VmSnapshot) -> Plan:
    """Compile what drops a snapshot."""
    return _snapshot(vm, host, SnapshotDelete, snapshot)


def _snapshot(
    vm: VmRecord, host: Host, verb: type[SnapshotRevert] | type[SnapshotDelete], snapshot: VmSnapshot
) -> Plan:
    common = by_hypervisor(vm.spec, vm.state)
    return _plan(vm, host, [verb(**common, snapshot_id=snapshot.snapshot_id, hypervisor_id=snapshot.hypervisor_id)])


DiskSnapshotStep = type[DiskSnapshotCreate] | type[DiskSnapshotRevert] | type[DiskSnapshotDelete]


def disk_snapshot(vm: VmRecord, host: Host, verb: DiskSnapshotStep, disk_id: int, snapshot_id: int) -> Plan:
    """Compile one step about a snapshot of a disk."""
    common = by_transfer(vm.spec.disk(disk_id), vm.state)
    return _plan(vm, host, [verb(**common, snapshot_id=snapshot_id)])


def disk_resize(vm: VmRecord, host: Host, disk_id: int, size_bytes: int) -> Plan:
    """Compile what makes a disk larger, while the guest runs or at rest."""
    if vm.state is VmState.RUNNING:
        common = by_hypervisor(vm.spec, vm.state)
        grow = GrowDisk(**common, disk_id=disk_id, size_bytes=size_bytes)
        return _plan(vm, host, [grow])
    common = by_transfer(vm.spec.disk(disk_id), vm.state)
    return _plan(vm, host, [ResizeDisk(**common, size_bytes=size_bytes)])


def resize(vm: VmRecord, host: Host) -> Plan:
    """Compile what gives a running guest the processors and the memory that its specification has."""
    spec = vm.spec
    common = by_hypervisor(spec, vm.state)
    return _plan(vm, host, [Resize(**common, vcpus=spec.vcpus, memory_mib=spec.memory_mib)])


def _plan(vm: VmRecord, host: Host, steps: Iterable[Step]) -> Plan:
    draft = Draft(vm.spec)
    draft.leg(host, steps)
    return draft.plan
