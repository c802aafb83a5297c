"""Compiles what makes images of disks."""

from innkeeper_controller.planner.drafts import AGENT, Draft
from innkeeper_controller.records import Host, Plan, VmRecord
from innkeeper_plugins.steps import SaveImage, Step
from innkeeper_plugins.vocabulary import Disk, DiskKind, ImageId, Vm, VmState


def saves(vm: Vm, phase: VmState) -> list[Step]:
    """Return what keeps each persistent disk as its image again."""
    return [step for disk in vm.disks for step in save_of(disk, phase)]


def save_of(disk: Disk, phase: VmState) -> list[Step]:
    """Return what keeps a persistent disk as its image again; nothing for any other disk."""
    if not disk.persistent or disk.image is None or disk.kind is DiskKind.CDROM:
        return []
    return [
        SaveImage(
            step_id=0,
            phase=phase,
            driver=AGENT,
            disk_id=disk.disk_id,
            image_id=disk.image.image_id,
            datastore=disk.image.datastore,
        )
    ]


def saveas(vm: VmRecord, host: Host, disk_id: int, image_id: ImageId, *, datastore: str, snapshot_id: int) -> Plan:
    """Compile what keeps a disk at rest as a new image of that datastore."""
    draft = Draft(vm.spec)
    step = SaveImage(
        step_id=0,
        phase=vm.state,
        driver=AGENT,
        disk_id=disk_id,
        image_id=image_id,
        snapshot_id=snapshot_id,
        datastore=datastore,
    )
    draft.leg(host, [step])
    return draft.plan
