"""Requests about groups: users who share things, and those of them who look after the others."""

from typing import Any, Final

import msgspec

from innkeeper_controller import access
from innkeeper_controller.access import Right
from innkeeper_controller.furniture import FIRST_OWN_NUMBER
from innkeeper_controller.records import AclRule, Group
from innkeeper_controller.requests import find
from innkeeper_controller.requests.belongings import belongings
from innkeeper_controller.requests.limits import new_limits
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.requests.templates import noted
from innkeeper_controller.requests.users import drop_rules
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value

_replace = msgspec.structs.replace

#: What members of a new group may do, as those of the first group of users.
RULES: Final = (
    "@{number} VM+NET+IMAGE+TEMPLATE+DOCUMENT+SECGROUP/* CREATE *",
    "@{number} HOST/* MANAGE *",
    "@{number} NET+DATASTORE/* USE *",
)


class NamedGroup(Value):
    """One group, by number or name."""

    group: str


class GroupUser(Value):
    """A group and a user."""

    group: str
    user: str


class UpdateGroup(Value):
    """What people note of a group, as a template."""

    group: str
    template: str
    #: Replace only the attributes that are given.
    append: bool = False


class GroupLimits(Value):
    """Limits of all that belongs to a group, as a template of quotas."""

    group: str
    #: ``VM = [ VMS = 5, CPU = 2 ]``, or ``vm.vms=5 vm.cpu=2``; -1 for the default, -2 for no limit.
    template: str


class GroupView(Value):
    """One group."""

    group_id: int
    name: str
    users: tuple[str, ...]
    #: Users who may manage what belongs to the group.
    admins: tuple[str, ...]
    #: The group's own, without the defaults.
    limits: dict[str, float]
    used: dict[str, float]
    attributes: dict[str, str]


def _view(turn: Turn, group: Group) -> GroupView:
    return GroupView(
        group_id=group.group_id,
        name=group.name,
        users=members(turn, group.name),
        admins=group.admins,
        limits=group.limits,
        used=dict(turn.cluster.usages.of(("group", group.name))),
        attributes=group.attributes,
    )


def members(turn: Turn, name: str) -> tuple[str, ...]:
    """Return the names of the users in a group."""
    return tuple(user.name for user in turn.cluster.users.values() if name in user.groups)


def _changed(turn: Turn, group: Group, what: str, detail: dict[str, Any], **values: object) -> GroupView:
    changed = _replace(group, **values)
    turn.put(changed)
    turn.event(f"group.{what}", f"group:{group.name}", **detail)
    return _view(turn, changed)


def add(turn: Turn, params: NamedGroup) -> GroupView:
    """Make a group whose members may make VMs and use what administrators set up."""
    find.check_name("group", params.group, characters="-_.@+=")
    if params.group in turn.cluster.groups:
        raise RefusalError("name_taken", f"There is a group {params.group} already; choose another name.")
    group = Group(group_id=max(turn.cluster.next_id("group"), FIRST_OWN_NUMBER), name=params.group)
    turn.put(group)
    turn.event("group.added", f"group:{group.name}", group_id=group.group_id)
    for text in RULES:
        rule = AclRule(rule_id=turn.cluster.next_id("acl"), text=text.format(number=group.group_id))
        turn.put(rule)
        turn.event("acl.added", f"acl:{rule.rule_id}", rule=rule.text)
    return _view(turn, group)


def groups(turn: Turn, _params: Nothing) -> tuple[GroupView, ...]:
    """List the groups that who asks is in; administrators see all."""
    found = sorted(turn.cluster.groups.values(), key=lambda group: group.group_id)
    return tuple(_view(turn, each) for each in access.visible(turn, found))


def show(turn: Turn, params: NamedGroup) -> GroupView:
    """Show one group."""
    return _view(turn, find.group(turn.cluster, params.group))


