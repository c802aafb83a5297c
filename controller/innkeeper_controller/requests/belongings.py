"""What a user or a group has, told in a sentence to whoever wants to delete them; changes nothing."""

from collections.abc import Iterator
from typing import Any, Final

from innkeeper_controller.cluster import Cluster

_MAX_SHOWN: Final = 5


def belongings(cluster: Cluster, part: str, name: str) -> str:
    """Return what there is: ``VM 3, image tiny``; empty for nothing.

    Args:
        cluster: Has the things.
        part: ``owner`` or ``group``.
        name: Whose.
    """
    shown: list[str] = []
    more = 0
    for word, record in _owned(cluster):
        if getattr(record, part) == name:
            if len(shown) < _MAX_SHOWN:
                shown.append(word)
            else:
                more += 1
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _owned(cluster: Cluster) -> Iterator[tuple[str, Any]]:
    for vm in cluster.vms.values():
        yield f"VM {vm.vm_id}", vm
    for image in cluster.images.values():
        yield f"image {image.name}", image
    for network in cluster.networks.values():
        yield f"network {network.name}", network
    for template in cluster.templates.values():
        yield f"template {template.name}", template
    for datastore in cluster.datastores.values():
        yield f"datastore {datastore.name}", datastore
