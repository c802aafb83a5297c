"""Requests that are alike for everything that has a name, an owner or notes, made from one table of nouns."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from innkeeper_controller import access, quotas
from innkeeper_controller.access import Right
from innkeeper_controller.expressions import ExpressionError, compile_rank, compile_requirement
from innkeeper_controller.records import ClusterRecord, Datastore, Host, Image, Lock, Network, VmRecord
from innkeeper_controller.requests import allow, find, wished
from innkeeper_controller.requests.admission import NAMED
from innkeeper_controller.requests.table import Need, Request, Who
from innkeeper_controller.requests.templates import check_wire, keep_restricted, network_from, noted
from innkeeper_controller.templates import restricted
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_controller.usage import amounts_of
from innkeeper_plugins.vocabulary import Value, ValueMeta

_replace = msgspec.structs.replace

_OCTAL: Final = re.compile(r"[0-7]{3}")
_NINE: Final = re.compile(r"[01-]{9}")
_ADMIN_BITS: Final = 0o111


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    """What can be done with things of a kind."""

    path: str
    #: Field with the number.
    number: str
    #: Somebody owns it, so that it has a mode.
    owned: bool = True
    locks: bool = False
    #: Field with what people note of it; empty where ``<noun>.update`` is somebody else's.
    notes: str = "attributes"
    #: Index of the names, which are unique; empty where several may have the same.
    names: str = ""
    #: What a name may have beside letters and digits; empty for all that can be printed.
    characters: str = ""


NOUNS: Final[Mapping[str, Noun]] = {
    "vm": Noun(path="/v1/vms/{vm_id}", number="vm_id", locks=True),
    "image": Noun(path="/v1/images/{image}", number="image_id", locks=True, names="image_ids"),
    "network": Noun(path="/v1/networks/{network}", number="network_id", locks=True, names="network_ids"),
    "template": Noun(path="/v1/templates/{template}", number="template_id", locks=True, notes="", names="template_ids"),
    "datastore": Noun(path="/v1/datastores/{datastore}", number="datastore_id", names="datastores"),
    "host": Noun(
        path="/v1/hosts/{host}", number="host_id", owned=False, notes="labels", names="host_ids", characters="-_."
    ),
    "cluster": Noun(path="/v1/clusters/{cluster}", number="cluster_id", owned=False, names="cluster_ids"),
}
#: ``{attribute that means something here: field of the network}``; how it reaches the wire is for administrators.
_NETWORK_FIELDS: Final = {
    "GATEWAY": "gateway",
    "NETWORK_MASK": "netmask",
    "DNS": "dns",
    "BRIDGE": "bridge",
    "PHYDEV": "physical_device",
    "VN_MAD": "vn_mad",
    "VLAN_ID": "vlan_id",
}
_NETWORK_WIRES: Final = frozenset({"BRIDGE", "VLAN_ID", "PHYDEV", "VN_MAD"})

#: ``(attribute, field of the VM, what reads it)``; the new name comes last and counts.
_PLACING: Final[tuple[tuple[str, str, Callable[[str], object]], ...]] = (
    ("REQUIREMENTS", "requirements", compile_requirement),
    ("SCHED_REQUIREMENTS", "requirements", compile_requirement),
    ("RANK", "rank", compile_rank),
    ("SCHED_RANK", "rank", compile_rank),
)


class OwnedView(Value):
    """Whose a thing is now, and who may do what with it."""

    number: int
    name: str
    #: Empty where nobody owns things of this kind, as the rest is.
    owner: str = ""
    group: str = ""
    #: What owner, group and others may do, in the digits of chmod: 4 use, 2 manage, 1 admin.
    mode: str = ""
    #: Level of its lock; empty for none.
    lock: str = ""


def _view(noun: str, record: Any) -> OwnedView:  # noqa: ANN401 - several records
    number = int(getattr(record, NOUNS[noun].number))
    if not NOUNS[noun].owned:
        return OwnedView(number=number, name=record.name)
    lock = getattr(record, "lock", None)
    return OwnedView(
        number=number,
        name=record.name,
        owner=record.owner,
        group=record.group,
        mode=f"{record.mode:03o}",
        lock=lock.level if lock is not None else "",
    )


def _changed(turn: Turn, noun: str, record: Any, what: str, detail: dict[str, Any], **values: object) -> OwnedView:  # noqa: ANN401 - several records
    changed = _replace(record, **values)
    turn.put(changed)
    key = record.name if noun == "datastore" else getattr(record, NOUNS[noun].number)
    turn.event(f"{noun}.{what}", f"{noun}:{key}", **detail)
    return _view(noun, changed)


def _chmod(turn: Turn, noun: str, params: Any) -> OwnedView:  # noqa: ANN401 - made below
    record: Any = NAMED[noun](turn, params)
    mode = _mode(record.mode, params.mode)
    if (mode ^ record.mode) & _ADMIN_BITS:
        access.authorize(turn, Right.ADMIN, record)
    return _changed(turn, noun, record, "mode_changed", {"mode": f"{mode:03o}"}, mode=mode)


def _mode(old: int, wanted: str) -> int:
    """Return the mode after ``640``, or after nine of ``1 0 -``: owner, group, other, each use, manage, admin."""
    if _OCTAL.fullmatch(wanted):
        return int(wanted, 8)
    if not _NINE.fullmatch(wanted):
        text = f"{wanted[:20]!r} is no mode; one reads like 640: owner, group and others, 4 use, 2 manage, 1 admin."
        raise RefusalError("bad_request", text)
    mode = 0
    for place, sign in enumerate(wanted):
        bit = 1 << (8 - place)
        mode |= old & bit if sign == "-" else bit if sign == "1" else 0
    return mode


def _chown(turn: Turn, noun: str, params: Any) -> OwnedView:  # noqa: ANN401 - made below
    record: Any = NAMED[noun](turn, params)
    owner = find.user(turn.cluster, params.owner).name if params.owner else record.owner
    group = record.group
    if owner != record.owner:
        access.authorize(turn, Right.ADMIN, record)
    if params.group:
        wanted = find.group(turn.cluster, params.group)
        group = wanted.name
        if group != record.group:
            access.authorize(turn, Right.USE, wanted)
    quotas.charge(
        turn,
        owner if owner != record.owner else "",
        group if group != record.group else "",
        amounts_of(record),
    )
    return _changed(turn, noun, record, "owner_changed", {"owner": owner, "group": group}, owner=owner, group=group)


def _rename(turn: Turn, noun: str, params: Any) -> OwnedView:  # noqa: ANN401 - made below
    record: Any = NAMED[noun](turn, params)
    row = NOUNS[noun]
    if isinstance(record, Datastore):
        raise RefusalError("bad_request", "A datastore keeps its name: agents have a path for it.")
    if params.name == record.name:
        return _view(noun, record)
    find.check_name(noun, params.name, characters=row.characters)
    if row.names and params.name in getattr(turn.cluster, row.names):
        article = "an" if noun.startswith("i") else "a"
        raise RefusalError("name_taken", f"There is {article} {noun} {params.name} already; choose another name.")
    return _changed(turn, noun, record, "renamed", {"name": params.name, "was": record.name}, name=params.name)


def _lock(turn: Turn, noun: str, params: Any) -> OwnedView:  # noqa: ANN401 - made below
    record: Any = NAMED[noun](turn, params)
    if params.level not in access.LOCK_LEVELS:
        raise RefusalError(
            "bad_request", f"A lock is one of {', '.join(access.LOCK_LEVELS)}, not {params.level[:20]!r}."
        )
    _check_lock(turn, record)
    lock = Lock(level=params.level, owner=turn.actor, at_s=turn.now_s)
    return _changed(turn, noun, record, "locked", {"level": lock.level}, lock=lock)


def _unlock(turn: Turn, noun: str, params: Any) -> OwnedView:  # noqa: ANN401 - made below
    record: Any = NAMED[noun](turn, params)
    if record.lock is None:
        return _view(noun, record)
    _check_lock(turn, record)
    return _changed(turn, noun, record, "unlocked", {}, lock=None)


def _check_lock(turn: Turn, record: Any) -> None:  # noqa: ANN401 - several records
    """Refuse to touch somebody else's lock: its maker, the thing's owner and administrators may."""
    user = turn.user
    if record.lock is None or user is None or user.is_admin or user.name in {record.lock.owner, record.owner}:
        return
    raise RefusalError("locked", f"{record.lock.owner} locked it; ask them, its owner or an administrator.")


def _update(turn: Turn, noun: str, params: Any) -> OwnedView:  # noqa: ANN401 - made below
    record: Any = NAMED[noun](turn, params)
    field = NOUNS[noun].notes
    given = noted(getattr(record, field), params.template, append=params.append)
    if isinstance(record, VmRecord | Image | Network):
        before = wished.shown(record) if isinstance(record, VmRecord) else record.attributes
        given = keep_restricted(turn, before, given, *_restricted_of(turn, record))
    values: dict[str, object] = {field: given}
    if isinstance(record, Network):
        values |= _network_values(turn, record, given, append=params.append)
        check_wire(_replace(record, **values))
    if isinstance(record, VmRecord):
        values |= _vm_values(given, append=params.append) | wished.noted(turn, record, given)
    if isinstance(record, Host | ClusterRecord):
        values |= allow.noted(turn, record, given, append=params.append)
    if isinstance(record, Host) and any("\n" in value for value in given.values()):
        raise RefusalError("bad_request", "A label of a host has one value.")
    return _changed(turn, noun, record, "updated", {"names": sorted(given)}, **values)


def _restricted_of(turn: Turn, record: VmRecord | Image | Network) -> tuple[Sequence[str], Sequence[str]]:
    """Return what only administrators may say of a thing, and what the usual of it is."""
    if isinstance(record, Image):
        return turn.settings.restricted_image, restricted.IMAGE
    if isinstance(record, Network):
        return turn.settings.restricted_network, restricted.NETWORK
    return turn.settings.restricted_vm, restricted.VM


def _vm_values(given: dict[str, str], *, append: bool) -> dict[str, object]:
    """Return what the attributes of a VM say of its place; these become no notes, nor does what only we say."""
    for name in ("ERROR", "SCHED_MESSAGE"):
        given.pop(name, None)
    fields: dict[str, object] = {} if append else {"requirements": "", "rank": ""}
    for name, field, compiled in _PLACING:
        if name in given:
            try:
                compiled(given[name])
            except ExpressionError as error:
                raise RefusalError("bad_template", f"{name}: {error.message}") from error
            fields[field] = given.pop(name)
    return fields


def _network_values(turn: Turn, network: Network, given: dict[str, str], *, append: bool) -> dict[str, object]:
    """Return the fields that attributes of a network stand for; these become no notes.

    What replaces everything leaves the wire as it is, but not what guests are told of the network.
    """
    told: dict[str, object] = {} if append else {"gateway": "", "netmask": "", "dns": ""}
    is_admin = turn.user is None or turn.user.is_admin
    wires = sorted(_NETWORK_WIRES & given.keys() - network.attributes.keys())
    if wires and not is_admin:
        raise RefusalError("forbidden", f"Only an administrator may say {', '.join(wires)} of a network.")
    acting = {name: given.pop(name) for name in _NETWORK_FIELDS if name in given}
    read = network_from("", acting, ())
    empty = {_NETWORK_FIELDS[name]: "" for name, text in acting.items() if not text and name != "VLAN_ID"}
    return told | empty | {field: read[field] for field in _NETWORK_FIELDS.values() if field in read}


Handler = Callable[[Turn, str, Any], OwnedView]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verb:
    """One request of every noun that it is for."""

    word: str
    handler: Handler
    #: Parameters beside the noun: ``(name, type)`` or ``(name, type, default)``.
    params: tuple[Any, ...] = ()
    summary: str
    right: Right = Right.MANAGE
    despite_lock: bool = False
    applies: Callable[[Noun], bool] = lambda _: True


_VERBS: Final = (
    _Verb(
        word="chmod",
        handler=_chmod,
        params=(("mode", str),),
        summary="Say what owner, group and all others may do with the {noun}: 640, or nine of 1, 0 and -.",
        applies=lambda noun: noun.owned,
    ),
    _Verb(
        word="chown",
        handler=_chown,
        params=(("owner", str, ""), ("group", str, "")),
        summary="Give the {noun} to another user or group.",
        applies=lambda noun: noun.owned,
    ),
    _Verb(word="rename", handler=_rename, params=(("name", str),), summary="Give the {noun} another name."),
    _Verb(
        word="lock",
        handler=_lock,
        params=(("level", str, "all"),),
        summary="Keep the {noun} as it is: refuse use, manage, admin or all.",
        despite_lock=True,
        applies=lambda noun: noun.locks,
    ),
    _Verb(
        word="unlock",
        handler=_unlock,
        summary="Let the {noun} be used and changed again.",
        despite_lock=True,
        applies=lambda noun: noun.locks,
    ),
    _Verb(
        word="update",
        handler=_update,
        params=(("template", str), ("append", bool, False)),
        summary="Note something of the {noun}, as a template.",
        applies=lambda noun: bool(noun.notes),
    ),
)


def _params(name: str, doc: str, fields: tuple[Any, ...]) -> type[Value]:
    """Return a class of parameters; fields are ``(name, type)`` or ``(name, type, default)``."""
    namespace: dict[str, Any] = {each[0]: each[2] for each in fields if len(each) > len(("name", "type"))}
    namespace |= {"__annotations__": {each[0]: each[1] for each in fields}, "__doc__": doc, "__module__": __name__}
    made: type[Value] = ValueMeta(name, (Value,), namespace)
    return made


def _request(noun: str, row: Noun, verb: _Verb) -> Request:
    params = _params(
        f"{verb.word.capitalize()}{noun.capitalize()}",
        f"A {noun}, and what {verb.word} needs.",
        (("vm_id", int) if noun == "vm" else (noun, str), *verb.params),
    )

    def handler(turn: Turn, params: Any) -> OwnedView:  # noqa: ANN401 - made above
        return verb.handler(turn, noun, params)

    # What nobody owns, administrators change; clusters and hosts are theirs.
    right = verb.right if row.owned else Right.ADMIN
    return Request(
        name=f"{noun}.{verb.word}",
        method="POST",
        path=f"{row.path}/{verb.word}",
        params=params,
        answer=OwnedView,
        who=Who.USER,
        summary=verb.summary.format(noun=noun),
        handler=handler,
        needs=Need(right, noun, despite_lock=verb.despite_lock),
    )


REQUESTS = tuple(_request(noun, row, verb) for noun, row in NOUNS.items() for verb in _VERBS if verb.applies(row))
