"""``inn cluster``: which hosts, networks and datastores go together."""

import click

from innkeeper_controller.cli import allowances, ownership, words
from innkeeper_controller.cli.commands import NounGroup, verb
from innkeeper_controller.cli.complete import CLUSTERS, DATASTORES, HOSTS, NETWORKS
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table


@click.group("cluster", cls=NounGroup)
def cluster() -> None:
    """Hosts, networks and datastores that go together."""


COLUMNS = (
    Column("ID", lambda row: row["cluster_id"], right=True),
    Column("NAME", lambda row: row["name"]),
    Column("HOSTS", lambda row: row.get("hosts", ())),
    Column("NETWORKS", lambda row: row.get("networks", ())),
    Column("DATASTORES", lambda row: row.get("datastores", ())),
)
_CLUSTER = click.argument("name_or_id", metavar="CLUSTER", shell_complete=CLUSTERS)
_HOST = click.argument("host", metavar="HOST", shell_complete=HOSTS)
_NETWORK = click.argument("network", metavar="NETWORK", shell_complete=NETWORKS)
_DATASTORE = click.argument("datastore", metavar="DATASTORE", shell_complete=DATASTORES)


@verb("add", "inn cluster add rack-2", of=cluster)
@click.argument("name")
def add(inn: Invocation, name: str) -> None:
    """Make a cluster, still without members."""
    answer = inn.call("cluster.add", name=name)
    inn.show(answer, lambda: f"Cluster {answer['cluster_id']} {name} is there; `inn cluster add-host` fills it.")


@verb("list", "inn cluster list", of=cluster)
def list_(inn: Invocation) -> None:
    """List clusters with their members."""
    answer = inn.call("cluster.list")
    inn.show(answer, lambda: table(answer, COLUMNS, wide=inn.wide))


@verb("show", "inn cluster show rack-2", of=cluster)
@_CLUSTER
def show(inn: Invocation, name_or_id: str) -> None:
    """Show one cluster."""
    answer = inn.call("cluster.show", cluster=name_or_id)
    inn.show(answer, lambda: _show_text(answer))


def _show_text(answer: Json) -> str:
    return fields(
        [
            ("Cluster", f"{answer['cluster_id']} {answer['name']}"),
            ("Hosts", words.joined(answer.get("hosts", ()))),
            ("Networks", words.joined(answer.get("networks", ()))),
            ("Datastores", words.joined(answer.get("datastores", ()))),
            *((("May give", allowances.decided(rules)),) if (rules := answer.get("allowances")) else ()),
            ("Attributes", "\n".join(f"{key} = {value}" for key, value in answer.get("attributes", {}).items())),
        ]
    )


@verb(
    "set", "inn cluster set rack-2 --cpu-ratio 4 --disk-ratio 2", "inn cluster set rack-2 --cpu-ratio none", of=cluster
)
@_CLUSTER
@allowances.options
def set_(inn: Invocation, name_or_id: str, **given: float | str | None) -> None:
    """Decide how much of a cluster's hosts may be given away."""
    answer = inn.call("cluster.set", cluster=name_or_id, **allowances.asked(given))
    rules = allowances.decided(answer.get("allowances", {})) or "nothing is decided"
    inn.show(answer, lambda: f"Hosts of cluster {answer['name']}, where nothing is decided of them:\n{rules}")


@verb("delete", "inn cluster delete rack-2", of=cluster)
@_CLUSTER
def delete(inn: Invocation, name_or_id: str) -> None:
    """Forget a cluster that has no members."""
    answer = inn.call("cluster.delete", cluster=name_or_id)
    inn.show(answer, lambda: f"Cluster {name_or_id} is forgotten.")


def _say(inn: Invocation, request: str, name_or_id: str, noun: str, member: str, *, what: str) -> None:
    answer = inn.call(request, cluster=name_or_id, **{noun: member})
    inn.show(answer, lambda: f"{noun.capitalize()} {member} is {what} cluster {answer['name']}.")


@verb("add-host", "inn cluster add-host rack-2 host-b", of=cluster)
@_CLUSTER
@_HOST
def add_host(inn: Invocation, name_or_id: str, host: str) -> None:
    """Put a host into a cluster; it leaves the one that it was in."""
    _say(inn, "cluster.add_host", name_or_id, "host", host, what="now in")


@verb("del-host", "inn cluster del-host rack-2 host-b", of=cluster)
@_CLUSTER
@_HOST
def del_host(inn: Invocation, name_or_id: str, host: str) -> None:
    """Put a host back into the default cluster."""
    _say(inn, "cluster.del_host", name_or_id, "host", host, what="no longer in")


@verb("add-network", "inn cluster add-network rack-2 lan", of=cluster)
@_CLUSTER
@_NETWORK
def add_network(inn: Invocation, name_or_id: str, network: str) -> None:
    """Let the hosts of a cluster have a network as well."""
    _say(inn, "cluster.add_network", name_or_id, "network", network, what="now in")


@verb("del-network", "inn cluster del-network rack-2 lan", of=cluster)
@_CLUSTER
@_NETWORK
def del_network(inn: Invocation, name_or_id: str, network: str) -> None:
    """Let no more VMs of a network come to a cluster."""
    _say(inn, "cluster.del_network", name_or_id, "network", network, what="no longer in")


@verb("add-datastore", "inn cluster add-datastore rack-2 fast", of=cluster)
@_CLUSTER
@_DATASTORE
def add_datastore(inn: Invocation, name_or_id: str, datastore: str) -> None:
    """Let the hosts of a cluster have a datastore as well."""
    _say(inn, "cluster.add_datastore", name_or_id, "datastore", datastore, what="now in")


@verb("del-datastore", "inn cluster del-datastore rack-2 fast", of=cluster)
@_CLUSTER
@_DATASTORE
def del_datastore(inn: Invocation, name_or_id: str, datastore: str) -> None:
    """Let no more VMs with disks of a datastore come to a cluster."""
    _say(inn, "cluster.del_datastore", name_or_id, "datastore", datastore, what="no longer in")


ownership.add_to(cluster, "cluster")
