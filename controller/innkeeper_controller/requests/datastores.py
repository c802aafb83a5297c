"""Requests about datastores."""

from innkeeper_controller.access import Right
from innkeeper_controller.records import Datastore
from innkeeper_controller.requests import find
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import DatastoreFacts, Value


class AddDatastore(Value):
    """A datastore to be."""

    name: str
    #: Transfer driver that looks after its disks.
    driver: str = "qcow2"


class NamedDatastore(Value):
    """One datastore, by name."""

    datastore: str


class DatastoreView(Value):
    """A datastore and where it is."""

    name: str
    driver: str
    #: ``{host name: what it has there}``
    hosts: dict[str, DatastoreFacts] = {}
    images: int = 0


def view(turn: Turn, datastore: Datastore) -> DatastoreView:
    """Return the datastore with the hosts that have a path for it."""
    return DatastoreView(
        name=datastore.name,
        driver=datastore.driver,
        hosts={
            host.name: facts
            for host in turn.cluster.hosts.values()
            for facts in host.advertisement.datastores
            if facts.name == datastore.name
        },
        images=sum(image.datastore == datastore.name for image in turn.cluster.images.values()),
    )


def add(turn: Turn, params: AddDatastore) -> DatastoreView:
    """Make a datastore."""
    find.check_name("datastore", params.name, characters="-_.")
    if params.name in turn.cluster.datastores:
        raise RefusalError("name_taken", f"There is a datastore {params.name} already.")
    datastore = Datastore(name=params.name, driver=params.driver)
    turn.put(datastore)
    turn.event("datastore.added", f"datastore:{params.name}", driver=params.driver)
    return view(turn, datastore)


def datastores(turn: Turn, _params: Nothing) -> tuple[DatastoreView, ...]:
    """List all datastores."""
    return tuple(view(turn, datastore) for datastore in turn.cluster.datastores.values())


def show(turn: Turn, params: NamedDatastore) -> DatastoreView:
    """Show one datastore."""
    return view(turn, find.datastore(turn.cluster, params.datastore))


def delete(turn: Turn, params: NamedDatastore) -> Nothing:
    """Forget an empty datastore."""
    datastore = find.datastore(turn.cluster, params.datastore)
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
