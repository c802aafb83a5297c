"""Rows that answer with the document of one thing: the request's rights are checked, then the document is drawn."""

import copy
from collections.abc import Callable
from typing import Any, Final

from innkeeper_controller.access import Right, authorize, visible
from innkeeper_controller.opennebula import legacy
from innkeeper_controller.opennebula.arguments import truth
from innkeeper_controller.opennebula.documents import acl, datastore, group, image, monitoring, network, template, user
from innkeeper_controller.opennebula.documents import cluster as cluster_documents
from innkeeper_controller.opennebula.documents import vm as vm_documents
from innkeeper_controller.opennebula.fragments import escaped_document
from innkeeper_controller.opennebula.methods.table import Answer, Call, Method, typed
from innkeeper_controller.opennebula.methods.terms import DECRYPT, named, oid
from innkeeper_controller.requests import find
from innkeeper_controller.requests.networks import told
from innkeeper_controller.turn import RefusalError, Turn

Drawn = str | bytes | list[bytes]
Draw = Callable[[Call, Turn], Drawn]


async def look(call: Call, request: str, params: dict[str, object], draw: Draw) -> bytes | list[bytes]:
    """Return what ``draw`` makes once the request was let in, as text of XML-RPC.

    Raises:
        RefusalError: as the request is refused.
    """

    def make(turn: Turn) -> bytes | list[bytes]:
        drawn = draw(call, turn)
        return escaped_document(drawn) if isinstance(drawn, str) else drawn

    return await call.desk.controller.look(request, typed(request, params), make, user=call.user)


def _info(name: str, noun: str, about: str, draw: Callable[[Call, Turn, str], str | bytes]) -> Method:
    """Return the row that shows one thing; ``draw`` gets its number as requests take it."""

    async def act(call: Call) -> Answer:
        number = _number_of(call, noun)
        return await look(call, f"{noun}.show", {noun: number}, lambda call, turn: draw(call, turn, number))

    arguments = (oid(noun), DECRYPT) if noun != "template" else (oid(noun), truth("extended", default=False), DECRYPT)
    return Method(name=name, arguments=arguments, requests=(f"{noun}.show",), act=act, gives="string", about=about)


def _number_of(call: Call, noun: str) -> str:
    """Return what is meant; for users and groups, -1 is the caller's own."""
    if call[f"{noun} id"] == -1 and noun == "user":
        return str(call.user.user_id)
    if call[f"{noun} id"] == -1 and noun == "group":
        return call.user.groups[0]
    return named(call)


async def _vm_info(call: Call) -> Answer:
    vm_id = call["vm id"]

    def draw(call: Call, turn: Turn) -> str | bytes:
        record = find.vm(turn, vm_id)
        return legacy.vm(turn.cluster, record) if call.old else call.desk.fragments.vms.one(record.vm_id)

    try:
        return await look(call, "vm.show", {"vm_id": vm_id}, draw)
    except RefusalError as refusal:
        if refusal.code != "not_found":
            raise
        past = await call.desk.past.one(vm_id, call.user)
        if past is None:
            raise
    record = past.vms[vm_id]
    authorize(Turn(past, call.desk.controller.reactor.settings, 0.0, "", user=call.user), Right.USE, record)
    return escaped_document(legacy.vm(past, record) if call.old else vm_documents.vm(past, record))


async def _image_info(call: Call) -> Answer:
    number = named(call)
    try:
        return await look(
            call,
            "image.show",
            {"image": number},
            lambda _, turn: image.image(turn.cluster, find.image(turn.cluster, number)),
        )
    except RefusalError as refusal:
        farewell = call.desk.farewells.find(call.user.name, call["image id"])
        if refusal.code != "not_found" or farewell is None:
            raise
        return escaped_document(farewell)


async def _vm_monitoring(call: Call) -> Answer:
    vm_id = call["vm id"]
    return await look(
        call,
        "vm.monitoring",
        {"vm_id": vm_id},
        lambda _, turn: monitoring.vm_monitoring(turn.cluster, find.vm(turn, vm_id)),
    )


def _host(call: Call, turn: Turn, number: str) -> str | bytes:
    record = find.host(turn.cluster, number)
    return legacy.host(turn.cluster, record) if call.old else call.desk.fragments.hosts.one(record.host_id)


def _network(call: Call, turn: Turn, number: str) -> str:
    record = find.network(turn.cluster, number)
    cluster = copy.copy(turn.cluster)
    cluster.leases = {lease.mac: lease for lease in told(turn, record)}
    return (legacy.network if call.old else network.network)(cluster, record)


def _user(call: Call, turn: Turn, number: str) -> str:
    record = find.user(turn.cluster, number)
    return legacy.user(turn.cluster, record) if call.old else user.user(turn.cluster, record)


def _found(finder: Callable[..., Any], draw: Callable[..., str]) -> Callable[[Call, Turn, str], str]:
    return lambda _, turn, number: draw(turn.cluster, finder(turn.cluster, number))


async def _acl(call: Call) -> Answer:
    return await look(
        call, "acl.list", {}, lambda _, turn: acl.acl_pool(visible(turn, turn.cluster.acl_rules.values()))
    )


METHODS: Final = (
    Method(
        name="one.vm.info",
        arguments=(oid("vm"), DECRYPT),
        requests=("vm.show",),
        act=_vm_info,
        gives="string",
        about="virtual machine",
    ),
    Method(
        name="one.vm.monitoring",
        arguments=(oid("vm"),),
        requests=("vm.monitoring",),
        act=_vm_monitoring,
        gives="string",
        about="virtual machine",
    ),
    _info("one.host.info", "host", "host", _host),
    Method(
        name="one.host.monitoring",
        arguments=(oid("host"),),
        requests=("host.monitoring",),
        act=lambda call: look(
            call,
            "host.monitoring",
            {"host": named(call)},
            lambda call, turn: monitoring.host_monitoring(turn.cluster, find.host(turn.cluster, named(call))),
        ),
        gives="string",
        about="host",
    ),
    _info("one.vn.info", "network", "virtual network", _network),
    Method(
        name="one.image.info",
        arguments=(oid("image"), DECRYPT),
        requests=("image.show",),
        act=_image_info,
        gives="string",
        about="image",
    ),
    _info("one.template.info", "template", "template", _found(find.template, template.template)),
    _info("one.user.info", "user", "user", _user),
    _info("one.group.info", "group", "group", _found(find.group, group.group)),
    _info("one.cluster.info", "cluster", "cluster", _found(find.cluster_record, cluster_documents.cluster_document)),
    _info("one.datastore.info", "datastore", "datastore", _found(find.datastore, datastore.datastore)),
    Method(name="one.acl.info", arguments=(), requests=("acl.list",), act=_acl, gives="string"),
)
