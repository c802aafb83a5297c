"""``inn acl``: permissions beyond those of the things themselves."""

import click

from innkeeper_controller.cli.commands import NounGroup, verb
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, table


@click.group("acl", cls=NounGroup)
def acl() -> None:
    """Rules that let users do more."""


COLUMNS = (
    Column("ID", lambda row: row["rule_id"], right=True),
    Column("RULE", lambda row: row["rule"]),
)


@verb("add", 'inn acl add "@1 IMAGE/#3 USE"', 'inn acl add "#5 HOST/%100 ADMIN"', of=acl)
@click.argument("rule", metavar="RULE")
def add(inn: Invocation, rule: str) -> None:
    """Add a rule: users, kinds of things and which of them, rights."""
    answer = inn.call("acl.add", rule=rule)
    inn.show(answer, lambda: f"Rule {answer['rule_id']}: {answer['rule']}")


@verb("list", "inn acl list", of=acl)
def list_(inn: Invocation) -> None:
    """List the rules."""
    answer = inn.call("acl.list")
    inn.show(answer, lambda: table(answer, COLUMNS, wide=inn.wide))


@verb("delete", "inn acl delete 5", of=acl)
@click.argument("rule_id", metavar="ID", type=int)
def delete(inn: Invocation, rule_id: int) -> None:
    """Delete a rule."""
    answer = inn.call("acl.delete", rule_id=rule_id)
    inn.show(answer, lambda: f"Rule {answer['rule_id']} is deleted: {answer['rule']}")
