"""Requests about datastores: where images and disks lie."""

from typing import Final

import msgspec

from innkeeper_controller import access
from innkeeper_controller.access import Right
from innkeeper_controller.records import Datastore
from innkeeper_controller.requests import find
from innkeeper_controller.requests.clusters import clusters_of_new
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.requests.templates import kept_from
from innkeeper_controller.requests.views import cluster_name
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import DatastoreFacts, Value

_replace = msgspec.structs.replace

TYPES: Final = ("image", "system", "file")
#: What of a template is a parameter or a field of its own.
_OWN_WORDS: Final = frozenset({"NAME", "TYPE", "KEPT_IN"})


class AddDatastore(Value):
    """A datastore to be."""

    name: str
    #: Transfer driver that looks after its disks.
    driver: str = "qcow2"
    #: ``image``, ``system`` or ``file``.
    type: str = "image"
    #: What people note of it, verbatim; KEPT_IN names another datastore whose place on the hosts it shares.
    template: str = ""
    #: The cluster that it belongs to; empty for the default one.
    cluster: str = ""


class DriveDatastore(Value):
    """A datastore and the transfer driver that is to look after it."""

    datastore: str
    driver: str


class NamedDatastore(Value):
    """One datastore, by number or name."""

    datastore: str


class EnableDatastore(Value):
    """Whether a datastore takes new images."""

    datastore: str
    enabled: bool


class DatastoreView(Value):
    """A datastore and where it is."""

    name: str
    driver: str
    #: ``{host name: what it has there}``
    hosts: dict[str, DatastoreFacts] = {}
    images: int = 0
    datastore_id: int = -1
    #: ``image``, ``system`` or ``file``.
    type: str = "image"
    #: False where it takes no new images.
    enabled: bool = True
    #: The name that hosts have a path for.
    kept_in: str = ""
    owner: str = ""
    group: str = ""
    #: The digits of chmod.
    mode: str = ""
    clusters: tuple[str, ...] = ()
    attributes: dict[str, str] = {}


def view(turn: Turn, datastore: Datastore) -> DatastoreView:
    """Return the datastore with the hosts that have a path for it."""
    cluster = turn.cluster
    return DatastoreView(
        name=datastore.name,
        driver=datastore.driver,
        hosts={
            host.name: facts
            for host in cluster.hosts.values()
            for facts in host.advertisement.datastores
            if facts.name == datastore.at_hosts
        },
        images=sum(image.datastore == datastore.name for image in cluster.images.values()),
        datastore_id=datastore.datastore_id,
        type=datastore.type,
        enabled=datastore.enabled,
        kept_in=datastore.at_hosts,
        owner=datastore.owner,
        group=datastore.group,
        mode=f"{datastore.mode:03o}",
        clusters=tuple(cluster_name(cluster, each) for each in datastore.clusters),
        attributes=datastore.attributes,
    )


def add(turn: Turn, params: AddDatastore) -> DatastoreView:
    """Make a datastore."""
    assert turn.user is not None, "datastores are made by users"
    find.check_name("datastore", params.name, characters="-_.")
    if params.name in turn.cluster.datastores:
        raise RefusalError("name_taken", f"There is a datastore {params.name} already.")
    if params.type not in TYPES:
        text = f"{params.type[:40]!r} is no type of a datastore; use one of {', '.join(TYPES)}."
        raise RefusalError("bad_request", text)
    kept = kept_from(params.template)
    datastore = Datastore(
        name=params.name,
        driver=params.driver,
        datastore_id=turn.cluster.next_id("datastore"),
        type=params.type,
        kept_in=_kept_in(turn, kept.get("KEPT_IN", "")),
        owner=turn.user.name,
        group=access.primary_group(turn),
        clusters=clusters_of_new(turn, params.cluster),
        attributes={word: value for word, value in kept.items() if word not in _OWN_WORDS},
    )
    turn.put(datastore)
    turn.event("datastore.added", f"datastore:{params.name}", driver=params.driver)
    return view(turn, datastore)


def _kept_in(turn: Turn, wanted: str) -> str:
    """Return the name of the datastore whose place on the hosts a new one shares; empty for a place of its own."""
    return find.datastore(turn.cluster, wanted).at_hosts if wanted else ""


