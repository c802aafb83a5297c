"""All requests of the public API, by name."""

from innkeeper_controller.requests import (
    accounting,
    acls,
    allow,
    balance,
    clusters,
    datastores,
    groups,
    hosts,
    hotplug,
    images,
    limits,
    networks,
    operations,
    ownership,
    plans,
    schedule,
    snapshots,
    stored_templates,
    system,
    users,
    vms,
)
from innkeeper_controller.requests.table import Request

#: ``{name: request}``
REQUESTS: dict[str, Request] = {
    request.name: request
    for module in (
        system,
        users,
        groups,
        acls,
        limits,
        hosts,
        clusters,
        allow,
        datastores,
        images,
        networks,
        stored_templates,
        vms,
        hotplug,
        snapshots,
        schedule,
        accounting,
        operations,
        ownership,
        plans,
        balance,
    )
    for request in module.REQUESTS
}
