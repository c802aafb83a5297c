"""Requests about snapshots of guests and disks, and about disks that become images."""

from innkeeper_controller import snapshots
from innkeeper_controller.requests import find
from innkeeper_controller.requests.vms import Acted, act, acted
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import Value


class NewSnapshot(Value):
    """A snapshot of a running guest to be."""

    vm_id: int
    #: Empty for one made of its number.
    name: str = ""


class OneSnapshot(Value):
    """One snapshot of a guest."""

    vm_id: int
    snapshot_id: int


class NewDiskSnapshot(Value):
    """A snapshot of a disk to be."""

    vm_id: int
    disk_id: int
    #: Empty for one made of its number.
    name: str = ""


class OneDiskSnapshot(Value):
    """One snapshot of a disk."""

    vm_id: int
    disk_id: int
    snapshot_id: int


class RenameDiskSnapshot(Value):
    """A snapshot of a disk and its new name."""

    vm_id: int
    disk_id: int
    snapshot_id: int
    name: str


class SaveDisk(Value):
    """A disk of a VM at rest, and the image that it is to be saved as."""

    vm_id: int
    disk_id: int
    #: Of the new image.
    name: str
    #: Of the new image; empty for that of the disk's own.
    type: str = ""
    #: The snapshot of the disk that is saved; -1 for the disk as it is.
    snapshot_id: int = -1


class Snapped(Acted):
    """What has begun, and the number of the snapshot."""

    snapshot_id: int = -1


class Saved(Value):
    """The image to be, which is ready when the operation is done."""

    image_id: int
    operation_id: str


def create(turn: Turn, params: NewSnapshot) -> Snapped:
    """Keep the guest as it is."""
    vm = find.vm(turn, params.vm_id)
    return _snapped(turn, vm.vm_id, snapshots.create(turn, vm, params.name))


def revert(turn: Turn, params: OneSnapshot) -> Acted:
    """Bring the guest back."""
    vm = find.vm(turn, params.vm_id)
    snapshots.revert(turn, vm, params.snapshot_id)
    return acted(turn, vm)


def delete(turn: Turn, params: OneSnapshot) -> Acted:
    """Drop a snapshot of the guest."""
    vm = find.vm(turn, params.vm_id)
    snapshots.delete(turn, vm, params.snapshot_id)
    return acted(turn, vm)


def disk_create(turn: Turn, params: NewDiskSnapshot) -> Snapped:
    """Keep a disk's content."""
    vm = find.vm(turn, params.vm_id)
    return _snapped(turn, vm.vm_id, snapshots.disk_create(turn, vm, params.disk_id, params.name))


def _snapped(turn: Turn, vm_id: int, snapshot_id: int) -> Snapped:
    vm = find.vm(turn, vm_id)
    return Snapped(vm_id=vm_id, state=vm.state.value, operation_id=vm.operation_id or "", snapshot_id=snapshot_id)


def disk_revert(turn: Turn, params: OneDiskSnapshot) -> Acted:
    """Bring a disk's content back."""
    vm = find.vm(turn, params.vm_id)
    snapshots.disk_revert(turn, vm, params.disk_id, params.snapshot_id)
    return acted(turn, vm)


def disk_delete(turn: Turn, params: OneDiskSnapshot) -> Acted:
    """Drop a snapshot of a disk."""
    vm = find.vm(turn, params.vm_id)
    snapshots.disk_delete(turn, vm, params.disk_id, params.snapshot_id)
    return acted(turn, vm)


def disk_rename(turn: Turn, params: RenameDiskSnapshot) -> Acted:
    """Give a snapshot of a disk another name."""
    vm = find.vm(turn, params.vm_id)
    snapshots.disk_rename(turn, vm, params.disk_id, params.snapshot_id, params.name)
    return acted(turn, vm)


def disk_saveas(turn: Turn, params: SaveDisk) -> Saved:
    """Save a disk as a new image."""
    vm = find.vm(turn, params.vm_id)
    image_id = snapshots.saveas(
        turn, vm, params.disk_id, params.name, image_type=params.type, snapshot_id=params.snapshot_id
    )
    return Saved(image_id=image_id, operation_id=acted(turn, vm).operation_id)


REQUESTS = (
    act("snapshot_create", NewSnapshot, "Keep a running guest, memory and disks, as it is.", create, answer=Snapped),
    act("snapshot_revert", OneSnapshot, "Bring a guest back to one of its snapshots.", revert),
    act("snapshot_delete", OneSnapshot, "Drop a snapshot of a guest.", delete),
    act("disk_snapshot_create", NewDiskSnapshot, "Keep the content of a disk.", disk_create, answer=Snapped),
    act("disk_snapshot_revert", OneDiskSnapshot, "Bring a disk back to one of its snapshots.", disk_revert),
    act("disk_snapshot_delete", OneDiskSnapshot, "Drop a snapshot of a disk.", disk_delete),
    act("disk_snapshot_rename", RenameDiskSnapshot, "Give a snapshot of a disk another name.", disk_rename),
    act("disk_saveas", SaveDisk, "Save a disk of a VM at rest as a new image.", disk_saveas, answer=Saved),
)
