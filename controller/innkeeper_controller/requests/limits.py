"""Requests about the limits of those who have none of their own, and the two ways of writing limits."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from innkeeper_controller.access import Right
from innkeeper_controller.quotas import DEFAULT, UNLIMITED
from innkeeper_controller.records import DefaultLimits
from innkeeper_controller.requests import find
from innkeeper_controller.requests.table import Need, Request, Who
from innkeeper_controller.requests.templates import refused_mistakes
from innkeeper_controller.templates import parse
from innkeeper_controller.templates.attributes import Attribute
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value

#: ``{attribute of a quota template: {its key: ours}}``; all but VM name a thing by ID.
KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "VM": {
        "VMS": "vms",
        "CPU": "cpu",
        "MEMORY": "memory",
        "SYSTEM_DISK_SIZE": "system_disk_size",
        "RUNNING_VMS": "running_vms",
        "RUNNING_CPU": "running_cpu",
        "RUNNING_MEMORY": "running_memory",
    },
    "NETWORK": {"LEASES": "leases"},
    "DATASTORE": {"SIZE": "size", "IMAGES": "images"},
    "IMAGE": {"RVMS": "rvms"},
}
#: ``vm.cpu=2``, ``network.lan.leases=3``: the short way.
_SHORT: Final = re.compile(r"(vm|network|datastore|image)\.(?:(.+)\.)?([a-z_]+)=(\S+)")
_SHORT_BEGINNING: Final = re.compile(r"\s*(?:vm|network|datastore|image)\.")
#: Limits of one account.
MAX_LIMITS: Final = 10_000
_MAX_LIMIT: Final = 1e15


class LimitsOf(Value):
    """Whose defaults: ``user`` or ``group``."""

    of: str


class SetLimits(Value):
    """New defaults."""

    #: ``user`` or ``group``.
    of: str
    #: ``VM = [ VMS = 5, CPU = 2 ]``, or ``vm.vms=5 vm.cpu=2``; -2 for no limit, -1 to say nothing.
    template: str


class LimitsView(Value):
    """Limits of those who have none of their own."""

    of: str
    limits: dict[str, float]


def show(turn: Turn, params: LimitsOf) -> LimitsView:
    """Show the defaults."""
    _check(params.of)
    record = turn.cluster.default_limits.get(params.of)
    return LimitsView(of=params.of, limits=record.limits if record is not None else {})


def change(turn: Turn, params: SetLimits) -> LimitsView:
    """Change the defaults."""
    old = show(turn, LimitsOf(of=params.of)).limits
    record = DefaultLimits(of=params.of, limits=new_limits(turn, old, params.template))
    turn.put(record)
    turn.event("limits.changed", f"limits:{record.of}", limits=record.limits)
    return LimitsView(of=record.of, limits=record.limits)


def _check(of: str) -> None:
    if of not in {"user", "group"}:
        raise RefusalError("bad_request", f"Limits are of user or group, not of {of[:40]!r}.")


def new_limits(turn: Turn, old: Mapping[str, float], template: str) -> dict[str, float]:
    """Return limits after a change; those that the template does not name stay.

    Args:
        turn: Finds what is named.
        old: ``{resource: limit}``.
        template: OpenNebula's quota template as text or XML, or words like ``vm.cpu=2``.

    Raises:
        RefusalError: ``bad_template``, ``bad_request`` or ``not_found``.
    """
    given = dict(_short(turn, template) if _SHORT_BEGINNING.match(template) else _quotas(turn, template))
    limits = {resource: limit for resource, limit in {**old, **given}.items() if limit != DEFAULT}
    if len(limits) > MAX_LIMITS:
        raise RefusalError("too_large", f"An account has at most {MAX_LIMITS} limits.")
    return limits


def _short(turn: Turn, text: str) -> Iterable[tuple[str, float]]:
    for word in text.replace(",", " ").split():
        found = _SHORT.fullmatch(word)
        keys = KEYS[found[1].upper()].values() if found else ()
        if found is None or found[3] not in keys or (found[1] == "vm") != (found[2] is None):
            raise RefusalError(
                "bad_request", f"{word[:60]!r} is no limit; one reads like vm.cpu=2, network.lan.leases=3."
            )
        yield _resource(turn, found[1], found[2] or "", found[3]), _amount(found[3], found[4])


def _quotas(turn: Turn, text: str) -> Iterable[tuple[str, float]]:
    with refused_mistakes():
        attributes = parse(text) if text.strip() else ()
    for attribute in attributes:
        yield from _quota(turn, attribute)


def _quota(turn: Turn, attribute: Attribute) -> Iterable[tuple[str, float]]:
    keys = KEYS.get(attribute.name)
    if keys is None or isinstance(attribute.value, str):
        text = "use VM, NETWORK, DATASTORE or IMAGE = [ ... ], or words like vm.cpu=2, network.lan.leases=3"
        raise RefusalError("bad_request", f"{attribute.name} is no quota; {text}.")
    pairs = {pair.key: pair.value for pair in attribute.value if not pair.key.endswith("_USED")}
    wanted = pairs.pop("ID", "")
    if attribute.name != "VM" and not wanted:
        raise RefusalError("bad_request", f"A quota of {attribute.name} names one by its ID.")
    for key, value in pairs.items():
        if key not in keys:
            raise RefusalError("bad_request", f"{key} cannot be limited in {attribute.name}; use {', '.join(keys)}.")
        yield _resource(turn, attribute.name.lower(), wanted, keys[key]), _amount(key, value)


def _resource(turn: Turn, kind: str, wanted: str, what: str) -> str:
    """Return the name of what is limited, as usage counts it."""
    if kind == "vm":
        return f"vm.{what}"
    if kind == "network":
        return f"network.{find.network(turn.cluster, wanted).network_id}.{what}"
    if kind == "image":
        return f"image.{find.image(turn.cluster, wanted).image_id}.{what}"
    return f"datastore.{find.datastore(turn.cluster, wanted).name}.{what}"


def _amount(name: str, value: str) -> float:
    try:
        limit = float(value)
    except ValueError:
        limit = -3.0
    if not (limit in {DEFAULT, UNLIMITED} or 0 <= limit <= _MAX_LIMIT):
        raise RefusalError(
            "bad_request", f"{name} = {value[:40]} is no limit; use a number, -1 for the default or -2 for none."
        )
    return limit


REQUESTS = (
    Request(
        name="limits.show",
        method="GET",
        path="/v1/limits/{of}",
        params=LimitsOf,
        answer=LimitsView,
        who=Who.USER,
        summary="Show the limits of users, or groups, that have none of their own.",
        handler=show,
    ),
    Request(
        name="limits.set",
        method="POST",
        path="/v1/limits/{of}",
        params=SetLimits,
        answer=LimitsView,
        who=Who.ADMIN,
        summary="Change the limits of users, or groups, that have none of their own.",
        handler=change,
        needs=Need(Right.CREATE, "user"),
    ),
)
