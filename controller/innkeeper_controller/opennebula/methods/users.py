"""Rows of ``one.user.*``, ``one.userquota.*`` and ``one.groupquota.*``."""

from typing import Final

from innkeeper_controller.opennebula.arguments import integer, integers, text, truth
from innkeeper_controller.opennebula.methods.table import Call, Method, change
from innkeeper_controller.opennebula.methods.terms import oid, or_none
from innkeeper_controller.turn import RefusalError

ABOUT: Final = "user"
USER: Final = oid("user")
_GROUP: Final = integer("group id")


def _who(call: Call) -> str:
    """Return the user that is meant; -1 is the caller."""
    number = call["user id"]
    return str(call.user.user_id if number == -1 else number) if number >= -1 else f"[{number}]"


def _about_user(name: str, request: str, *arguments: object, **params: str) -> Method:
    """Return a row about a user; ``params`` name the arguments that further parameters come from."""

    def given(call: Call) -> dict[str, object]:
        return {"user": _who(call)} | {key: call[argument] for key, argument in params.items()}

    return change(name, (USER, *arguments), request, given, about=ABOUT)  # type: ignore[arg-type]  # arguments they are


def _with_group(name: str, request: str) -> Method:
    return change(
        name,
        (USER, _GROUP),
        request,
        lambda call: {"user": _who(call), "group": str(call["group id"])},
        about=ABOUT,
    )


def _login(call: Call) -> dict[str, object]:
    if not call["user name"]:
        raise RefusalError("bad_request", "Argument 1, user name, is empty.")
    return {
        "user": call["user name"],
        "token": call["token"],
        "valid_s": call["valid s"],
        "group": or_none(call["group id"]),
    }


METHODS: Final = (
    change(
        "one.user.allocate",
        (text("name"), text("password"), text("driver", "core"), integers("group ids")),
        "user.add",
        lambda call: {
            "user": call["name"],
            "password": call["password"],
            "driver": call["driver"] or "core",
            "groups": tuple(str(each) for each in call["group ids"]),
        },
        answer=lambda _call, answer: answer.user_id,
        makes_new=True,
    ),
    _about_user("one.user.delete", "user.delete"),
    _about_user("one.user.passwd", "user.password", text("password"), password="password"),  # noqa: S106 - a name
    _about_user("one.user.enable", "user.enable", truth("enable"), enabled="enable"),
    change(
        "one.user.update",
        (USER, text("template"), integer("append", 0)),
        "user.update",
        lambda call: {"user": _who(call), "template": call["template"], "append": bool(call["append"])},
        about=ABOUT,
    ),
    _about_user(
        "one.user.chauth",
        "user.auth",
        text("driver"),
        text("password", ""),
        driver="driver",
        password="password",  # noqa: S106 - a name
    ),
    _about_user("one.user.quota", "user.limits", text("template"), template="template"),
    _with_group("one.user.chgrp", "user.group"),
    _with_group("one.user.addgroup", "user.add_group"),
    _with_group("one.user.delgroup", "user.del_group"),
    change(
        "one.user.login",
        (text("user name"), text("token", ""), integer("valid s", 36_000), integer("group id", -1)),
        "user.login",
        _login,
        # An empty text would be more than clients can bear.
        answer=lambda call, answer: answer.token or call["token"] or "0",
        gives="string",
        note="valid s: -1 for no end, 0 ends the token, or all of them where it is empty.",
    ),
)
