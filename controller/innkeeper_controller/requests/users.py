"""Requests about users: who may ask, how they are known, and which groups they are in; secrets are never shown."""

from typing import Any, Final

import msgspec

from innkeeper_controller import access, acl, logins
from innkeeper_controller.access import Right
from innkeeper_controller.records import ADMINS, USERS, Group, Moment, User
from innkeeper_controller.requests import find
from innkeeper_controller.requests.belongings import belongings
from innkeeper_controller.requests.limits import new_limits
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.requests.templates import noted
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value

_replace = msgspec.structs.replace

#: The number of the first user, who can be neither deleted nor shut out.
FIRST_USER: Final = 0
#: How users may be known; ``public`` ones by login tokens only.
DRIVERS: Final = ("core", "public")
#: Words that events name as actors.
_RESERVED: Final = frozenset({"controller", "scheduler", "agent"})


class AddUser(Value):
    """Somebody who is to be let in."""

    user: str
    #: Empty where only login tokens let in.
    password: str = ""
    driver: str = "core"
    #: The primary one first; empty for the group of users.
    groups: tuple[str, ...] = ()


class NamedUser(Value):
    """One user, by number or name."""

    user: str


class NewPassword(Value):
    """A user and the new password."""

    user: str
    password: str


class LogIn(Value):
    """A login token to be made, given another end, or dropped."""

    user: str
    #: Empty for a new one, or for all where they are dropped.
    token: str = ""
    #: Seconds until it ends; -1 for no end, 0 to drop it.
    valid_s: int = 36_000
    #: Who comes with it is in this group only; empty for all of the user's.
    group: str = ""


class LoggedIn(Value):
    """The token, which is shown only now."""

    #: Empty where tokens were dropped.
    token: str
    #: None for no end.
    expires_at_s: Moment | None


class EnableUser(Value):
    """Whether a user is let in."""

    user: str
    enabled: bool


class UserGroup(Value):
    """A user and a group."""

    user: str
    group: str


class UserAuth(Value):
    """How a user is known from now on."""

    user: str
    driver: str
    #: New password; empty leaves the one there is.
    password: str = ""


class UpdateUser(Value):
    """What people note of a user, as a template."""

    user: str
    template: str
    #: Replace only the attributes that are given.
    append: bool = False


class UserLimits(Value):
    """Limits of a user as a template of quotas."""

    user: str
    #: ``VM = [ VMS = 5, CPU = 2 ]``, or ``vm.vms=5 vm.cpu=2``; -1 for the default, -2 for no limit.
    template: str


class Login(Value):
    """One of a user's login tokens, without the token."""

    #: None for no end.
    expires_at_s: Moment | None
    group: str


class UserView(Value):
    """One user."""

    user_id: int
    name: str
    #: The primary one first.
    groups: tuple[str, ...]
    enabled: bool
    driver: str
    has_password: bool
    logins: tuple[Login, ...]
    #: The user's own, without the defaults.
    limits: dict[str, float]
    used: dict[str, float]
    attributes: dict[str, str]
    created_at_s: Moment


def _view(turn: Turn, user: User) -> UserView:
    return UserView(
        user_id=user.user_id,
        name=user.name,
        groups=user.groups,
        enabled=user.enabled,
        driver=user.auth_driver,
        has_password=bool(user.password),
        logins=tuple(Login(expires_at_s=each.expires_at_s, group=each.group) for each in user.tokens),
        limits=user.limits,
        used=dict(turn.cluster.usages.of(("user", user.name))),
        attributes=user.attributes,
        created_at_s=user.created_at_s,
    )


def _changed(turn: Turn, user: User, what: str, /, *, detail: dict[str, Any] | None = None, **values: object) -> User:
    changed = _replace(user, **values)
    turn.put(changed)
    turn.event(f"user.{what}", f"user:{user.name}", **(detail or {}))
    return changed


def add(turn: Turn, params: AddUser) -> UserView:
    """Let somebody in."""
    find.check_name("user", params.user, characters="-_.@+=")
    if params.user in turn.cluster.users or params.user in _RESERVED:
        raise RefusalError("name_taken", f"There is a user {params.user} already; choose another name.")
    groups = tuple(dict.fromkeys(_joinable(turn, each) for each in params.groups or _usual_groups(turn)))
    _check_driver(params.driver)
    user = User(
        name=params.user,
        user_id=turn.cluster.next_id("user"),
        groups=groups,
        auth_driver=params.driver,
        created_at_s=turn.now_s,
        **logins.password_fields(turn, params.password),
    )
    turn.put(user)
    turn.event("user.added", f"user:{user.name}", user_id=user.user_id, groups=user.groups)
    return _view(turn, user)