def delete(turn: Turn, params: NamedGroup) -> GroupView:
    """Forget a group that nobody is in and nothing belongs to."""
    group = find.group(turn.cluster, params.group)
    if group.group_id < FIRST_OWN_NUMBER:
        raise RefusalError("forbidden", f"Group {group.name} is one of the first groups and stays.")
    users = members(turn, group.name)
    if users:
        shown = ", ".join(users[:5])
        raise RefusalError("in_use", f"Users are in group {group.name}: {shown}; give them another group first.")
    owned = belongings(turn.cluster, "group", group.name)
    if owned:
        raise RefusalError("in_use", f"To group {group.name} still belong {owned}; give them to another with chown.")
    drop_rules(turn, "@", group.group_id)
    turn.drop(group)
    turn.event("group.deleted", f"group:{group.name}", group_id=group.group_id)
    return _view(turn, group)


def update(turn: Turn, params: UpdateGroup) -> GroupView:
    """Note something of a group."""
    group = find.group(turn.cluster, params.group)
    attributes = noted(group.attributes, params.template, append=params.append)
    return _changed(turn, group, "updated", {}, attributes=attributes)


def limits(turn: Turn, params: GroupLimits) -> GroupView:
    """Limit what may belong to a group."""
    group = find.group(turn.cluster, params.group)
    changed = new_limits(turn, group.limits, params.template)
    return _changed(turn, group, "limited", {"limits": changed}, limits=changed)


def add_admin(turn: Turn, params: GroupUser) -> GroupView:
    """Let a member look after the group's users and things."""
    group, user = find.group(turn.cluster, params.group), find.user(turn.cluster, params.user)
    if group.name not in user.groups:
        raise RefusalError("bad_request", f"User {user.name} is not in group {group.name}; put them in first.")
    admins = tuple(dict.fromkeys((*group.admins, user.name)))
    return _changed(turn, group, "admins_changed", {"admins": admins}, admins=admins)


def del_admin(turn: Turn, params: GroupUser) -> GroupView:
    """Let a member look after the group no more."""
    group, user = find.group(turn.cluster, params.group), find.user(turn.cluster, params.user)
    if user.name not in group.admins:
        raise RefusalError("bad_request", f"User {user.name} does not administer group {group.name}.")
    admins = tuple(each for each in group.admins if each != user.name)
    return _changed(turn, group, "admins_changed", {"admins": admins}, admins=admins)


def _row(verb: str, params: type[Value], summary: str, handler: Any, right: Right) -> Request:  # noqa: ANN401 - as in the table
    return Request(
        name=f"group.{verb}",
        method="POST",
        path=f"/v1/groups/{{group}}/{verb}",
        params=params,
        answer=GroupView,
        who=Who.USER,
        summary=summary,
        handler=handler,
        needs=Need(right, "group"),
    )


REQUESTS = (
    Request(
        name="group.add",
        method="POST",
        path="/v1/groups",
        params=NamedGroup,
        answer=GroupView,
        who=Who.USER,
        summary="Add a group.",
        handler=add,
        needs=Need(Right.CREATE, "group"),
    ),
    Request(
        name="group.list",
        method="GET",
        path="/v1/groups",
        params=Nothing,
        answer=tuple[GroupView, ...],
        who=Who.USER,
        summary="List your groups; administrators see all.",
        handler=groups,
    ),
    Request(
        name="group.show",
        method="GET",
        path="/v1/groups/{group}",
        params=NamedGroup,
        answer=GroupView,
        who=Who.USER,
        summary="Show a group with its users, limits and what is used of them.",
        handler=show,
        needs=Need(Right.USE, "group"),
    ),
    Request(
        name="group.delete",
        method="DELETE",
        path="/v1/groups/{group}",
        params=NamedGroup,
        answer=GroupView,
        who=Who.USER,
        summary="Forget a group that nobody is in and nothing belongs to.",
        handler=delete,
        needs=Need(Right.ADMIN, "group"),
    ),
    _row("update", UpdateGroup, "Note something of a group.", update, Right.MANAGE),
    _row("limits", GroupLimits, "Limit what may belong to a group.", limits, Right.ADMIN),
    _row("add_admin", GroupUser, "Let a member look after a group.", add_admin, Right.ADMIN),
    _row("del_admin", GroupUser, "Let a member look after a group no more.", del_admin, Right.ADMIN),
)
