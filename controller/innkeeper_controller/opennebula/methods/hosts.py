"""Rows of ``one.host.*``."""

from typing import Final

from innkeeper_controller.opennebula.arguments import either, integer, text, truth
from innkeeper_controller.opennebula.methods.table import Call, change, choice
from innkeeper_controller.opennebula.methods.terms import named, oid, ownership, update
from innkeeper_controller.turn import RefusalError

ABOUT: Final = "host"
HOST: Final = oid("host")
#: ``{status of one.host.status: request}``
STATUSES: Final = {0: "host.enable", 1: "host.disable", 2: "host.offline"}


def _status(call: Call) -> tuple[str, dict[str, object]]:
    request = STATUSES.get(call["status"])
    if request is None:
        raise RefusalError("bad_request", f"Status {call['status']} is none of 0 enabled, 1 disabled, 2 offline.")
    return request, {"host": named(call)}


def _add(call: Call) -> dict[str, object]:
    # The last is the cluster; in between there was a driver for networks once, and in 1.4 one for transfers.
    numbers = [call[name] for name in ("fourth", "cluster id") if isinstance(call[name], int) and call[name] >= 0]
    cluster = str(numbers[-1]) if numbers else ""
    return {"name": call["name"], "im_mad": call["im mad"], "vm_mad": call["vm mad"], "cluster": cluster}


METHODS: Final = (
    change(
        "one.host.allocate",
        (text("name"), text("im mad", ""), text("vm mad", ""), either("fourth", -1), integer("cluster id", -1)),
        "host.add",
        _add,
        answer=lambda _call, answer: answer.host_id,
        makes_new=True,
        note="The host stays in INIT until its agent joins: `inn host token NAME` makes its token. "
        "The fourth argument is the cluster, or the driver that older versions had there.",
    ),
    change("one.host.delete", (HOST,), "host.delete", lambda call: {"host": named(call)}, about=ABOUT),
    choice("one.host.status", (HOST, integer("status")), tuple(STATUSES.values()), _status, about=ABOUT),
    choice(
        "one.host.enable",
        (HOST, truth("enable")),
        ("host.enable", "host.disable"),
        lambda call: ("host.enable" if call["enable"] else "host.disable", {"host": named(call)}),
        about=ABOUT,
    ),
    update("host", "host", ABOUT),
    *ownership("host", "host", ABOUT, with_group=False),
)
