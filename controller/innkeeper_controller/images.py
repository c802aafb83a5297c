"""What becomes of an image when its import or deletion has ended."""

from typing import Annotated

import msgspec

from innkeeper_controller.records import Host, Image, ImageState, Operation, OperationKind
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import Digest, DiskFormat, ImageId, Outcome, Value

_replace = msgspec.structs.replace


class Facts(Value):
    """What an import finds out."""

    sha256: Annotated[Digest, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]
    virtual_size_bytes: Annotated[int, msgspec.Meta(ge=0)]
    format: DiskFormat


def finish_image(turn: Turn, operation: Operation, *, done: bool, outcomes: dict[int, Outcome]) -> None:
    """Bring the image to rest: READY with what the import found out, ERROR with why, or gone."""
    image = turn.cluster.images[ImageId(int(operation.subject.partition(":")[2]))]
    message = operation.error.message if operation.error else ""
    if operation.kind is OperationKind.DELETE_IMAGE:
        if done:
            turn.drop(image)
            turn.event("image.deleted", operation.subject, operation_id=operation.operation_id, name=image.name)
        else:
            turn.put(_replace(image, state=ImageState.ERROR, error=message))
        return
    if not done:
        turn.put(_replace(image, state=ImageState.ERROR, error=message))
        return
    found = next((outcome.result for outcome in outcomes.values() if "sha256" in outcome.result), {})
    try:
        facts = msgspec.convert(found, type=Facts, strict=False)
    except msgspec.ValidationError as error:
        text = f"Its host did not say what it has taken in ({error}); delete the image and add it again."
        turn.put(_replace(image, state=ImageState.ERROR, error=text))
        return
    ready = _replace(
        image,
        state=ImageState.READY,
        sha256=facts.sha256,
        size_bytes=facts.size_bytes,
        virtual_size_bytes=facts.virtual_size_bytes,
        format=facts.format,
        error="",
    )
    turn.put(ready)
    turn.event("image.ready", operation.subject, operation_id=operation.operation_id, sha256=ready.sha256)
    _advertise(turn, ready)


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
