"""All requests of the public API, by name."""

from innkeeper_controller.requests import (
    clusters,
    datastores,
    hosts,
    images,
    networks,
    operations,
    stored_templates,
    system,
    vms,
)
from innkeeper_controller.requests.table import Request

#: ``{name: request}``
REQUESTS: dict[str, Request] = {
    request.name: request
    for module in (system, hosts, clusters, datastores, images, networks, stored_templates, vms, operations)
    for request in module.REQUESTS
}
