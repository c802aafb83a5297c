"""``inn quota``: limits of those who have none of their own."""

import click

from innkeeper_controller.cli.commands import NounGroup, verb
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Json, fields
from innkeeper_controller.cli.words import number


@click.group("quota", cls=NounGroup)
def quota() -> None:
    """Limits of users and groups that have none of their own."""


_OF = click.argument("of", metavar="user|group", type=click.Choice(["user", "group"]))


def _text(answer: Json) -> str:
    if not answer["limits"]:
        return f"Nothing is limited for each {answer['of']}."
    shown = ((name, "any" if limit < 0 else number(limit)) for name, limit in sorted(answer["limits"].items()))
    return fields(shown)


@verb("show", "inn quota show user", of=quota)
@_OF
def show(inn: Invocation, of: str) -> None:
    """Show the limits that hold for each user, or each group."""
    answer = inn.call("limits.show", of=of)
    inn.show(answer, lambda: _text(answer))


@verb("set", "inn quota set user vm.vms=10 vm.cpu=8", of=quota)
@_OF
@click.argument("limits", metavar="RESOURCE=LIMIT", nargs=-1, required=True)
def set_(inn: Invocation, of: str, limits: tuple[str, ...]) -> None:
    """Change them; -1 to say nothing of a resource."""
    answer = inn.call("limits.set", of=of, template=" ".join(limits))
    inn.show(answer, lambda: _text(answer))
