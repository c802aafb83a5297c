"""Contents of images that nobody needs any more: hosts are asked to drop them, once no image and no VM has them.

An image's content is dropped when the image is deleted, and after the VM of a persistent image has given it another.
Which digest an image has is not decided here.
"""

import msgspec

from innkeeper_controller import operations
from innkeeper_controller.cluster import UNFINISHED, Cluster
from innkeeper_controller.records import (
    Host,
    Image,
    Leg,
    Operation,
    OperationKind,
    OperationStatus,
    Plan,
    VmRecord,
)
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.steps import DropImage
from innkeeper_plugins.vocabulary import Digest, ImageId, VmState

_replace = msgspec.structs.replace


def start(turn: Turn, image: Image, kind: OperationKind, plan: Plan) -> Operation:
    """Begin an operation on an image, which the caller sends and notes in the image's record."""
    operation = Operation(
        operation_id=operations.operation_id(turn),
        kind=kind,
        subject=f"image:{image.image_id}",
        origin="",
        plan=plan,
        actor=turn.actor,
        request_id=turn.request_id,
        started_at_s=turn.now_s,
    )
    turn.put(operation)
    return operation


def follow(turn: Turn) -> None:
    """Drop what images have had until this turn: persistent images whose VMs gave them back, or saved them anew."""
    before: set[tuple[ImageId, Digest]] = set()
    for change in list(turn.changes):
        old, new = change.old, change.new
        if isinstance(old, VmRecord) and isinstance(new, VmRecord):
            before |= _persistent(old) - _persistent(new)
        elif isinstance(old, Image) and isinstance(new, Image) and old.sha256 not in {"", new.sha256}:
            before.add((old.image_id, old.sha256))
    for image_id, digest in sorted(before):
        _forget(turn, image_id, digest)


def _persistent(vm: VmRecord) -> set[tuple[ImageId, Digest]]:
    if vm.state is VmState.DONE:
        return set()
    return {(disk.image.image_id, disk.image.sha256) for disk in vm.spec.disks if disk.persistent and disk.image}


def _forget(turn: Turn, image_id: ImageId, digest: Digest) -> None:
    image = turn.cluster.images.get(image_id)
    if image is None or image.sha256 == digest or is_needed(turn.cluster, digest):
        return
    holders = [host for host in turn.cluster.hosts.values() if digest in host.advertisement.images]
    drop(turn, image, digest, sorted(holders, key=lambda host: not host.connected))


def is_needed(cluster: Cluster, digest: Digest, *, but: ImageId | None = None) -> bool:
    """Return whether an image, leaving one aside, or the disk of a VM is made of that content."""
    if any(image.sha256 == digest and image.image_id != but for image in cluster.images.values()):
        return True
    users = {vm_id for vm_ids in cluster.vms_of_image.values() for vm_id in vm_ids}
    return any(ref.sha256 == digest for vm_id in users for ref in cluster.vms[vm_id].spec.images)


def holders_to_tell(turn: Turn, image: Image) -> list[Host]:
    """Return the hosts that are to drop a deleted image: those that are there, and the one that keeps it for good.

    Other hosts that are away evict what nobody uses by themselves.
    """
    holders = [host for host in turn.cluster.hosts.values() if image.sha256 in host.advertisement.images]
    away = [host for host in holders if not host.connected and host.host_id == image.home]
    return [host for host in holders if host.connected] + away


def dropping(cluster: Cluster, image: Image) -> Operation | None:
    """Return the operation that drops old content of the image, if one runs.

    Raises:
        RefusalError: ``busy``: something else runs.
    """
    running = cluster.operations.get(image.operation_id) if image.operation_id is not None else None
    if running is None or running.status not in UNFINISHED:
        return None
    if running.kind is OperationKind.DELETE_IMAGE and running.status is OperationStatus.RUNNING:
        return running
    raise RefusalError("busy", f"Image {image.name} is busy with {running.operation_id}; wait for it.")


def drop(turn: Turn, image: Image, digest: Digest, hosts: list[Host]) -> Operation | None:
    """Ask the hosts to drop that content; None where nothing runs and there is nobody to ask.

    An operation that drops older content of the image goes on with it: an image has one operation at a time.
    """
    running = dropping(turn.cluster, image)
    count = sum(len(leg.steps) for leg in running.plan.legs) if running is not None else 0
    legs = tuple(
        Leg(
            host_id=host.host_id,
            steps=(DropImage(step_id=count + number, phase=VmState.EPILOG, driver="agent", sha256=digest),),
        )
        for number, host in enumerate(hosts)
    )
    if running is not None:
        running = _replace(running, plan=Plan(legs=(*running.plan.legs, *legs)))
        turn.put(running)
        return running
    if not legs:
        return None
    operation = start(turn, image, OperationKind.DELETE_IMAGE, Plan(legs=legs))
    turn.put(_replace(image, operation_id=operation.operation_id))
    operations.send_leg(turn, operation)
    return operation
