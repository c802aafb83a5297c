"""``inn datastore``: the places where images and disks lie."""

import click

from innkeeper_controller.cli import ownership, words
from innkeeper_controller.cli.commands import NounGroup, verb
from innkeeper_controller.cli.complete import CLUSTERS, DATASTORES
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table


@click.group("datastore", cls=NounGroup)
def datastore() -> None:
    """Places where images and disks lie."""


COLUMNS = (
    Column("ID", lambda row: row.get("datastore_id"), right=True),
    Column("NAME", lambda row: row["name"]),
    Column("TYPE", lambda row: row.get("type", "image")),
    Column("DRIVER", lambda row: row["driver"]),
    Column("IMAGES", lambda row: row.get("images", 0), right=True),
    Column("HOSTS", lambda row: sorted(row.get("hosts", {}))),
    Column("FREE", lambda row: words.memory(_total(row, "free_mib")), right=True),
    Column("SIZE", lambda row: words.memory(_total(row, "total_mib")), right=True),
    Column("STATE", lambda row: "on" if row.get("enabled", True) else "disabled", wide=True),
    Column("CLUSTERS", lambda row: row.get("clusters", ()), wide=True),
    Column("OWNER", lambda row: row.get("owner"), wide=True),
)


def _total(row: Json, key: str) -> int:
    return sum(facts.get(key, 0) for facts in row.get("hosts", {}).values())


@verb(
    "add",
    "inn datastore add fast",
    "inn datastore add nfs --driver shared",
    "inn datastore add team --kept-in default --cluster rack-2",
    of=datastore,
)
@click.argument("name")
@click.option("--driver", default="qcow2", show_default=True, help="Transfer driver that looks after its disks.")
@click.option(
    "--type", "kind", type=click.Choice(["image", "system", "file"]), default="image", help="What it is for; image."
)
@click.option("--kept-in", metavar="DATASTORE", help="Share that datastore's place on the hosts.")
@click.option("--cluster", help="Cluster that it belongs to; else default.", shell_complete=CLUSTERS)
def add(inn: Invocation, name: str, *, driver: str, kind: str, kept_in: str | None, cluster: str | None) -> None:
    """Make a datastore; agents that shall have it name a path for it."""
    template = f'KEPT_IN = "{kept_in}"\n' if kept_in else None
    kind_asked = kind if kind != "image" else None
    answer = inn.call("datastore.add", name=name, driver=driver, type=kind_asked, template=template, cluster=cluster)
    inn.show(answer, lambda: _added_text(answer))


def _added_text(answer: Json) -> str:
    name, place = answer["name"], answer.get("kept_in") or answer["name"]
    begin = f"Datastore {name} is there, with the driver {answer['driver']}."
    if place != name:
        return f"{begin} It lies in datastore {place} on the hosts."
    return (
        f"{begin} Each host that shall have it needs a path for it\n"
        f"in its agent's configuration; `inn datastore show {name}` shows who has one."
    )


@verb("enable", "inn datastore enable fast", of=datastore)
@click.argument("name", metavar="DATASTORE", shell_complete=DATASTORES)
def enable(inn: Invocation, name: str) -> None:
    """Let a datastore take new images again."""
    answer = inn.call("datastore.enable", datastore=name, enabled=True)
    inn.show(answer, lambda: f"Datastore {answer['name']} takes new images.")


@verb("disable", "inn datastore disable fast", of=datastore)
@click.argument("name", metavar="DATASTORE", shell_complete=DATASTORES)
def disable(inn: Invocation, name: str) -> None:
    """Let a datastore take no more images; those in it stay of use."""
    answer = inn.call("datastore.enable", datastore=name, enabled=False)
    inn.show(answer, lambda: f"Datastore {answer['name']} takes no new images; those that it has stay of use.")


@verb("set-driver", "inn datastore set-driver default copy", of=datastore)
@click.argument("name", metavar="DATASTORE", shell_complete=DATASTORES)
@click.argument("driver")
def set_driver(inn: Invocation, name: str, driver: str) -> None:
    """Let another transfer driver look after an empty datastore."""
    answer = inn.call("datastore.set_driver", datastore=name, driver=driver)
    inn.show(answer, lambda: f"Datastore {answer['name']} is looked after by {answer['driver']}.")


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
            ("Datastore", " ".join(str(each) for each in (answer.get("datastore_id"), answer["name"]) if each != -1)),
            ("Type", answer.get("type", "image")),
            ("Driver", answer["driver"]),
            ("Kept in", answer["kept_in"] if answer.get("kept_in", answer["name"]) != answer["name"] else ""),
            ("New images", "taken" if answer.get("enabled", True) else "none: it is disabled"),
            ("Clusters", words.joined(answer.get("clusters", ()))),
            ("Owner", answer.get("owner", "")),
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


ownership.add_to(datastore, "datastore")