def _usual_groups(turn: Turn) -> tuple[str, ...]:
    assert turn.user is not None, "users are added by users"
    return (USERS,) if turn.user.is_admin else turn.user.groups[:1]


def _joinable(turn: Turn, wanted: str) -> str:
    """Return the name of a group that who asks may put users into."""
    group = find.group(turn.cluster, wanted)
    if group.name == ADMINS and turn.user is not None and not turn.user.is_admin:
        raise RefusalError("forbidden", f"Only an administrator may put somebody into the group {ADMINS}.")
    access.authorize(turn, Right.MANAGE, group)
    return group.name


def _check_driver(driver: str) -> None:
    if driver not in DRIVERS:
        raise RefusalError("bad_request", f"Users are known by {' or '.join(DRIVERS)} here, not by {driver[:40]!r}.")


def users(turn: Turn, _params: Nothing) -> tuple[UserView, ...]:
    """List the users that who asks may know of: administrators all, others themselves and those in their hands."""
    found = sorted(turn.cluster.users.values(), key=lambda user: user.user_id)
    return tuple(_view(turn, each) for each in access.visible(turn, found))


def show(turn: Turn, params: NamedUser) -> UserView:
    """Show one user."""
    return _view(turn, find.user(turn.cluster, params.user))


def delete(turn: Turn, params: NamedUser) -> UserView:
    """Forget a user who owns nothing."""
    user = find.user(turn.cluster, params.user)
    if user.user_id == FIRST_USER:
        raise RefusalError("forbidden", f"User {user.name} is the first administrator and stays.")
    owned = belongings(turn.cluster, "owner", user.name)
    if owned:
        text = f"User {user.name} still owns {owned}; delete that, or give it to others with chown."
        raise RefusalError("in_use", text)
    for group in list(turn.cluster.groups.values()):
        _dismiss(turn, group, user.name)
    drop_rules(turn, "#", user.user_id)
    turn.drop(user)
    turn.event("user.deleted", f"user:{user.name}", user_id=user.user_id)
    return _view(turn, user)


def drop_rules(turn: Turn, mark: str, number: int) -> None:
    """Forget the ACL rules that are for nobody but a user (``#``) or group (``@``) that goes."""
    for record in list(turn.cluster.acl_rules.values()):
        users = acl.read(record.text).users
        if (users.mark, users.number) == (mark, number):
            turn.drop(record)
            turn.event("acl.deleted", f"acl:{record.rule_id}", rule=record.text)


def _dismiss(turn: Turn, group: Group, name: str) -> None:
    if name in group.admins:
        turn.put(_replace(group, admins=tuple(each for each in group.admins if each != name)))


def password(turn: Turn, params: NewPassword) -> UserView:
    """Change a password; login tokens stay."""
    user = find.user(turn.cluster, params.user)
    logins.refuse_narrowed(turn)
    if not params.password:
        text = f"An empty password lets nobody in; `inn user disable {user.name}` keeps a user out."
        raise RefusalError("bad_request", text)
    return _view(turn, _changed(turn, user, "password_changed", **logins.password_fields(turn, params.password)))


def login(turn: Turn, params: LogIn) -> LoggedIn:
    """Make a login token, give one another end, or drop one or all."""
    user = find.user(turn.cluster, params.user)
    if params.valid_s == 0:
        logins.log_out(turn, user, params.token)
        return LoggedIn(token="", expires_at_s=None)
    group = find.group(turn.cluster, params.group).name if params.group else ""
    token, made = logins.log_in(turn, user, token=params.token, valid_s=params.valid_s, group=group)
    return LoggedIn(token=token, expires_at_s=made.expires_at_s)


def enable(turn: Turn, params: EnableUser) -> UserView:
    """Let a user in again, or not any more: by no password and no token."""
    user = find.user(turn.cluster, params.user)
    if user.user_id == FIRST_USER and not params.enabled:
        raise RefusalError("forbidden", f"User {user.name} is the first administrator and is always let in.")
    what = "enabled" if params.enabled else "disabled"
    return _view(turn, _changed(turn, user, what, enabled=params.enabled))


def set_group(turn: Turn, params: UserGroup) -> UserView:
    """Make a group the user's primary one, in place of the one that was."""
    user, group = find.user(turn.cluster, params.user), _joinable(turn, params.group)
    if user.user_id == FIRST_USER and group != ADMINS:
        raise RefusalError("forbidden", f"The primary group of user {user.name} is always {ADMINS}.")
    left = user.groups[0]
    return _view(turn, _moved(turn, user, (group, *(each for each in user.groups[1:] if each != group)), left))


def add_group(turn: Turn, params: UserGroup) -> UserView:
    """Put a user into one more group."""
    user, group = find.user(turn.cluster, params.user), _joinable(turn, params.group)
    return _view(turn, _moved(turn, user, tuple(dict.fromkeys((*user.groups, group))), ""))


