"""Rows about the installation itself, and the pools of what Innkeeper has not: constants, all of them."""

from typing import Final

from innkeeper_controller.opennebula.arguments import Argument, integer, text
from innkeeper_controller.opennebula.documents import constants
from innkeeper_controller.opennebula.documents.quotas import default_group_quotas, default_user_quotas
from innkeeper_controller.opennebula.methods.reads import look
from innkeeper_controller.opennebula.methods.table import Call, Method, change, constant
from innkeeper_controller.opennebula.methods.terms import DECRYPT, oid
from innkeeper_controller.turn import RefusalError

#: What we tell clients that look for abilities by version.
VERSION: Final = "7.4.0"

_POOL: Final[tuple[Argument, ...]] = (
    integer("filter flag", -2),
    integer("start id", -1),
    integer("end id", -1),
    integer("more", -1),
)
#: ``{method: element}``
_EMPTY: Final = {
    "one.backupjobpool.info": "BACKUPJOB_POOL",
    "one.documentpool.info": "DOCUMENT_POOL",
    "one.hookpool.info": "HOOK_POOL",
    "one.hooklog.info": "HOOKLOG",
    "one.marketpool.info": "MARKETPLACE_POOL",
    "one.marketapppool.info": "MARKETPLACEAPP_POOL",
    "one.vdcpool.info": "VDC_POOL",
    "one.vmgrouppool.info": "VM_GROUP_POOL",
    "one.vntemplatepool.info": "VNTEMPLATE_POOL",
    "one.vrouterpool.info": "VROUTER_POOL",
}


def _only(number: int, name: str, what: str, document: str) -> str:
    if number != 0:
        raise RefusalError("not_found", f"There is no {name} {number}; {what}.")
    return document


def _quotas(of: str) -> tuple[Method, Method]:
    """Return the rows of the limits that those have who have none of their own."""
    draw = default_user_quotas if of == "user" else default_group_quotas
    return (
        Method(
            name=f"one.{of}quota.info",
            arguments=(),
            requests=("limits.show",),
            act=lambda call: look(call, "limits.show", {"of": of}, lambda _, turn: draw(turn.cluster)),
            gives="string",
        ),
        change(
            f"one.{of}quota.update",
            (text("template"),),
            "limits.set",
            lambda call: {"of": of, "template": call["template"]},
            answer=lambda call, _: draw(call.cluster),
            gives="string",
        ),
    )


def _zone(call: Call) -> str:
    return _only(call["zone id"], "zone", "there is zone 0 alone", constants.zone(call.desk.own_url))


def _security_group(call: Call) -> str:
    return _only(
        call["security group id"], "security group", "there is security group 0 alone", constants.SECURITY_GROUP
    )


METHODS: Final = (
    constant("one.system.version", (), lambda _: VERSION, "The version of the interface, not of Innkeeper."),
    constant("one.system.config", (), lambda _: constants.CONFIGURATION),
    constant("one.zonepool.info", (), lambda call: constants.zone_pool(call.desk.own_url), "The one zone."),
    constant("one.zone.info", (oid("zone"), DECRYPT), _zone),
    constant("one.zone.raftstatus", (), lambda _: constants.RAFT_STATUS, "There is one controller."),
    constant("one.secgrouppool.info", _POOL, lambda _: constants.SECURITY_GROUP_POOL, "The one that lets all pass."),
    constant("one.secgroup.info", (oid("security group"), DECRYPT), _security_group),
    *(
        constant(name, _POOL, lambda _, root=root: constants.EMPTY_POOLS[root], "Always empty.")  # type: ignore[misc]
        for name, root in _EMPTY.items()
    ),
    *_quotas("user"),
    *_quotas("group"),
)
