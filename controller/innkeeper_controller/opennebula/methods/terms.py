"""How the arguments that many methods share become parameters: ids, owners, modes, locks, small templates."""

import math
from collections.abc import Callable
from typing import Any, Final

from innkeeper_controller.opennebula.arguments import Argument, integer, text, truth
from innkeeper_controller.opennebula.methods.table import Call, Method, change
from innkeeper_controller.opennebula.numbers import LOCK_LEVELS
from innkeeper_controller.templates import parse
from innkeeper_controller.templates.errors import TemplateError
from innkeeper_controller.turn import RefusalError

#: ``{level of one.*.lock: our word}``
_LOCK_WORDS: Final = {number: word for word, number in LOCK_LEVELS.items()}
RIGHTS: Final = (
    *("owner use", "owner manage", "owner admin"),
    *("group use", "group manage", "group admin"),
    *("other use", "other manage", "other admin"),
)
DECRYPT: Final = truth("decrypt", default=False)
APPEND: Final = integer("append", 0)


def oid(word: str) -> Argument:
    """Return the argument that names the thing."""
    return integer(f"{word} id")


def named(call: Call) -> str:
    """Return the thing that the first argument names, as native requests take it.

    A number that nothing can have stays one that is not there.
    """
    number = next(iter(call.values.values()))
    return str(number) if number >= 0 else f"[{number}]"


def or_none(number: int) -> str:
    """Return an optional thing: below 0 stands for none."""
    return str(number) if number >= 0 else ""


def pairs_of(template: str) -> dict[str, str]:
    """Return all single values of a small template, those in vectors too; the first of each name.

    Raises:
        RefusalError: ``bad_template``.
    """
    try:
        attributes = parse(template)
    except TemplateError as error:
        raise RefusalError("bad_template", str(error).partition("\n")[0], mistakes=error.mistakes) from error
    found: dict[str, str] = {}
    for attribute in attributes:
        if isinstance(attribute.value, str):
            found.setdefault(attribute.name, attribute.value)
        else:
            for pair in attribute.value:
                found.setdefault(pair.key, pair.value)
    return found


def number_in(pairs: dict[str, str], name: str) -> int | None:
    """Return a whole number of a template; None where it is not there.

    Raises:
        RefusalError: ``bad_request``.
    """
    value = decimal_in(pairs, name)
    if value is not None and not math.isfinite(value):
        raise RefusalError("bad_request", f"{name} is {pairs[name][:40]!r}, which is no whole number.")
    return None if value is None else int(value)


def decimal_in(pairs: dict[str, str], name: str) -> float | None:
    """Return a number of a template; None where it is not there.

    Raises:
        RefusalError: ``bad_request``.
    """
    if name not in pairs:
        return None
    try:
        return float(pairs[name])
    except ValueError as error:
        raise RefusalError("bad_request", f"{name} is {pairs[name][:40]!r}, which is no number.") from error


def subject(noun: str) -> Callable[[Call], dict[str, object]]:
    """Return what gives the parameter that names the thing of this noun."""
    if noun == "vm":
        return lambda call: {"vm_id": next(iter(call.values.values()))}
    return lambda call: {noun: named(call)}


def mode_of(call: Call) -> str:
    """Return the nine digits of chmod in our form: ``1``, ``0`` or ``-`` for leave.

    Raises:
        RefusalError: ``bad_request``.
    """
    wrong = [right for right in RIGHTS if call[right] not in {-1, 0, 1}]
    if wrong:
        raise RefusalError("bad_request", f"{wrong[0]} is {call[wrong[0]]}; it has to be 1, 0, or -1 to leave it.")
    return "".join("-" if call[right] < 0 else "1" if call[right] else "0" for right in RIGHTS)


def ownership(one: str, noun: str, about: str, *, with_group: bool = True) -> tuple[Method, ...]:
    """Return the rows that are alike for everything that somebody owns.

    Args:
        one: OpenNebula's word in names of methods, ``vn``.
        noun: Ours.
        about: OpenNebula's words in messages.
        with_group: Whether it belongs to somebody at all, so that chmod and chown exist.
    """
    params, first = subject(noun), oid(noun)
    rows = [rename(one, noun, about)]
    if with_group:
        rows += [
            change(
                f"one.{one}.chmod",
                (first, *(integer(right, -1) for right in RIGHTS), *((RECURSIVE,) if one == "template" else ())),
                f"{noun}.chmod",
                lambda call: params(call) | {"mode": mode_of(call)},
                about=about,
            ),
            change(
                f"one.{one}.chown",
                (first, integer("user id"), integer("group id", -1)),
                f"{noun}.chown",
                lambda call: params(call) | {"owner": or_none(call["user id"]), "group": or_none(call["group id"])},
                about=about,
            ),
        ]
    return tuple(rows)


RECURSIVE: Final = truth("recursive", default=False)


def rename(one: str, noun: str, about: str) -> Method:
    """Return the row that renames a thing."""
    params = subject(noun)
    return change(
        f"one.{one}.rename",
        (oid(noun), text("name")),
        f"{noun}.rename",
        lambda call: params(call) | {"name": call["name"]},
        about=about,
    )


def update(one: str, noun: str, about: str, request: str = "") -> Method:
    """Return the row that notes something of a thing."""
    params = subject(noun)
    return change(
        f"one.{one}.update",
        (oid(noun), text("template"), APPEND),
        request or f"{noun}.update",
        lambda call: params(call) | {"template": call["template"], "append": bool(call["append"])},
        about=about,
    )


def locking(one: str, noun: str, about: str) -> tuple[Method, Method]:
    """Return the rows that lock and unlock a thing."""
    params = subject(noun)

    def level(call: Call) -> dict[str, object]:
        word = _LOCK_WORDS.get(call["level"])
        if word is None:
            raise RefusalError("bad_request", f"Lock level {call['level']} is none of 1 use, 2 manage, 3 admin, 4 all.")
        return params(call) | {"level": word}

    return (
        change(
            f"one.{one}.lock",
            (oid(noun), integer("level"), truth("test", default=False)),
            f"{noun}.lock",
            level,
            about=about,
        ),
        change(f"one.{one}.unlock", (oid(noun),), f"{noun}.unlock", params, about=about),
    )


def simple(  # noqa: PLR0917 - a row of the table
    name: str, noun: str, request: str, second: Argument, params: Callable[[Any], dict[str, object]], about: str
) -> Method:
    """Return a row of two arguments: the thing, and a value of which ``params`` makes the other parameters."""
    whose = subject(noun)
    return change(name, (oid(noun), second), request, lambda call: whose(call) | params(call[second.name]), about=about)
