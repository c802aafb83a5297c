"""Rows of ``one.group.*``."""

from typing import Any, Final

from innkeeper_controller.opennebula.arguments import integer, text
from innkeeper_controller.opennebula.methods.table import Call, Method, change
from innkeeper_controller.opennebula.methods.terms import named, oid, simple, update

ABOUT: Final = "group"
GROUP: Final = oid("group")


def _admin(name: str, request: str) -> Method:
    return simple(name, "group", request, integer("user id"), lambda user: {"user": str(user)}, ABOUT)


def _number(_call: Call, answer: Any) -> int:  # noqa: ANN401 - the table knows the type
    return int(answer.group_id)


METHODS: Final = (
    change(
        "one.group.allocate",
        (text("name"),),
        "group.add",
        lambda call: {"group": call["name"]},
        answer=_number,
        makes_new=True,
    ),
    change("one.group.delete", (GROUP,), "group.delete", lambda call: {"group": named(call)}, about=ABOUT),
    simple("one.group.quota", "group", "group.limits", text("template"), lambda quota: {"template": quota}, ABOUT),
    update("group", "group", ABOUT),
    _admin("one.group.addadmin", "group.add_admin"),
    _admin("one.group.deladmin", "group.del_admin"),
)
