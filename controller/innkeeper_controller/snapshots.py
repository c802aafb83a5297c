"""Keeps guests and disks as they are at a moment, and brings them back; saves disks as images."""

import msgspec

from innkeeper_controller import changes, images, operations, planner
from innkeeper_controller.placement import claims
from innkeeper_controller.planner.hotplug import DiskSnapshotStep
from innkeeper_controller.records import DiskSnapshot, Host, OperationKind, Part, VmRecord, VmSnapshot
from innkeeper_controller.requests import find
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.steps import DiskSnapshotCreate, DiskSnapshotDelete, DiskSnapshotRevert
from innkeeper_plugins.vocabulary import DiskKind, ImageId, VmState

_replace = msgspec.structs.replace

#: Snapshots that a VM has at most, of its disks too.
MAX_SNAPSHOTS = 256


def create(turn: Turn, vm: VmRecord, name: str) -> int:
    """Keep the running guest as it is, and return the snapshot's number.

    Raises:
        RefusalError: ``busy``, ``wrong_state`` or ``bad_request``.
    """
    host = changes.home_for(turn, vm, OperationKind.SNAPSHOT_CREATE, "snapshot")
    claims.check_savable(vm, "kept as it is")
    _check_count(vm)
    vm, number = changes.next_number(vm, "snapshot", tuple(each.snapshot_id for each in vm.snapshots))
    name = _name(name, number)
    plan = planner.snapshot_create(vm, host, number, name)
    operations.start(turn, vm, OperationKind.SNAPSHOT_CREATE, plan, part=Part(snapshot_id=number, name=name))
    return number


def revert(turn: Turn, vm: VmRecord, snapshot_id: int) -> None:
    """Bring the guest back to a snapshot.

    Raises:
        RefusalError: ``busy``, ``wrong_state`` or ``not_found``.
    """
    host = changes.home_for(turn, vm, OperationKind.SNAPSHOT_REVERT, "snapshot")
    plan = planner.snapshot_revert(vm, host, _snapshot_of(vm, snapshot_id))
    operations.start(turn, vm, OperationKind.SNAPSHOT_REVERT, plan, part=Part(snapshot_id=snapshot_id))


def delete(turn: Turn, vm: VmRecord, snapshot_id: int) -> None:
    """Drop a snapshot of the guest.

    Raises:
        RefusalError: ``busy``, ``wrong_state`` or ``not_found``.
    """
    host = changes.home_for(turn, vm, OperationKind.SNAPSHOT_DELETE, "snapshot")
    plan = planner.snapshot_delete(vm, host, _snapshot_of(vm, snapshot_id))
    operations.start(turn, vm, OperationKind.SNAPSHOT_DELETE, plan, part=Part(snapshot_id=snapshot_id))


def disk_create(turn: Turn, vm: VmRecord, disk_id: int, name: str) -> int:
    """Keep a disk's content, and return the snapshot's number.

    Raises:
        RefusalError: ``busy``, ``wrong_state``, ``not_found`` or ``bad_request``.
    """
    kind = OperationKind.DISK_SNAPSHOT_CREATE
    host = _home_of_disk(turn, vm, kind, disk_id)
    _check_count(vm)
    present = tuple(each.snapshot_id for each in vm.disk_snapshots if each.disk_id == disk_id)
    vm, number = changes.next_number(vm, f"disk.{disk_id}", present)
    plan = planner.disk_snapshot(vm, host, DiskSnapshotCreate, disk_id, number)
    part = Part(disk_id=disk_id, snapshot_id=number, name=_name(name, number))
    operations.start(turn, vm, kind, plan, part=part)
    return number


def disk_revert(turn: Turn, vm: VmRecord, disk_id: int, snapshot_id: int) -> None:
    """Bring a disk's content back to a snapshot.

    Raises:
        RefusalError: ``busy``, ``wrong_state`` or ``not_found``.
    """
    _on_disk_snapshot(turn, vm, OperationKind.DISK_SNAPSHOT_REVERT, DiskSnapshotRevert, disk_id, snapshot_id)


def disk_delete(turn: Turn, vm: VmRecord, disk_id: int, snapshot_id: int) -> None:
    """Drop a snapshot of a disk.

    Raises:
        RefusalError: ``busy``, ``wrong_state`` or ``not_found``.
    """
    _on_disk_snapshot(turn, vm, OperationKind.DISK_SNAPSHOT_DELETE, DiskSnapshotDelete, disk_id, snapshot_id)


