"""Requests about images."""

from collections.abc import Callable
from typing import Any

import msgspec

from innkeeper_controller import access, image_contents, images
from innkeeper_controller.access import Right
from innkeeper_controller.records import OWNER_ONLY, Image, ImageState
from innkeeper_controller.requests import find
from innkeeper_controller.requests.image_import import AddImage, add
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.requests.views import ImageView, image_view, image_views
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import ImageId, Value

_replace = msgspec.structs.replace


class NamedImage(Value):
    """One image, by id or name."""

    image: str


class CloneImage(Value):
    """An image and the name of its double."""

    image: str
    name: str
    #: Empty for the image's own.
    datastore: str = ""


class EnableImage(Value):
    """An image, and whether new VMs may have it."""

    image: str
    enabled: bool


class PersistImage(Value):
    """An image, and whether it keeps what its VM writes."""

    image: str
    persistent: bool


class RetypeImage(Value):
    """An image and what it is to be."""

    image: str
    #: ``os``, ``datablock``, ``cdrom``, ``kernel``, ``ramdisk`` or ``context``.
    type: str


def list_images(turn: Turn, _params: Nothing) -> tuple[ImageView, ...]:
    """List the images that who asks may use."""
    return image_views(turn.cluster, access.visible(turn, turn.cluster.images.values()))


def show(turn: Turn, params: NamedImage) -> ImageView:
    """Show one image."""
    return image_view(turn.cluster, find.image(turn.cluster, params.image))


def delete(turn: Turn, params: NamedImage) -> ImageView:
    """Delete an image that no VM uses, from every host that holds it."""
    image = find.image(turn.cluster, params.image)
    _check_unused(turn, image)
    if image.state is ImageState.LOCKED:
        raise _busy(image)
    view = image_view(turn.cluster, image)
    keep = not image.sha256 or image_contents.is_needed(turn.cluster, image.sha256, but=image.image_id)
    hosts = [] if keep else image_contents.holders_to_tell(turn, image)
    operation = image_contents.drop(turn, image, image.sha256, hosts)
    if operation is None:
        turn.drop(image)
        turn.event("image.deleted", f"image:{image.image_id}", name=image.name)
        return view
    turn.put(_replace(image, state=ImageState.LOCKED, operation_id=operation.operation_id))
    turn.event("image.deleting", f"image:{image.image_id}", operation_id=operation.operation_id)
    return image_view(turn.cluster, turn.cluster.images[image.image_id])


def clone(turn: Turn, params: CloneImage) -> ImageView:
    """Register the same content once more; it takes no room, and is ready at once."""
    image = find.image(turn.cluster, params.image)
    return image_view(turn.cluster, copy_of(turn, image, params.name, datastore=params.datastore))


def copy_of(turn: Turn, image: Image, name: str, *, datastore: str = "", persistent: bool | None = None) -> Image:
    """Make another record of an image's content for who asks.

    Args:
        turn: The turn.
        image: The image.
        name: Of the new one.
        datastore: That of the new one; empty for the image's own.
        persistent: Whether the new one is; None for as the image is.

    Raises:
        RefusalError: who asks may not, or the image has no content that stays as it is.
    """
    access.authorize_creation(turn, "IMAGE")
    access.authorize(turn, Right.USE, image)
    images.check_name(turn, name)
    if image.state is not ImageState.READY:
        raise RefusalError("wrong_state", f"Image {image.name} is {image.state}; only one that is ready can be cloned.")
    users = images.users_of(turn.cluster, image)
    if image.persistent and users:
        text = f"Image {image.name} is persistent and VM {users[0]} writes to it; save that VM's disk as an image."
        raise RefusalError("in_use", text)
    assert turn.user is not None, "images are cloned by users"
    cloned = _replace(
        image,
        image_id=ImageId(turn.cluster.next_id("image")),
        name=name,
        datastore=_place_of_clone(turn, image, datastore),
        owner=turn.user.name,
        group=access.primary_group(turn),
        mode=OWNER_ONLY,
        lock=None,
        persistent=image.persistent if persistent is None else persistent,
        source=image.name,
        registered_at_s=turn.now_s,
        modified_at_s=turn.now_s,
        operation_id=None,
        error="",
    )
    images.check_type(cloned.type, persistent=cloned.persistent)
    images.charge(turn, cloned)
    turn.put(cloned)
    turn.event("image.cloned", f"image:{cloned.image_id}", name=name, of=image.name)
    return cloned


