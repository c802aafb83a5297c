"""Rows of ``one.acl.*``: rules as hexadecimal numbers, which become the string form."""

from typing import Final

from innkeeper_controller import acl
from innkeeper_controller.opennebula.arguments import integer, text
from innkeeper_controller.opennebula.methods.table import Call, change
from innkeeper_controller.turn import RefusalError

#: Zone of a rule that names none: all of them, there is one.
_ALL_ZONES: Final = acl.SCOPE_BITS["*"]


def _rule(call: Call) -> dict[str, object]:
    try:
        zone = _hex(call["zone"]) if call["zone"].strip() else _ALL_ZONES
        rule = acl.from_numbers(_hex(call["user"]), _hex(call["resource"]), _hex(call["rights"]), zone)
    except acl.AclError as error:
        raise RefusalError("bad_request", str(error)) from error
    return {"rule": acl.shown(rule)}


def _hex(number: str) -> int:
    try:
        return int(number, 16)
    except ValueError as error:
        raise RefusalError("bad_request", f"{number[:40]!r} is no hexadecimal number.") from error


METHODS: Final = (
    change(
        "one.acl.addrule",
        (text("user"), text("resource"), text("rights"), text("zone", "")),
        "acl.add",
        _rule,
        answer=lambda _call, answer: answer.rule_id,
        makes_new=True,
        note="All four are hexadecimal numbers without 0x.",
    ),
    change(
        "one.acl.delrule",
        (integer("rule id"),),
        "acl.delete",
        lambda call: {"rule_id": call["rule id"]},
        about="ACL rule",
    ),
)
