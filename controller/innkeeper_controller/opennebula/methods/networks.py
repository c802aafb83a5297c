"""Rows of ``one.vn.*``."""

from typing import Any, Final

from innkeeper_controller.opennebula.arguments import integer, text, truth
from innkeeper_controller.opennebula.methods.table import Call, change
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
from innkeeper_controller.turn import RefusalError

ABOUT: Final = "virtual network"
NETWORK: Final = oid("network")
_TEMPLATE: Final = text("template")


def _address(template: str) -> dict[str, object]:
    pairs = pairs_of(template)
    address = pairs.get("IP") or pairs.get("MAC") or pairs.get("IP6")
    if not address:
        raise RefusalError("bad_request", "The template names no address; send LEASES = [ IP = ... ] or [ MAC = ... ].")
    return {"address": address}


def _with_template(name: str, request: str, answer: Any = None) -> Any:  # noqa: ANN401 - picks from several types
    def params(call: Call) -> dict[str, object]:
        return {"network": named(call), "template": call["template"]}

    more = {"answer": answer, "makes_new": True} if answer else {}
    return change(name, (NETWORK, _TEMPLATE), request, params, about=ABOUT, **more)


METHODS: Final = (
    change(
        "one.vn.allocate",
        (_TEMPLATE, integer("cluster id", -1)),
        "network.add",
        lambda call: {"template": call["template"], "cluster": or_none(call["cluster id"])},
        answer=lambda _call, answer: answer.network_id,
        makes_new=True,
    ),
    change("one.vn.delete", (NETWORK,), "network.delete", lambda call: {"network": named(call)}, about=ABOUT),
    _with_template("one.vn.add_ar", "network.add_range"),
    _with_template("one.vn.update_ar", "network.update_range"),
    change(
        "one.vn.rm_ar",
        (NETWORK, integer("address range id"), truth("force", default=False)),
        "network.delete_range",
        lambda call: {"network": named(call), "ar_id": call["address range id"], "force": call["force"]},
        about=ABOUT,
    ),
    simple("one.vn.hold", "network", "network.hold", _TEMPLATE, _address, ABOUT),
    simple("one.vn.release", "network", "network.release", _TEMPLATE, _address, ABOUT),
    _with_template("one.vn.reserve", "network.reserve", lambda _call, answer: answer.network_id),
    simple(
        "one.vn.free_ar",
        "network",
        "network.free_range",
        integer("address range id"),
        lambda ar_id: {"ar_id": ar_id},
        ABOUT,
    ),
    update("vn", "network", ABOUT),
    *ownership("vn", "network", ABOUT),
    *locking("vn", "network", ABOUT),
)
