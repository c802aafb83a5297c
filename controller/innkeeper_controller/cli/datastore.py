"""``inn datastore``: the places where images and disks lie."""

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import NounGroup, verb
from innkeeper_controller.cli.complete import DATASTORES
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table


@click.group("datastore", cls=NounGroup)
def datastore() -> None:
    """Places where images and disks lie."""


COLUMNS = (
    Column("NAME", lambda row: row["name"]),
    Column("DRIVER", lambda row: row["driver"]),
    Column("IMAGES", lambda row: row.get("images", 0), right=True),
    Column("HOSTS", lambda row: sorted(row.get("hosts", {}))),
    Column("FREE", lambda row: words.memory(_total(row, "free_mib")), right=True),
    Column("SIZE", lambda row: words.memory(_total(row, "total_mib")), right=True),
)


def _total(row: Json, key: str) -> int:
    return sum(facts.get(key, 0) for facts in row.get("hosts", {}).values())


@verb("add", "inn datastore add fast", "inn datastore add nfs --driver shared", of=datastore)
@click.argument("name")
@click.option("--driver", default="qcow2", show_default=True, help="Transfer driver that looks after its disks.")
def add(inn: Invocation, name: str, driver: str) -> None:
    """Make a datastore; agents that shall have it name a path for it."""
    answer = inn.call("datastore.add", name=name, driver=driver)
    inn.show(
        answer,
        lambda: (
            f"Datastore {name} is there, with the driver {driver}. Each host that shall have it needs a path for it\n"
            f"in its agent's configuration; `inn datastore show {name}` shows who has one."
        ),
    )


@verb("list", "inn datastore list", of=datastore)
def list_(inn: Invocation) -> None:
    """List datastores and the hosts that have them."""
    answer = inn.call("datastore.list")
    inn.show(answer, lambda: table(answer, COLUMNS, wide=inn.wide))


@verb("show", "inn datastore show default", of=datastore)
@click.argument("name", metavar="DATASTORE", shell_complete=DATASTORES)
def show(inn: Invocation, name: str) -> None:
    """Show one datastore and its room on each host."""
    answer = inn.call("datastore.show", datastore=name)
    inn.show(answer, lambda: _show_text(answer))


def _show_text(answer: Json) -> str:
    rooms = [
        f"{host}: {words.memory(facts['free_mib'])} free of {words.memory(facts['total_mib'])}"
        for host, facts in sorted(answer.get("hosts", {}).items())
    ]
    return fields(
        [
            ("Datastore", answer["name"]),
            ("Driver", answer["driver"]),
            ("Images", answer.get("images", 0)),
            ("Hosts", "\n".join(rooms)),
        ]
    )


@verb("delete", "inn datastore delete fast", of=datastore)
@click.argument("name", metavar="DATASTORE", shell_complete=DATASTORES)
def delete(inn: Invocation, name: str) -> None:
    """Forget an empty datastore."""
    answer = inn.call("datastore.delete", datastore=name)
    inn.show(answer, lambda: f"Datastore {name} is forgotten.")
