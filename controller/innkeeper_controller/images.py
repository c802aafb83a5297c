"""What becomes of an image: when its import or deletion has ended, and when a VM's disk becomes its content.

Nothing here asks a host for anything; what nobody needs any more, ``image_contents`` has dropped.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from innkeeper_controller import access, quotas
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import Host, Image, ImageState, Operation, OperationKind, VmRecord
from innkeeper_controller.requests import find
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_controller.usage import amounts_of
from innkeeper_plugins.steps import DropImage
from innkeeper_plugins.vocabulary import Digest, Disk, DiskFormat, DiskKind, HostId, ImageId, Outcome, Value

_replace = msgspec.structs.replace


#: What an image may be registered as.
TYPES = ("os", "datablock", "cdrom", "kernel", "ramdisk", "context")
#: Those of them that a VM may have as a disk, and those that it may write to.
DISK_TYPES = frozenset({"os", "datablock", "cdrom"})
WRITABLE_TYPES = frozenset({"os", "datablock"})


class Facts(Value):
    """What an import, or the saving of a disk, finds out."""

    sha256: Annotated[Digest, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]
    virtual_size_bytes: Annotated[int, msgspec.Meta(ge=0)]
    format: DiskFormat


def facts_in(result: Mapping[str, object]) -> Facts:
    """Return what the result of an ``import_image`` or ``save_image`` step says.

    Raises:
        msgspec.ValidationError: it does not say it.
    """
    return msgspec.convert(dict(result), type=Facts, strict=False)


def finish_image(turn: Turn, operation: Operation, *, done: bool, outcomes: dict[int, Outcome]) -> None:
    """Bring the image to rest: READY with what the import found out, ERROR with why, or gone."""
    image = turn.cluster.images[ImageId(int(operation.subject.partition(":")[2]))]
    message = operation.error.message if operation.error else ""
    if operation.kind is OperationKind.DELETE_IMAGE:
        _finish_deletion(turn, image, operation, done=done)
    elif done:
        found = next((outcome.result for outcome in outcomes.values() if "sha256" in outcome.result), {})
        fill(turn, image.image_id, found, image.home, operation_id=operation.operation_id)
    else:
        fail(turn, image.image_id, message)


def _finish_deletion(turn: Turn, image: Image, operation: Operation, *, done: bool) -> None:
    message = operation.error.message if operation.error else ""
    if image.state is not ImageState.LOCKED:
        # The image stays; only content that it no longer has was to go.
        if not done:
            turn.event("image.leftover", operation.subject, operation_id=operation.operation_id, error=message)
    elif done:
        turn.drop(image)
        turn.event("image.deleted", operation.subject, operation_id=operation.operation_id, name=image.name)
    else:
        fail(turn, image.image_id, message)


def fill(
    turn: Turn, image_id: ImageId, result: Mapping[str, object], host_id: HostId | None, *, operation_id: str = ""
) -> bool:
    """Give the image the content that a step has told of; in ERROR, and False, where there is none to rely on."""
    try:
        facts = facts_in(result)
    except msgspec.ValidationError as error:
        text = f"Its host did not say what it has taken in ({error}); delete the image and add it again."
        fail(turn, image_id, text)
        return False
    image = turn.cluster.images.get(image_id)
    if image is not None and not image.sha256 and _is_being_dropped(turn.cluster, facts.sha256, host_id):
        text = "The same content is just being deleted on its host; delete the image and add it again."
        fail(turn, image_id, text)
        return False
    excess = _excess_of(turn, image, facts) if image is not None and not image.sha256 else ""
    take_over(turn, image_id, facts, host_id, operation_id=operation_id)
    if excess:
        # It counts with what it has, so that nobody gets more by asking for much at once, until it is deleted.
        fail(turn, image_id, excess)
    return not excess


def _excess_of(turn: Turn, image: Image, facts: Facts) -> str:
    """Return why a new image is more than its owner or group may have, now that its size is known; empty for none."""
    had = amounts_of(image)
    whole = amounts_of(_replace(image, virtual_size_bytes=facts.virtual_size_bytes))
    more = {name: amount - had.get(name, 0.0) for name, amount in whole.items() if amount > had.get(name, 0.0)}
    try:
        quotas.charge(turn, image.owner, image.group, more)
    except RefusalError as refusal:
        return f"{refusal} Delete the image."
    return ""


def _is_being_dropped(cluster: Cluster, digest: Digest, host_id: HostId | None) -> bool:
    operations = (cluster.operations[each] for each in cluster.running)
    legs = (leg for operation in operations for leg in operation.plan.legs[operation.leg :] if leg.host_id == host_id)
    return any(isinstance(step, DropImage) and step.sha256 == digest for leg in legs for step in leg.steps)


def fail(turn: Turn, image_id: ImageId, message: str) -> None:
    """Let an image that got no content say why."""
    turn.put(_replace(turn.cluster.images[image_id], state=ImageState.ERROR, error=message))


def take_over(
    turn: Turn, image_id: ImageId, facts: Facts, host_id: HostId | None, *, operation_id: str = ""
) -> Image | None:
    """Give the image new content, which that host keeps for good; None where somebody deleted the image meanwhile.

    Saying it again changes nothing. What the image had before, ``image_contents.follow`` has dropped once no VM needs
    it any more. A person's DISABLED stays.
    """
    image = turn.cluster.images.get(image_id)
    if image is None:
        return None
    ready = _replace(
        image,
        state=ImageState.DISABLED if image.state is ImageState.DISABLED else ImageState.READY,
        sha256=facts.sha256,
        size_bytes=facts.size_bytes,
        virtual_size_bytes=facts.virtual_size_bytes,
        format=facts.format,
        home=host_id,
        modified_at_s=turn.now_s,
        error="",
    )
    turn.put(ready)
    turn.event("image.ready", f"image:{image_id}", operation_id=operation_id, sha256=ready.sha256)
    _advertise(turn, ready)
    return ready


def new_from_disk(turn: Turn, vm: VmRecord, disk: Disk, name: str, type_: str) -> Image:
    """Make the record of an image that a VM's disk is to be saved as; LOCKED until ``fill`` or ``fail``.

    It lies in the datastore of the disk's own image, or else in ``default``, and belongs to who asks.

    Raises:
        RefusalError: ``bad_request``, ``name_taken``, ``forbidden``, ``over_quota`` or ``wrong_state``.
    """
    if disk.kind in {DiskKind.CDROM, DiskKind.SWAP}:
        raise RefusalError("wrong_state", f"Disk {disk.disk_id} of VM {vm.vm_id} is a {disk.kind}; nothing to save.")
    access.authorize_creation(turn, "IMAGE")
    origin = turn.cluster.images.get(disk.image.image_id) if disk.image is not None else None
    kind = (type_ or (origin.type if origin is not None else "datablock")).lower()
    check_name(turn, name)
    check_type(kind, persistent=False)
    image = Image(
        image_id=ImageId(turn.cluster.next_id("image")),
        name=name,
        datastore=origin.datastore if origin is not None else "default",
        owner=turn.user.name if turn.user is not None else vm.owner,
        group=access.primary_group(turn),
        type=kind,
        format=disk.format,
        virtual_size_bytes=disk.size_bytes,
        attributes={"SAVED_VM_ID": str(vm.vm_id), "SAVED_DISK_ID": str(disk.disk_id)},
        registered_at_s=turn.now_s,
        modified_at_s=turn.now_s,
    )
    charge(turn, image)
    turn.put(image)
    turn.event("image.added", f"image:{image.image_id}", name=name)
    return image


def charge(turn: Turn, image: Image) -> None:
    """Refuse a new image that its owner or group may not have any more.

    Raises:
        RefusalError: ``over_quota``.
    """
    quotas.charge(turn, image.owner, image.group, amounts_of(image))


def check_name(turn: Turn, name: str) -> None:
    """Refuse what cannot be the name of a new image.

    Raises:
        RefusalError: ``bad_request`` or ``name_taken``.
    """
    find.check_name("image", name)
    if name in turn.cluster.image_ids:
        raise RefusalError("name_taken", f"There is an image {name} already; choose another name or delete it.")


def check_type(type_: str, *, persistent: bool) -> None:
    """Refuse what is no type of images, or none that a VM could write to.

    Raises:
        RefusalError: ``bad_request``.
    """
    if type_ not in TYPES:
        raise RefusalError("bad_request", f"{type_[:40]!r} is no image type; use one of {', '.join(TYPES)}.")
    if persistent and type_ not in WRITABLE_TYPES:
        raise RefusalError("bad_request", f"An image of type {type_} is never written to, so it cannot be persistent.")


def users_of(cluster: Cluster, image: Image) -> list[int]:
    """Return the VMs that have the image, in order."""
    return sorted(cluster.vms_of_image.get(image.image_id, ()))


def image_state_word(cluster: Cluster, image: Image) -> str:
    """Return the image's state as OpenNebula tells it: whether VMs have it, or it is about to go, is part of it."""
    last = cluster.operations.get(image.operation_id) if image.operation_id else None
    if image.state is ImageState.LOCKED and last is not None and last.kind is OperationKind.DELETE_IMAGE:
        return "delete"
    if image.state is not ImageState.READY or image.image_id not in cluster.vms_of_image:
        return image.state.value
    return "used_pers" if image.persistent else "used"


def _advertise(turn: Turn, image: Image) -> None:
    """Count the image as held by its home at once, before the host says so itself."""
    host = turn.cluster.hosts.get(image.home) if image.home is not None else None
    if host is not None and image.sha256 not in host.advertisement.images:
        turn.put(with_images(host, added=(image.sha256,), removed=()))


def with_images(host: Host, *, added: tuple[Digest, ...], removed: tuple[Digest, ...]) -> Host:
    """Return the host holding these digests more, and those no longer."""
    images = dict.fromkeys((*host.advertisement.images, *added))
    for digest in removed:
        images.pop(digest, None)
    return _replace(host, advertisement=_replace(host.advertisement, images=tuple(images)))
