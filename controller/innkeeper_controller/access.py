"""Decides who may do what with which thing; every path to every request ends here.

The law, in this order:
1. A lock refuses everybody what it forbids, administrators too: it guards against slips.
2. The group ``oneadmin`` may everything.
3. The thing's own mode lets its owner, its group and all others in.
4. Whoever administers a group may use and manage what belongs to it.
5. An ACL rule lets in. Nothing shuts out what one of these has let in.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from innkeeper_controller import acl
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import (
    ADMINS,
    AclRule,
    ClusterRecord,
    Datastore,
    Group,
    Host,
    Image,
    Lock,
    Network,
    Operation,
    Record,
    StoredTemplate,
    User,
    VmRecord,
)
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import ImageId, VmId


class Right(StrEnum):
    """What somebody wants to do with a thing, from mild to strong."""

    USE = "use"
    MANAGE = "manage"
    ADMIN = "admin"
    #: Make one; asked of a kind of things, not of one.
    CREATE = "create"


#: ``{level of a lock: rights that it refuses}``
_REFUSED_BY_LOCK: Final = {
    "use": frozenset({Right.USE, Right.MANAGE, Right.ADMIN}),
    "manage": frozenset({Right.MANAGE, Right.ADMIN}),
    "admin": frozenset({Right.ADMIN}),
    "all": frozenset({Right.USE, Right.MANAGE, Right.ADMIN}),
}
#: What a lock can be for.
LOCK_LEVELS: Final = tuple(_REFUSED_BY_LOCK)
#: ``{right: its bit in a digit of the mode}``
_BITS: Final = {Right.USE: 4, Right.MANAGE: 2, Right.ADMIN: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """What the decision needs to know of a thing; ``number`` is -1 where it is about all of a kind, to make one."""

    #: OpenNebula's word of the kind, ``VM``, ``NET``...
    kind: str
    number: int = -1
    owner: str = ""
    group: str = ""
    mode: int = 0
    clusters: tuple[int, ...] = ()
    lock: Lock | None = None


def _owned(kind: str, number: str) -> Callable[[Cluster, Any], Thing]:
    def thing(_cluster: Cluster, record: Any) -> Thing:  # noqa: ANN401 - several records are owned
        return Thing(
            kind=kind,
            number=getattr(record, number),
            owner=record.owner,
            group=record.group,
            mode=record.mode,
            clusters=getattr(record, "clusters", ()),
            lock=getattr(record, "lock", None),
        )

    return thing


def _vm(cluster: Cluster, vm: VmRecord) -> Thing:
    host = cluster.hosts.get(vm.host_id) if vm.host_id is not None else None
    clusters = (host.cluster_id,) if host is not None else ()
    return Thing(
        kind="VM", number=vm.vm_id, owner=vm.owner, group=vm.group, mode=vm.mode, clusters=clusters, lock=vm.lock
    )


def _user(_cluster: Cluster, user: User) -> Thing:
    # One may use and manage oneself, but not say what one's limits and groups are. An administrator belongs to no
    # other group: whoever looks after that one would have the administrator's password in hand.
    group = ADMINS if user.is_admin else user.groups[0]
    return Thing(kind="USER", number=user.user_id, owner=user.name, group=group, mode=0o600)


def _group(_cluster: Cluster, group: Group) -> Thing:
    return Thing(kind="GROUP", number=group.group_id, group=group.name, mode=0o040)


def _host(_cluster: Cluster, host: Host) -> Thing:
    # All may see what there is; going there is another right.
    return Thing(kind="HOST", number=host.host_id, mode=0o004, clusters=(host.cluster_id,))


def _operation(cluster: Cluster, operation: Operation) -> Thing:
    kind, _, number = operation.subject.partition(":")
    subject: Record | None = (
        cluster.vms.get(VmId(int(number))) if kind == "vm" else cluster.images.get(ImageId(int(number)))
    )
    if subject is not None:
        return thing_of(cluster, subject)
    # What it was about is no more, as after a deletion: whoever asked for it may see how it ended.
    asker = cluster.users.get(operation.actor)
    is_same = asker is not None and asker.created_at_s <= operation.started_at_s
    return Thing(kind=kind.upper(), number=int(number), owner=operation.actor if is_same else "", mode=0o400)


#: ``{record: what is to be known of it}``
_THINGS: Final[dict[type, Callable[[Cluster, Any], Thing]]] = {
    VmRecord: _vm,
    Image: _owned("IMAGE", "image_id"),
    Network: _owned("NET", "network_id"),
    StoredTemplate: _owned("TEMPLATE", "template_id"),
    Datastore: _owned("DATASTORE", "datastore_id"),
    User: _user,
    Group: _group,
    Host: _host,
    ClusterRecord: lambda _, record: Thing(kind="CLUSTER", number=record.cluster_id, clusters=(record.cluster_id,)),
    AclRule: lambda _, record: Thing(kind="ACL", number=record.rule_id),
    Operation: _operation,
}

#: ``{noun of requests: OpenNebula's word of the kind}``
KIND_OF_NOUN: Final = {
    "vm": "VM",
    "host": "HOST",
    "network": "NET",
    "image": "IMAGE",
    "template": "TEMPLATE",
    "datastore": "DATASTORE",
    "user": "USER",
    "group": "GROUP",
    "cluster": "CLUSTER",
    "acl": "ACL",
}


def thing_of(cluster: Cluster, record: Record) -> Thing:
    """Return what the decision needs to know of a record."""
    return _THINGS[type(record)](cluster, record)


def may(cluster: Cluster, user: User, right: Right, thing: Thing) -> bool:
    """Return whether the user has that right, locks aside."""
    return _without_rules(cluster, user, right, thing) or acl.allows(
        cluster, user, right.value, thing.kind, thing.number, group=thing.group, clusters=thing.clusters
    )


def _without_rules(cluster: Cluster, user: User, right: Right, thing: Thing) -> bool:
    if user.is_admin:
        return True
    if right in _BITS and _by_mode(user, _BITS[right], thing):
        return True
    group = cluster.groups.get(thing.group)
    return group is not None and right in {Right.USE, Right.MANAGE} and administers(user, group)


def administers(user: User, group: Group) -> bool:
    """Return whether the user looks after the group; who came with a token for another group does not."""
    return user.name in group.admins and group.name in user.groups


def _by_mode(user: User, bit: int, thing: Thing) -> bool:
    if thing.owner == user.name and thing.mode >> 6 & bit:
        return True
    if thing.group in user.groups and thing.mode >> 3 & bit:
        return True
    return bool(thing.mode & bit)


def authorize(turn: Turn, right: Right, record: Record, *, despite_lock: bool = False) -> None:
    """Let somebody do that with a thing; the controller itself may everything.

    Args:
        turn: Of who asks.
        right: What for.
        record: The thing.
        despite_lock: Only the lock itself is to be changed.

    Raises:
        RefusalError: ``forbidden``, or ``locked``.
    """
    if turn.user is None:
        return
    thing = thing_of(turn.cluster, record)
    if not may(turn.cluster, turn.user, right, thing):
        raise RefusalError("forbidden", _sentence(turn.user, right, thing))
    if not despite_lock and thing.lock is not None and right in _REFUSED_BY_LOCK[thing.lock.level]:
        text = f"{thing.kind} {thing.number} is locked by {thing.lock.owner}; unlock it first."
        raise RefusalError("locked", text)


def authorize_creation(turn: Turn, kind: str) -> None:
    """Let somebody make a thing of that kind, OpenNebula's word.

    Raises:
        RefusalError: ``forbidden``.
    """
    thing = Thing(kind=kind)
    if turn.user is not None and not may(turn.cluster, turn.user, Right.CREATE, thing):
        raise RefusalError("forbidden", _sentence(turn.user, Right.CREATE, thing))


def _sentence(user: User, right: Right, thing: Thing) -> str:
    number = f" [{thing.number}]" if thing.number >= 0 else ""
    others = f"{thing.owner} or " if thing.owner and thing.owner != user.name else ""
    refused = f"Not authorized to perform {right.upper()} {thing.kind}{number}"
    return f"User [{user.user_id}] {user.name}: {refused}; ask {others}an administrator."


def visible(turn: Turn, records: Iterable[Any], right: Right = Right.USE) -> Iterator[Any]:
    """Go over the records that who asks may use."""
    user = turn.user
    if user is None or user.is_admin:
        yield from records
        return
    cluster = turn.cluster
    # The rules are read once for all things of a kind.
    scopes: dict[str, tuple[acl.Scope, ...]] = {}
    for record in records:
        thing = thing_of(cluster, record)
        if thing.kind not in scopes:
            scopes[thing.kind] = acl.scopes(cluster, user, right.value, thing.kind)
        if _without_rules(cluster, user, right, thing) or any(
            acl.reaches(cluster, scope, thing.number, group=thing.group, clusters=thing.clusters)
            for scope in scopes[thing.kind]
        ):
            yield record


def primary_group(turn: Turn) -> str:
    """Return the group that new things of who asks belong to."""
    return turn.user.groups[0] if turn.user is not None else ADMINS