def del_group(turn: Turn, params: UserGroup) -> UserView:
    """Take a user out of a group, but not out of the primary one."""
    user, group = find.user(turn.cluster, params.user), _joinable(turn, params.group)
    if group not in user.groups:
        raise RefusalError("bad_request", f"User {user.name} is not in the group {group}.")
    if group == user.groups[0]:
        raise RefusalError("bad_request", f"{group} is the primary group of user {user.name}; give another one first.")
    if user.user_id == FIRST_USER and group == ADMINS:
        raise RefusalError("forbidden", f"User {user.name} stays in the group {ADMINS}.")
    return _view(turn, _moved(turn, user, tuple(each for each in user.groups if each != group), group))


def _moved(turn: Turn, user: User, groups: tuple[str, ...], left: str) -> User:
    """Change a user's groups; tokens for a group that was left go, and so does its administration."""
    if left and left not in groups:
        _dismiss(turn, turn.cluster.groups[left], user.name)
    tokens = tuple(each for each in user.tokens if not each.group or each.group in groups)
    return _changed(turn, user, "groups_changed", detail={"groups": groups}, groups=groups, tokens=tokens)


def auth(turn: Turn, params: UserAuth) -> UserView:
    """Change how a user is known."""
    user = find.user(turn.cluster, params.user)
    _check_driver(params.driver)
    values: dict[str, Any] = {"auth_driver": params.driver}
    if params.driver != "core":
        values |= {"password": "", "password_sha1": ""}
    elif params.password:
        values |= logins.password_fields(turn, params.password)
    return _view(turn, _changed(turn, user, "auth_changed", detail={"driver": params.driver}, **values))


def update(turn: Turn, params: UpdateUser) -> UserView:
    """Note something of a user."""
    user = find.user(turn.cluster, params.user)
    attributes = noted(user.attributes, params.template, append=params.append)
    return _view(turn, _changed(turn, user, "updated", attributes=attributes))


def limits(turn: Turn, params: UserLimits) -> UserView:
    """Limit what a user may have."""
    user = find.user(turn.cluster, params.user)
    changed = new_limits(turn, user.limits, params.template)
    return _view(turn, _changed(turn, user, "limited", detail={"limits": changed}, limits=changed))


def _row(  # noqa: PLR0917 - a row of the table
    verb: str, params: type[Value], summary: str, handler: object, right: Right, answer: object = UserView
) -> Request:
    return Request(
        name=f"user.{verb}",
        method="POST",
        path=f"/v1/users/{{user}}/{verb}",
        params=params,
        answer=answer,
        who=Who.USER,
        summary=summary,
        handler=handler,  # type: ignore[arg-type]  # as in the table
        needs=Need(right, "user"),
    )


REQUESTS = (
    Request(
        name="user.add",
        method="POST",
        path="/v1/users",
        params=AddUser,
        answer=UserView,
        who=Who.USER,
        summary="Add a user.",
        handler=add,
        needs=Need(Right.CREATE, "user"),
    ),
    Request(
        name="user.list",
        method="GET",
        path="/v1/users",
        params=Nothing,
        answer=tuple[UserView, ...],
        who=Who.USER,
        summary="List the users that you may know of.",
        handler=users,
    ),
    Request(
        name="user.show",
        method="GET",
        path="/v1/users/{user}",
        params=NamedUser,
        answer=UserView,
        who=Who.USER,
        summary="Show a user with groups, limits and what is used of them.",
        handler=show,
        needs=Need(Right.USE, "user"),
    ),
    Request(
        name="user.delete",
        method="DELETE",
        path="/v1/users/{user}",
        params=NamedUser,
        answer=UserView,
        who=Who.USER,
        summary="Forget a user who owns nothing.",
        handler=delete,
        needs=Need(Right.ADMIN, "user"),
    ),
    _row("password", NewPassword, "Change a user's password.", password, Right.MANAGE),
    _row("login", LogIn, "Make or drop a login token.", login, Right.MANAGE, LoggedIn),
    _row("enable", EnableUser, "Let a user in, or not any more.", enable, Right.ADMIN),
    _row("group", UserGroup, "Give a user another primary group.", set_group, Right.ADMIN),
    _row("add_group", UserGroup, "Put a user into one more group.", add_group, Right.ADMIN),
    _row("del_group", UserGroup, "Take a user out of a group.", del_group, Right.ADMIN),
    _row("auth", UserAuth, "Change how a user is known.", auth, Right.ADMIN),
    _row("update", UpdateUser, "Note something of a user.", update, Right.MANAGE),
    _row("limits", UserLimits, "Limit what a user may have.", limits, Right.ADMIN),
)
