"""Requests about clusters: which hosts, networks and datastores go together."""

from collections.abc import Callable
from typing import Any

import msgspec

from innkeeper_controller import access
from innkeeper_controller.access import Right
from innkeeper_controller.inventory import Allowance
from innkeeper_controller.records import ClusterRecord, Datastore, Host, Network
from innkeeper_controller.requests import find
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value

_replace = msgspec.structs.replace
#: The cluster that everything is in which nobody put elsewhere.
DEFAULT = 0


class AddCluster(Value):
    """A cluster to be."""

    name: str


class NamedCluster(Value):
    """One cluster, by id or name."""

    cluster: str


class ClusterHost(Value):
    """A host that comes into a cluster or leaves it."""

    cluster: str
    host: str


class ClusterNetwork(Value):
    """A network that comes into a cluster or leaves it."""

    cluster: str
    network: str


class ClusterDatastore(Value):
    """A datastore that comes into a cluster or leaves it."""

    cluster: str
    datastore: str


class ClusterView(Value):
    """A cluster with those of its members that one may use."""

    cluster_id: int
    name: str
    hosts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    datastores: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    #: ``{cpu, memory or disk: what is decided for its hosts}``, in cores and MiB.
    allowances: dict[str, Allowance] = {}


def clusters_of_new(turn: Turn, wanted: str) -> tuple[int, ...]:
    """Return the clusters of a new host, network or datastore: the one that is asked for, else the default one.

    Raises:
        RefusalError: ``not_found``, or ``forbidden``: only who administers a cluster puts things into it.
    """
    if not wanted:
        return (DEFAULT,)
    record = find.cluster_record(turn.cluster, wanted)
    if record.cluster_id != DEFAULT:
        access.authorize(turn, Right.ADMIN, record)
    return (record.cluster_id,)


def view(turn: Turn, record: ClusterRecord) -> ClusterView:
    """Return the cluster with its members."""
    number, cluster = record.cluster_id, turn.cluster
    hosts = (each for each in cluster.hosts.values() if each.cluster_id == number)
    networks = (each for each in cluster.networks.values() if number in each.clusters)
    datastores = (each for each in cluster.datastores.values() if number in each.clusters)
    return ClusterView(
        cluster_id=number,
        name=record.name,
        hosts=tuple(each.name for each in access.visible(turn, hosts)),
        networks=tuple(each.name for each in access.visible(turn, networks)),
        datastores=tuple(each.name for each in access.visible(turn, datastores)),
        attributes=record.attributes,
        allowances=record.allowances,
    )


def add(turn: Turn, params: AddCluster) -> ClusterView:
    """Make a cluster, still without members."""
    find.check_name("cluster", params.name)
    if params.name in turn.cluster.cluster_ids:
        raise RefusalError("name_taken", f"There is a cluster {params.name} already; choose another name.")
    record = ClusterRecord(cluster_id=turn.cluster.next_id("cluster"), name=params.name)
    turn.put(record)
    turn.event("cluster.added", f"cluster:{record.cluster_id}", name=record.name)
    return view(turn, record)


def clusters(turn: Turn, _params: Nothing) -> tuple[ClusterView, ...]:
    """List the clusters that one may use."""
    return tuple(view(turn, each) for each in access.visible(turn, turn.cluster.clusters.values()))


def show(turn: Turn, params: NamedCluster) -> ClusterView:
    """Show one cluster."""
    return view(turn, find.cluster_record(turn.cluster, params.cluster))


def delete(turn: Turn, params: NamedCluster) -> Nothing:
    """Forget a cluster that has no members."""
    record = find.cluster_record(turn.cluster, params.cluster)
    number = record.cluster_id
    if number == DEFAULT:
        raise RefusalError("wrong_state", f"Cluster {record.name} is where everything new goes, and stays.")
    members = [f"host {each.name}" for each in turn.cluster.hosts.values() if each.cluster_id == number]
    members += [f"network {each.name}" for each in turn.cluster.networks.values() if number in each.clusters]
    members += [f"datastore {each.name}" for each in turn.cluster.datastores.values() if number in each.clusters]
    if members:
        shown = ", ".join(members[:8])
        raise RefusalError("in_use", f"Cluster {record.name} has members ({shown}); take them out of it first.")
    turn.drop(record)
    turn.event("cluster.deleted", f"cluster:{number}", name=record.name)
    return Nothing()


def add_host(turn: Turn, params: ClusterHost) -> ClusterView:
    """Put a host into the cluster; it leaves the one that it was in. Its VMs stay where they are."""
    record, host = _with_host(turn, params)
    return _moved(turn, record, host, record.cluster_id)


def del_host(turn: Turn, params: ClusterHost) -> ClusterView:
    """Put a host of the cluster back into the default one."""
    record, host = _with_host(turn, params)
    if host.cluster_id != record.cluster_id:
        raise RefusalError("bad_request", f"Host {host.name} is not in cluster {record.name}.")
    if record.cluster_id == DEFAULT:
        raise RefusalError("wrong_state", f"Every host is in a cluster; put {host.name} into another one instead.")
    return _moved(turn, record, host, DEFAULT)


