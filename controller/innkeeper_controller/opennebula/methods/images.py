"""Rows of ``one.image.*``."""

from typing import Any, Final

from innkeeper_controller.access import authorize_creation
from innkeeper_controller.opennebula.arguments import integer, text, truth
from innkeeper_controller.opennebula.documents import image
from innkeeper_controller.opennebula.methods.table import Call, Method, change
from innkeeper_controller.opennebula.methods.terms import (
    locking,
    named,
    oid,
    or_none,
    ownership,
    pairs_of,
    simple,
    update,
)
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import ImageId

ABOUT: Final = "image"
IMAGE: Final = oid("image")


async def _allocate(call: Call) -> int:
    """Register an image; a file on the controller is taken into the spool first, as an upload is."""
    params: dict[str, object] = {"template": call["template"]}
    if call["datastore id"] >= 0:
        params["datastore"] = str(call["datastore id"])
    path = pairs_of(call["template"]).get("PATH", "")
    if path.startswith("/"):
        # Before a byte is read: who may register no image costs nothing.
        controller = call.desk.controller
        authorize_creation(
            Turn(call.cluster, controller.reactor.settings, controller.clock(), "", user=call.user), "IMAGE"
        )
        uploaded = await call.desk.intake.take(path)
        params |= {"upload": True, "sha256": uploaded.sha256, "size_bytes": uploaded.size_bytes}
    answer: Any = await call.ask("image.add", params)
    return int(answer.image_id)


async def _delete(call: Call) -> int:
    """Delete an image, and let who asked see it go."""
    image_id: int = call["image id"]
    record = call.cluster.images.get(ImageId(image_id))
    document = image.image(call.cluster, record, word="delete") if record is not None else ""
    await call.ask("image.delete", {"image": named(call)})
    call.desk.farewells.say(call.user.name, image_id, document)
    return image_id


METHODS: Final = (
    Method(
        name="one.image.allocate",
        arguments=(
            text("template"),
            integer("datastore id", -1),
            truth("no check of capacity", default=False),
        ),
        requests=("image.add",),
        act=_allocate,
        makes_new=True,
        note="A PATH on the controller has to lie in one of `opennebula.safe_dirs`; an URL is fetched by a host.",
    ),
    Method(
        name="one.image.delete",
        arguments=(IMAGE, truth("force", default=False)),
        requests=("image.delete",),
        act=_delete,
        about=ABOUT,
        note="For five seconds, who asked still sees the image in the state DELETE, as clients expect.",
    ),
    change(
        "one.image.clone",
        (IMAGE, text("name"), integer("datastore id", -1)),
        "image.clone",
        lambda call: (
            {"image": named(call), "name": call["name"]}
            | ({"datastore": or_none(call["datastore id"])} if call["datastore id"] >= 0 else {})
        ),
        answer=lambda _call, answer: answer.image_id,
        makes_new=True,
        about=ABOUT,
    ),
    simple("one.image.enable", "image", "image.enable", truth("enable"), lambda enabled: {"enabled": enabled}, ABOUT),
    simple(
        "one.image.persistent",
        "image",
        "image.persistent",
        truth("persistent"),
        lambda persistent: {"persistent": persistent},
        ABOUT,
    ),
    simple("one.image.chtype", "image", "image.type", text("type"), lambda kind: {"type": kind.lower()}, ABOUT),
    update("image", "image", ABOUT),
    *ownership("image", "image", ABOUT),
    *locking("image", "image", ABOUT),
)