def _place_of_clone(turn: Turn, image: Image, wanted: str) -> str:
    if not wanted:
        return image.datastore
    datastore, own = find.datastore(turn.cluster, wanted), find.datastore(turn.cluster, image.datastore)
    access.authorize(turn, Right.USE, datastore)
    if datastore.at_hosts != own.at_hosts or datastore.type != own.type:
        text = f"A clone shares the content of its image, which lies in datastore {own.name}; clone it there."
        raise RefusalError("bad_request", text)
    return datastore.name


def enable(turn: Turn, params: EnableImage) -> ImageView:
    """Let new VMs have the image, or no new ones."""
    image = find.image(turn.cluster, params.image)
    if image.state is ImageState.LOCKED:
        raise _busy(image)
    if image.state is ImageState.ERROR:
        raise RefusalError("wrong_state", f"Image {image.name} has no content: {image.error}")
    state = ImageState.READY if params.enabled else ImageState.DISABLED
    if state is not image.state:
        turn.put(_replace(image, state=state))
        turn.event("image.enabled" if params.enabled else "image.disabled", f"image:{image.image_id}", name=image.name)
    return image_view(turn.cluster, turn.cluster.images[image.image_id])


def persist(turn: Turn, params: PersistImage) -> ImageView:
    """Let the image keep what its VM writes, or not."""
    image = find.image(turn.cluster, params.image)
    if params.persistent == image.persistent:
        return image_view(turn.cluster, image)
    images.check_type(image.type, persistent=params.persistent)
    if image.state is ImageState.LOCKED:
        raise _busy(image)
    _check_unused(turn, image)
    return _changed(turn, _replace(image, persistent=params.persistent))


def retype(turn: Turn, params: RetypeImage) -> ImageView:
    """Say what the image is for."""
    image = find.image(turn.cluster, params.image)
    images.check_type(params.type.lower(), persistent=image.persistent)
    return _changed(turn, _replace(image, type=params.type.lower()))


def _changed(turn: Turn, image: Image) -> ImageView:
    turn.put(image)
    turn.event(
        "image.changed", f"image:{image.image_id}", name=image.name, type=image.type, persistent=image.persistent
    )
    return image_view(turn.cluster, image)


def _check_unused(turn: Turn, image: Image) -> None:
    users = images.users_of(turn.cluster, image)
    if users:
        raise RefusalError(
            "in_use", f"Image {image.name} is used by VM {', '.join(map(str, users[:8]))}; end them first."
        )


def _busy(image: Image) -> RefusalError:
    what = image.operation_id or "the disk that it is made of"
    return RefusalError("busy", f"Image {image.name} is busy with {what}; wait for it.")


def _act(verb: str, params: type[Value], summary: str, handler: Callable[[Turn, Any], ImageView]) -> Request:
    return Request(
        name=f"image.{verb}",
        method="POST",
        path=f"/v1/images/{{image}}/{verb}",
        params=params,
        answer=ImageView,
        who=Who.USER,
        summary=summary,
        handler=handler,
        needs=Need(Right.CREATE, "image") if verb == "clone" else Need(Right.MANAGE, "image"),
    )


REQUESTS = (
    Request(
        name="image.add",
        method="POST",
        path="/v1/images",
        params=AddImage,
        answer=ImageView,
        who=Who.USER,
        summary="Register an image from an upload, a path on a host or a URL, or an empty one, and import it.",
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
        handler=list_images,
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
    _act("clone", CloneImage, "Register an image's content under another name.", clone),
    _act("enable", EnableImage, "Let new VMs have an image, or no new ones.", enable),
    _act("persistent", PersistImage, "Let an image keep what its VM writes, or not.", persist),
    _act("type", RetypeImage, "Say what an image is for.", retype),
)