def _with_host(turn: Turn, params: ClusterHost) -> tuple[ClusterRecord, Host]:
    host = find.host(turn.cluster, params.host)
    access.authorize(turn, Right.ADMIN, host)
    return find.cluster_record(turn.cluster, params.cluster), host


def _moved(turn: Turn, record: ClusterRecord, host: Host, cluster_id: int) -> ClusterView:
    if host.cluster_id != cluster_id:
        turn.put(_replace(host, cluster_id=cluster_id))
        turn.event("host.moved", f"host:{host.host_id}", name=host.name, cluster_id=cluster_id)
    return view(turn, record)


def _joined(turn: Turn, record: ClusterRecord, member: Network | Datastore) -> ClusterView:
    access.authorize(turn, Right.ADMIN, member)
    if record.cluster_id not in member.clusters:
        _put(turn, record, member, tuple(sorted((*member.clusters, record.cluster_id))), "joined")
    return view(turn, record)


def _left(turn: Turn, record: ClusterRecord, member: Network | Datastore) -> ClusterView:
    access.authorize(turn, Right.ADMIN, member)
    if record.cluster_id not in member.clusters:
        raise RefusalError("bad_request", f"{member.name} is not in cluster {record.name}.")
    _put(turn, record, member, tuple(each for each in member.clusters if each != record.cluster_id), "left")
    return view(turn, record)


def _put(
    turn: Turn, record: ClusterRecord, member: Network | Datastore, cluster_ids: tuple[int, ...], what: str
) -> None:
    turn.put(_replace(member, clusters=cluster_ids))
    subject = f"network:{member.network_id}" if isinstance(member, Network) else f"datastore:{member.name}"
    turn.event(f"cluster.{what}", subject, name=member.name, cluster_id=record.cluster_id)


def add_network(turn: Turn, params: ClusterNetwork) -> ClusterView:
    """Let the hosts of the cluster have the network as well."""
    return _joined(*_with_network(turn, params))


def del_network(turn: Turn, params: ClusterNetwork) -> ClusterView:
    """Let no more VMs of the network come to hosts of the cluster."""
    return _left(*_with_network(turn, params))


def _with_network(turn: Turn, params: ClusterNetwork) -> tuple[Turn, ClusterRecord, Network]:
    return turn, find.cluster_record(turn.cluster, params.cluster), find.network(turn.cluster, params.network)


def add_datastore(turn: Turn, params: ClusterDatastore) -> ClusterView:
    """Let the hosts of the cluster have the datastore as well."""
    return _joined(*_with_datastore(turn, params))


def del_datastore(turn: Turn, params: ClusterDatastore) -> ClusterView:
    """Let no more VMs with disks of the datastore come to hosts of the cluster."""
    return _left(*_with_datastore(turn, params))


def _with_datastore(turn: Turn, params: ClusterDatastore) -> tuple[Turn, ClusterRecord, Datastore]:
    return turn, find.cluster_record(turn.cluster, params.cluster), find.datastore(turn.cluster, params.datastore)


def _member(
    noun: str, params: type[Value], join: Callable[[Turn, Any], ClusterView], leave: Callable[[Turn, Any], ClusterView]
) -> tuple[Request, Request]:
    """Return the two requests about a kind of members."""
    shared = {"params": params, "answer": ClusterView, "who": Who.USER, "needs": Need(Right.ADMIN, "cluster")}
    path = f"/v1/clusters/{{cluster}}/{noun}s"
    return (
        Request(
            name=f"cluster.add_{noun}",
            method="POST",
            path=path,
            summary=f"Put a {noun} into a cluster.",
            handler=join,
            **shared,  # type: ignore[arg-type]  # one dict for both
        ),
        Request(
            name=f"cluster.del_{noun}",
            method="DELETE",
            path=f"{path}/{{{noun}}}",
            summary=f"Take a {noun} out of a cluster.",
            handler=leave,
            **shared,  # type: ignore[arg-type]  # one dict for both
        ),
    )


REQUESTS = (
    Request(
        name="cluster.add",
        method="POST",
        path="/v1/clusters",
        params=AddCluster,
        answer=ClusterView,
        who=Who.USER,
        summary="Make a cluster of hosts, networks and datastores that go together.",
        handler=add,
        needs=Need(Right.CREATE, "cluster"),
    ),
    Request(
        name="cluster.list",
        method="GET",
        path="/v1/clusters",
        params=Nothing,
        answer=tuple[ClusterView, ...],
        who=Who.USER,
        summary="List the clusters with their members.",
        handler=clusters,
    ),
    Request(
        name="cluster.show",
        method="GET",
        path="/v1/clusters/{cluster}",
        params=NamedCluster,
        answer=ClusterView,
        who=Who.USER,
        summary="Show one cluster.",
        handler=show,
        needs=Need(Right.USE, "cluster"),
    ),
    Request(
        name="cluster.delete",
        method="DELETE",
        path="/v1/clusters/{cluster}",
        params=NamedCluster,
        answer=Nothing,
        who=Who.USER,
        summary="Forget a cluster that has no members.",
        handler=delete,
        needs=Need(Right.ADMIN, "cluster"),
    ),
    *_member("host", ClusterHost, add_host, del_host),
    *_member("network", ClusterNetwork, add_network, del_network),
    *_member("datastore", ClusterDatastore, add_datastore, del_datastore),
)
