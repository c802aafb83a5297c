"""Requests about images."""

import re

import msgspec

from innkeeper_controller import operations
from innkeeper_controller.access import Right
from innkeeper_controller.images import users_of
from innkeeper_controller.records import (
    Datastore,
    Host,
    HostState,
    Image,
    ImageState,
    Leg,
    Operation,
    OperationKind,
    Plan,
)
from innkeeper_controller.requests import find
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.requests.views import ImageView, image_view, image_views
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.steps import DropImage, ImportImage, Step
from innkeeper_plugins.vocabulary import DiskFormat, Holder, ImageId, Value, VmState

_replace = msgspec.structs.replace

#: What an image may be registered as.
TYPES = ("os", "datablock", "cdrom", "kernel", "ramdisk")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


class AddImage(Value):
    """An image to be; exactly one of ``upload``, ``path`` and ``url`` says where its bytes come from."""

    name: str
    datastore: str = "default"
    #: ``os``, ``datablock``, ``cdrom``, ``kernel`` or ``ramdisk``.
    type: str = "os"
    #: ``qcow2`` or ``raw``; empty to take what the inspection finds.
    format: str = ""
    #: Digest that must come out; with ``upload`` the digest that the upload was answered with.
    sha256: str = ""
    size_bytes: int | None = None
    #: True where the bytes were uploaded to the controller.
    upload: bool = False
    #: A file below one of the import directories of an agent.
    path: str = ""
    url: str = ""
    #: Host that takes it, and keeps it for good; empty to let the controller choose.
    host: str = ""


class NamedImage(Value):
    """One image, by id or name."""

    image: str


def add(turn: Turn, params: AddImage) -> ImageView:
    """Register an image and start its import on the host that will keep it."""
    _check(turn, params)
    datastore = find.datastore(turn.cluster, params.datastore)
    host = _home(turn, params, datastore)
    assert turn.user is not None, "images are registered by users"
    image = Image(
        image_id=ImageId(turn.cluster.next_id("image")),
        name=params.name,
        datastore=datastore.name,
        owner=turn.user.name,
        type=params.type,
        format=DiskFormat(params.format or "raw"),
        home=host.host_id,
        registered_at_s=turn.now_s,
    )
    step = ImportImage(
        step_id=0,
        phase=VmState.PROLOG,
        driver="agent",
        image_id=image.image_id,
        datastore=datastore.name,
        format=params.format,
        sha256=params.sha256.lower(),
        size_bytes=params.size_bytes,
        holders=_upload_holders(turn, params),
        path=params.path,
        url=params.url,
    )
    operation = _start(turn, image, OperationKind.IMPORT_IMAGE, Plan(legs=(Leg(host_id=host.host_id, steps=(step,)),)))
    turn.put(_replace(image, operation_id=operation.operation_id))
    turn.event("image.added", f"image:{image.image_id}", operation_id=operation.operation_id, name=image.name)
    operations.send_leg(turn, operation)
    return image_view(turn.cluster, turn.cluster.images[image.image_id])


def _check(turn: Turn, params: AddImage) -> None:
    find.check_name("image", params.name)
    if params.name in turn.cluster.image_ids:
        raise RefusalError("name_taken", f"There is an image {params.name} already; choose another name or delete it.")
    if params.type not in TYPES:
        raise RefusalError("bad_request", f"{params.type!r} is no image type; use one of {', '.join(TYPES)}.")
    if params.format not in {"", *DiskFormat}:
        raise RefusalError("bad_request", f"{params.format!r} is no image format; use qcow2 or raw.")
    if sum((params.upload, bool(params.path), bool(params.url))) != 1:
        raise RefusalError(
            "bad_request", "Say where the image comes from: a file to upload, a path on a host, or a URL."
        )
    if params.sha256 and not _DIGEST.fullmatch(params.sha256):
        raise RefusalError("bad_request", f"{params.sha256[:80]!r} is no SHA-256; one has 64 hexadecimal digits.")
    if params.size_bytes is not None and params.size_bytes < 0:
        raise RefusalError("bad_request", f"An image cannot have {params.size_bytes} bytes.")
    if params.upload and (not params.sha256 or params.size_bytes is None):
        raise RefusalError("bad_request", "An upload is named by its sha256 and size_bytes.")