def datastores(turn: Turn, _params: Nothing) -> tuple[DatastoreView, ...]:
    """List the datastores that one may use."""
    return tuple(view(turn, each) for each in access.visible(turn, turn.cluster.datastores.values()))


def show(turn: Turn, params: NamedDatastore) -> DatastoreView:
    """Show one datastore."""
    return view(turn, find.datastore(turn.cluster, params.datastore))


def enable(turn: Turn, params: EnableDatastore) -> DatastoreView:
    """Let a datastore take new images, or no more; what lies in it stays of use."""
    datastore = find.datastore(turn.cluster, params.datastore)
    if datastore.enabled != params.enabled:
        datastore = _replace(datastore, enabled=params.enabled)
        turn.put(datastore)
        turn.event(f"datastore.{'enabled' if params.enabled else 'disabled'}", f"datastore:{datastore.name}")
    return view(turn, datastore)


def set_driver(turn: Turn, params: DriveDatastore) -> DatastoreView:
    """Let another transfer driver look after an empty datastore."""
    datastore = find.datastore(turn.cluster, params.datastore)
    _check_empty(turn, datastore)
    datastore = _replace(datastore, driver=params.driver)
    turn.put(datastore)
    turn.event("datastore.driver_set", f"datastore:{datastore.name}", driver=params.driver)
    return view(turn, datastore)


def _check_empty(turn: Turn, datastore: Datastore) -> None:
    images = [image.name for image in turn.cluster.images.values() if image.datastore == datastore.name]
    vms = [
        vm.vm_id
        for vm in turn.cluster.vms.values()
        if datastore.name in {vm.spec.datastore, *(disk.datastore for disk in vm.spec.disks)}
    ]
    if images or vms:
        raise RefusalError(
            "in_use", f"Datastore {datastore.name} has {len(images)} images and {len(vms)} VMs; delete them first."
        )


def delete(turn: Turn, params: NamedDatastore) -> Nothing:
    """Forget an empty datastore."""
    datastore = find.datastore(turn.cluster, params.datastore)
    _check_empty(turn, datastore)
    inside = [each.name for each in turn.cluster.datastores.values() if each.kept_in == datastore.name]
    if inside:
        shown = ", ".join(inside[:8])
        raise RefusalError("in_use", f"Datastore {shown} is kept in datastore {datastore.name}; delete that first.")
    turn.drop(datastore)
    turn.event("datastore.deleted", f"datastore:{datastore.name}")
    return Nothing()


REQUESTS = (
    Request(
        name="datastore.add",
        method="POST",
        path="/v1/datastores",
        params=AddDatastore,
        answer=DatastoreView,
        who=Who.USER,
        summary="Make a datastore; each agent that shall have it gets a path for it in its configuration.",
        handler=add,
        needs=Need(Right.CREATE, "datastore"),
    ),
    Request(
        name="datastore.list",
        method="GET",
        path="/v1/datastores",
        params=Nothing,
        answer=tuple[DatastoreView, ...],
        who=Who.USER,
        summary="List the datastores and the hosts that have them.",
        handler=datastores,
    ),
    Request(
        name="datastore.show",
        method="GET",
        path="/v1/datastores/{datastore}",
        params=NamedDatastore,
        answer=DatastoreView,
        who=Who.USER,
        summary="Show one datastore.",
        handler=show,
        needs=Need(Right.USE, "datastore"),
    ),
    Request(
        name="datastore.enable",
        method="POST",
        path="/v1/datastores/{datastore}/enable",
        params=EnableDatastore,
        answer=DatastoreView,
        who=Who.USER,
        summary="Let a datastore take new images, or no more.",
        handler=enable,
        needs=Need(Right.MANAGE, "datastore"),
    ),
    Request(
        name="datastore.set_driver",
        method="POST",
        path="/v1/datastores/{datastore}/driver",
        params=DriveDatastore,
        answer=DatastoreView,
        who=Who.USER,
        summary="Let another transfer driver look after an empty datastore.",
        handler=set_driver,
        needs=Need(Right.ADMIN, "datastore"),
    ),
    Request(
        name="datastore.delete",
        method="DELETE",
        path="/v1/datastores/{datastore}",
        params=NamedDatastore,
        answer=Nothing,
        who=Who.USER,
        summary="Forget an empty datastore.",
        handler=delete,
        needs=Need(Right.ADMIN, "datastore"),
    ),
)
