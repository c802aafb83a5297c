"""The one table of OpenNebula's methods: what each is, and which request of ours it becomes."""

from typing import Final

from innkeeper_controller.opennebula.methods import (
    accounting,
    acls,
    clusters,
    groups,
    hosts,
    images,
    networks,
    pools,
    reads,
    system,
    templates,
    users,
    vms,
)
from innkeeper_controller.opennebula.methods.table import Method

#: ``{name: method}``, by name.
METHODS: Final[dict[str, Method]] = {
    method.name: method
    for method in sorted(
        (
            method
            for module in (
                *(accounting, acls, clusters, groups, hosts, images, networks),
                *(pools, reads, system, templates, users, vms),
            )
            for method in module.METHODS
        ),
        key=lambda method: method.name,
    )
}