def _home(turn: Turn, params: AddImage, datastore: Datastore) -> Host:
    if params.host:
        host = find.host(turn.cluster, params.host)
        if not host.connected:
            raise RefusalError("unreachable", f"Host {host.name} is not connected; choose another or start its agent.")
        if datastore.name not in {facts.name for facts in host.advertisement.datastores}:
            raise RefusalError("bad_request", f"Host {host.name} has no datastore {datastore.name}.")
        return host
    if params.path:
        raise RefusalError("bad_request", "Say on which host the path is: --host NAME.")
    rooms = [
        (facts.free_mib, -host.host_id, host)
        for host in turn.cluster.hosts.values()
        if host.connected and host.state is HostState.ON
        for facts in host.advertisement.datastores
        if facts.name == datastore.name
    ]
    if not rooms:
        raise RefusalError(
            "no_capacity", f"No connected host has datastore {datastore.name}; `inn datastore show {datastore.name}`."
        )
    return max(rooms, key=lambda room: room[:2])[2]


def _upload_holders(turn: Turn, params: AddImage) -> tuple[Holder, ...]:
    if not params.upload:
        return ()
    assert turn.settings.holder is not None, "the shell has a bulk server"
    return (turn.settings.holder,)


def _start(turn: Turn, image: Image, kind: OperationKind, plan: Plan) -> Operation:
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


def images(turn: Turn, _params: Nothing) -> tuple[ImageView, ...]:
    """List all images."""
    return image_views(turn.cluster, turn.cluster.images.values())


def show(turn: Turn, params: NamedImage) -> ImageView:
    """Show one image."""
    return image_view(turn.cluster, find.image(turn.cluster, params.image))


def delete(turn: Turn, params: NamedImage) -> ImageView:
    """Delete an image that no VM uses, from every host that holds it."""
    image = find.image(turn.cluster, params.image)
    users = users_of(turn.cluster, image)
    if users:
        raise RefusalError(
            "in_use", f"Image {image.name} is used by VM {', '.join(map(str, users[:8]))}; end them first."
        )
    if image.state is ImageState.LOCKED:
        raise RefusalError("busy", f"Image {image.name} is busy with {image.operation_id}; wait for it.")
    view = image_view(turn.cluster, image)
    twin = any(i.sha256 == image.sha256 and i.image_id != image.image_id for i in turn.cluster.images.values())
    legs = () if twin or not image.sha256 else _drop_legs(turn, image)
    if not legs:
        turn.drop(image)
        turn.event("image.deleted", f"image:{image.image_id}", name=image.name)
        return view
    operation = _start(turn, image, OperationKind.DELETE_IMAGE, Plan(legs=legs))
    turn.put(_replace(image, state=ImageState.LOCKED, operation_id=operation.operation_id))
    turn.event("image.deleting", f"image:{image.image_id}", operation_id=operation.operation_id)
    operations.send_leg(turn, operation)
    return image_view(turn.cluster, turn.cluster.images[image.image_id])


def _drop_legs(turn: Turn, image: Image) -> tuple[Leg, ...]:
    """Return a leg for each host that has to be told: those that are there, and the one that keeps it for good.

    Other hosts that are away evict what nobody uses by themselves.
    """
    step: Step = DropImage(step_id=0, phase=VmState.EPILOG, driver="agent", sha256=image.sha256)
    holders = [h for h in turn.cluster.hosts.values() if image.sha256 in h.advertisement.images]
    holders = [h for h in holders if h.connected] + [h for h in holders if not h.connected and h.host_id == image.home]
    return tuple(
        Leg(host_id=host.host_id, steps=(_replace(step, step_id=number),)) for number, host in enumerate(holders)
    )


REQUESTS = (
    Request(
        name="image.add",
        method="POST",
        path="/v1/images",
        params=AddImage,
        answer=ImageView,
        who=Who.USER,
        summary="Register an image from an upload, a path on a host or a URL, and import it.",
        handler=add,
        needs=Need(Right.CREATE, "image"),
    ),
    Request(
        name="image.list",
        method="GET",
        path="/v1/images",
        params=Nothing,
        answer=tuple[ImageView, ...],
        who=Who.USER,
        summary="List the images and the hosts that hold them.",
        handler=images,
    ),
    Request(
        name="image.show",
        method="GET",
        path="/v1/images/{image}",
        params=NamedImage,
        answer=ImageView,
        who=Who.USER,
        summary="Show one image.",
        handler=show,
        needs=Need(Right.USE, "image"),
    ),
    Request(
        name="image.delete",
        method="DELETE",
        path="/v1/images/{image}",
        params=NamedImage,
        answer=ImageView,
        who=Who.USER,
        summary="Delete an image that no VM uses, from every host that holds it.",
        handler=delete,
        needs=Need(Right.MANAGE, "image"),
    ),
)