def _on_disk_snapshot(  # noqa: PLR0917 - one row of a table of two
    turn: Turn, vm: VmRecord, kind: OperationKind, verb: DiskSnapshotStep, disk_id: int, snapshot_id: int
) -> None:
    host = _home_of_disk(turn, vm, kind, disk_id)
    disk_snapshot_of(vm, disk_id, snapshot_id)
    plan = planner.disk_snapshot(vm, host, verb, disk_id, snapshot_id)
    operations.start(turn, vm, kind, plan, part=Part(disk_id=disk_id, snapshot_id=snapshot_id))


def disk_rename(turn: Turn, vm: VmRecord, disk_id: int, snapshot_id: int, name: str) -> None:
    """Give a snapshot of a disk another name.

    Raises:
        RefusalError: ``not_found`` or ``bad_request``.
    """
    snapshot = disk_snapshot_of(vm, disk_id, snapshot_id)
    find.check_name("snapshot", name)
    renamed = tuple(_replace(each, name=name) if each == snapshot else each for each in vm.disk_snapshots)
    turn.put(_replace(vm, disk_snapshots=renamed))


def saveas(
    turn: Turn, vm: VmRecord, disk_id: int, name: str, *, image_type: str = "", snapshot_id: int = -1
) -> ImageId:
    """Save a disk at rest as a new image, and return the image's number.

    Raises:
        RefusalError: ``busy``, ``wrong_state``, ``not_found``, ``bad_request``, ``name_taken`` or ``over_quota``.
    """
    operations.check_free(turn, vm)
    if vm.state is VmState.RUNNING:
        text = f"The guest of VM {vm.vm_id} writes to its disks; power it off or suspend it first, then save the disk."
        raise RefusalError("wrong_state", text)
    host = changes.home_for(turn, vm, OperationKind.DISK_SAVEAS)
    disk = changes.disk_of(vm, disk_id)
    if snapshot_id >= 0:
        disk_snapshot_of(vm, disk_id, snapshot_id)
    image = images.new_from_disk(turn, vm, disk, name, image_type)
    datastore = turn.cluster.datastores[image.datastore].at_hosts
    plan = planner.saveas(vm, host, disk_id, image.image_id, datastore=datastore, snapshot_id=snapshot_id)
    part = Part(disk_id=disk_id, image_id=image.image_id)
    operations.start(turn, vm, OperationKind.DISK_SAVEAS, plan, part=part)
    return image.image_id


def _home_of_disk(turn: Turn, vm: VmRecord, kind: OperationKind, disk_id: int) -> Host:
    operations.check_free(turn, vm)
    if vm.state is VmState.RUNNING:
        text = f"Snapshots of disks are for guests at rest; power VM {vm.vm_id} off first."
        raise RefusalError("wrong_state", text)
    host = changes.home_for(turn, vm, kind)
    disk = changes.disk_of(vm, disk_id)
    if disk.kind is DiskKind.CDROM:
        raise RefusalError("wrong_state", f"Disk {disk_id} of VM {vm.vm_id} is a CD-ROM, which never changes.")
    changes.check_transfer(disk, host, "snapshot")
    return host


def _check_count(vm: VmRecord) -> None:
    if len(vm.snapshots) + len(vm.disk_snapshots) >= MAX_SNAPSHOTS:
        text = f"VM {vm.vm_id} has {MAX_SNAPSHOTS} snapshots; delete one that nobody needs."
        raise RefusalError("bad_request", text)


def _name(name: str, number: int) -> str:
    if not name:
        return f"snapshot-{number}"
    find.check_name("snapshot", name)
    return name


def _snapshot_of(vm: VmRecord, snapshot_id: int) -> VmSnapshot:
    for each in vm.snapshots:
        if each.snapshot_id == snapshot_id:
            return each
    has = ", ".join(str(each.snapshot_id) for each in vm.snapshots) or "none"
    raise RefusalError("not_found", f"VM {vm.vm_id} has no snapshot {snapshot_id}; it has {has}.")


def disk_snapshot_of(vm: VmRecord, disk_id: int, snapshot_id: int) -> DiskSnapshot:
    """Return that snapshot of a disk.

    Raises:
        RefusalError: ``not_found``.
    """
    of_disk = [each for each in vm.disk_snapshots if each.disk_id == disk_id]
    for each in of_disk:
        if each.snapshot_id == snapshot_id:
            return each
    has = ", ".join(str(each.snapshot_id) for each in of_disk) or "none"
    raise RefusalError("not_found", f"Disk {disk_id} of VM {vm.vm_id} has no snapshot {snapshot_id}; it has {has}.")
