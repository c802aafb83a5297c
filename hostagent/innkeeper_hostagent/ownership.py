"""Whose VMs are in a datastore: a small file in it names the cluster, and outlives the agent's own state.

VMs are told apart by their numbers, and two controllers give the same ones: an agent that serves one of them must never
get to the disks of the other's. It deletes nothing.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from innkeeper_hostagent.identity import write_whole
from innkeeper_hostagent.place import Datastore
from innkeeper_plugins.errors import InnkeeperError

OWNER_FILE: Final = "cluster"
#: How many VMs an error names.
_NAMED: Final = 8


class ForeignVmsError(InnkeeperError):
    """A datastore has VMs of another controller; its operator must move them away. Nothing has changed."""


def claim(datastores: Iterable[Datastore], cluster_id: str) -> None:
    """Note that the VMs in these datastores are that cluster's; durable when it returns.

    Args:
        datastores: All that the host has.
        cluster_id: The controller's; empty where it is not known, then nothing is noted.

    Raises:
        ForeignVmsError: one of them has VMs of another cluster.
        OSError: a datastore cannot be used.
    """
    stores = tuple(datastores) if cluster_id else ()
    for store in stores:
        if (owner := _owner(store)) not in {"", cluster_id}:
            _check_empty(store, owner)
    for store in stores:
        if _owner(store) != cluster_id:
            store.path.mkdir(parents=True, exist_ok=True)
            write_whole(store.path / OWNER_FILE, cluster_id.encode() + b"\n")


def _owner(store: Datastore) -> str:
    try:
        return (store.path / OWNER_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _check_empty(store: Datastore, owner: str) -> None:
    vms = sorted((path for path in _entries(store.vms_dir) if path.name.isdecimal()), key=lambda path: int(path.name))
    if vms:
        names = ", ".join(path.name for path in vms[:_NAMED]) + (", ..." if len(vms) > _NAMED else "")
        raise ForeignVmsError(
            f"datastore {store.name} has VMs of another controller (cluster {owner}): {names}; let that one move or "
            f"end them, or, if nobody wants them any more, switch their guests off and remove {store.vms_dir}"
        )


def _entries(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []
