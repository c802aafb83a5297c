"""``inn user``: who may ask, and how they are known."""

import sys
from typing import Any

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import SPAN, NounGroup, verb
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table
from innkeeper_controller.cli.ownership import GROUPS, USERS, update


@click.group("user", cls=NounGroup)
def user() -> None:
    """Users: who may ask, and how they are known."""


COLUMNS = (
    Column("ID", lambda row: row["user_id"], right=True),
    Column("NAME", lambda row: row["name"]),
    Column("GROUPS", lambda row: words.joined(row["groups"])),
    Column("ENABLED", lambda row: row["enabled"]),
    Column("VMS", lambda row: words.number(row["used"].get("vm.vms", 0)), right=True),
    Column("CPU", lambda row: words.number(row["used"].get("vm.cpu", 0)), right=True),
    Column("MEMORY", lambda row: words.memory(row["used"].get("vm.memory", 0)), right=True),
    Column("PASSWORD", lambda row: row["has_password"], wide=True),
    Column("LOGINS", lambda row: len(row["logins"]), right=True, wide=True),
)
USER = click.argument("name_or_id", metavar="USER", shell_complete=USERS)
_GROUP = click.argument("group", metavar="GROUP", shell_complete=GROUPS)
_PASSWORD = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it."
)


def limits_text(answer: Json) -> str:
    """Return what is limited or used, one a line: ``vm.cpu 2 of 4``."""
    named = sorted({*answer["limits"], *answer["used"]})
    return "\n".join(f"{name} {words.number(answer['used'].get(name, 0))}{_limit(answer, name)}" for name in named)


def _limit(answer: Json, name: str) -> str:
    limit = answer["limits"].get(name)
    if limit is None:
        return ""
    return " of any" if limit < 0 else f" of {words.number(limit)}"


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for the password at; give it with --password-stdin.")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


@verb("add", "inn user add ann", "inn user add ann --group lab --password-stdin <password.txt", of=user)
@click.argument("name", metavar="NAME")
@click.option(
    "--group", "groups", multiple=True, help="Group, the primary one first; else users.", shell_complete=GROUPS
)
@click.option("--no-password", is_flag=True, help="Let only login tokens in.")
@_PASSWORD
def add(inn: Invocation, name: str, groups: tuple[str, ...], *, no_password: bool, password_stdin: bool) -> None:
    """Add a user."""
    password = None if no_password else _password(from_stdin=password_stdin)
    answer = inn.call("user.add", user=name, groups=list(groups) or None, password=password)
    inn.show(answer, lambda: f"User {answer['user_id']} {name} is in {words.joined(answer['groups'])}.")


@verb("list", "inn user list", of=user)
def list_(inn: Invocation) -> None:
    """List users and what they have."""
    answer = inn.call("user.list")
    inn.show(answer, lambda: table(answer, COLUMNS, wide=inn.wide))


@verb("show", "inn user show ann", of=user)
@USER
def show(inn: Invocation, name_or_id: str) -> None:
    """Show a user with limits and what is used of them."""
    answer = inn.call("user.show", user=name_or_id)
    inn.show(answer, lambda: _show_text(answer))


def _show_text(answer: Json) -> str:
    return fields(
        [
            ("User", f"{answer['user_id']} {answer['name']}"),
            ("Groups", words.joined(answer["groups"])),
            ("Enabled", answer["enabled"]),
            ("Known by", answer["driver"]),
            ("Password", "set" if answer["has_password"] else "none"),
            ("Login tokens", len(answer["logins"])),
            ("Used, limits", limits_text(answer)),
            ("Notes", "\n".join(f"{name}: {value}" for name, value in answer["attributes"].items())),
        ]
    )


@verb("delete", "inn user delete ann", of=user)
@USER
def delete(inn: Invocation, name_or_id: str) -> None:
    """Delete a user who owns nothing."""
    answer = inn.call("user.delete", user=name_or_id)
    inn.show(answer, lambda: f"User {answer['name']} is deleted.")


