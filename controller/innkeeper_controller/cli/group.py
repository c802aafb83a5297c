"""``inn group``: users who share things."""

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import NounGroup, verb
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table
from innkeeper_controller.cli.ownership import GROUPS, USERS, update
from innkeeper_controller.cli.user import limits_text


@click.group("group", cls=NounGroup)
def group() -> None:
    """Groups of users who share things."""


COLUMNS = (
    Column("ID", lambda row: row["group_id"], right=True),
    Column("NAME", lambda row: row["name"]),
    Column("USERS", lambda row: len(row["users"]), right=True),
    Column("ADMINS", lambda row: words.joined(row["admins"])),
    Column("VMS", lambda row: words.number(row["used"].get("vm.vms", 0)), right=True),
    Column("CPU", lambda row: words.number(row["used"].get("vm.cpu", 0)), right=True),
    Column("MEMORY", lambda row: words.memory(row["used"].get("vm.memory", 0)), right=True),
)
GROUP = click.argument("name_or_id", metavar="GROUP", shell_complete=GROUPS)
_USER = click.argument("user", metavar="USER", shell_complete=USERS)


@verb("add", "inn group add lab", of=group)
@click.argument("name", metavar="NAME")
def add(inn: Invocation, name: str) -> None:
    """Add a group whose members may make VMs."""
    answer = inn.call("group.add", group=name)
    inn.show(answer, lambda: f"Group {answer['group_id']} {name} is there; `inn user add-group` puts users into it.")


@verb("list", "inn group list", of=group)
def list_(inn: Invocation) -> None:
    """List your groups; administrators see all."""
    answer = inn.call("group.list")
    inn.show(answer, lambda: table(answer, COLUMNS, wide=inn.wide))


@verb("show", "inn group show lab", of=group)
@GROUP
def show(inn: Invocation, name_or_id: str) -> None:
    """Show a group with limits and what is used of them."""
    answer = inn.call("group.show", group=name_or_id)
    inn.show(answer, lambda: _show_text(answer))


def _show_text(answer: Json) -> str:
    return fields(
        [
            ("Group", f"{answer['group_id']} {answer['name']}"),
            ("Users", words.joined(answer["users"])),
            ("Admins", words.joined(answer["admins"])),
            ("Used, limits", limits_text(answer)),
            ("Notes", "\n".join(f"{name}: {value}" for name, value in answer["attributes"].items())),
        ]
    )


@verb("delete", "inn group delete lab", of=group)
@GROUP
def delete(inn: Invocation, name_or_id: str) -> None:
    """Delete a group that nobody is in and nothing belongs to."""
    answer = inn.call("group.delete", group=name_or_id)
    inn.show(answer, lambda: f"Group {answer['name']} is deleted.")


@verb("add-admin", "inn group add-admin lab ann", of=group)
@GROUP
@_USER
def add_admin(inn: Invocation, name_or_id: str, user: str) -> None:
    """Let a member look after the group's users and things."""
    answer = inn.call("group.add_admin", group=name_or_id, user=user)
    inn.show(answer, lambda: f"Group {answer['name']} is looked after by {words.joined(answer['admins'])}.")


@verb("del-admin", "inn group del-admin lab ann", of=group)
@GROUP
@_USER
def del_admin(inn: Invocation, name_or_id: str, user: str) -> None:
    """Let a member look after the group no more."""
    answer = inn.call("group.del_admin", group=name_or_id, user=user)
    inn.show(answer, lambda: f"{user} does not look after group {answer['name']} any more.")


@verb("limits", "inn group limits lab vm.cpu=40 datastore.default.size=102400", of=group)
@GROUP
@click.argument("limits", metavar="RESOURCE=LIMIT", nargs=-1, required=True)
def limits(inn: Invocation, name_or_id: str, limits: tuple[str, ...]) -> None:
    """Limit what may belong to a group; -1 for the default, -2 for no limit."""
    answer = inn.call("group.limits", group=name_or_id, template=" ".join(limits))
    inn.show(answer, lambda: limits_text(answer))


group.add_command(update("group"))