@verb("password", "inn user password ann", "inn user password ann --password-stdin <password.txt", of=user)
@USER
@_PASSWORD
def password(inn: Invocation, name_or_id: str, *, password_stdin: bool) -> None:
    """Change a password."""
    answer = inn.call("user.password", user=name_or_id, password=_password(from_stdin=password_stdin))
    inn.show(answer, lambda: f"User {answer['name']} has a new password.")


@verb("login", "inn user login ann --valid 8h", "inn user login ann --for-ever --group lab", of=user)
@USER
@click.option("--valid", "valid_s", type=SPAN, default=36_000.0, metavar="TIME", help="How long it lets in; else 10h.")
@click.option("--for-ever", is_flag=True, help="It has no end.")
@click.option("--group", help="It is for this group only.", shell_complete=GROUPS)
def login(inn: Invocation, name_or_id: str, valid_s: float, *, for_ever: bool, group: str | None) -> None:
    """Make a login token and print it; it is shown only now."""
    answer = inn.call("user.login", user=name_or_id, valid_s=-1 if for_ever else int(valid_s), group=group)
    inn.show(answer, lambda: str(answer["token"]))


@verb("logout", "inn user logout ann", of=user)
@USER
def logout(inn: Invocation, name_or_id: str) -> None:
    """Drop all login tokens of a user."""
    answer = inn.call("user.login", user=name_or_id, valid_s=0)
    inn.show(answer, lambda: f"User {name_or_id} has no login token any more.")


@verb("enable", "inn user enable ann", of=user)
@USER
def enable(inn: Invocation, name_or_id: str) -> None:
    """Let a user in again."""
    answer = inn.call("user.enable", user=name_or_id, enabled=True)
    inn.show(answer, lambda: f"User {answer['name']} is let in.")


@verb("disable", "inn user disable ann", of=user)
@USER
def disable(inn: Invocation, name_or_id: str) -> None:
    """Let a user in no more, by no password and no token."""
    answer = inn.call("user.enable", user=name_or_id, enabled=False)
    inn.show(answer, lambda: f"User {answer['name']} is not let in any more.")


def _groups(inn: Invocation, request: str, **params: Any) -> None:  # noqa: ANN401 - of a request
    answer = inn.call(request, **params)
    inn.show(answer, lambda: f"User {answer['name']} is in {words.joined(answer['groups'])}.")


@verb("group", "inn user group ann lab", of=user)
@USER
@_GROUP
def group(inn: Invocation, name_or_id: str, group: str) -> None:
    """Give a user another primary group."""
    _groups(inn, "user.group", user=name_or_id, group=group)


@verb("add-group", "inn user add-group ann lab", of=user)
@USER
@_GROUP
def add_group(inn: Invocation, name_or_id: str, group: str) -> None:
    """Put a user into one more group."""
    _groups(inn, "user.add_group", user=name_or_id, group=group)


@verb("del-group", "inn user del-group ann lab", of=user)
@USER
@_GROUP
def del_group(inn: Invocation, name_or_id: str, group: str) -> None:
    """Take a user out of a group."""
    _groups(inn, "user.del_group", user=name_or_id, group=group)


@verb("auth", "inn user auth ann public", of=user)
@USER
@click.argument("driver", metavar="core|public", type=click.Choice(["core", "public"]))
def auth(inn: Invocation, name_or_id: str, driver: str) -> None:
    """Say how a user is known: by password and tokens (core), or by tokens only (public)."""
    answer = inn.call("user.auth", user=name_or_id, driver=driver)
    inn.show(answer, lambda: f"User {answer['name']} is known by {answer['driver']}.")


@verb("limits", "inn user limits ann vm.cpu=4 vm.vms=10 network.lan.leases=5", of=user)
@USER
@click.argument("limits", metavar="RESOURCE=LIMIT", nargs=-1, required=True)
def limits(inn: Invocation, name_or_id: str, limits: tuple[str, ...]) -> None:
    """Limit what a user may have; -1 for the default, -2 for no limit."""
    answer = inn.call("user.limits", user=name_or_id, template=" ".join(limits))
    inn.show(answer, lambda: limits_text(answer))


user.add_command(update("user"))
