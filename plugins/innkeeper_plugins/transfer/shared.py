"""The driver ``shared``: every host sees the same files, so a guest moves and its disks stay.

It must not delete anything because a guest has left.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from innkeeper_plugins.protocols import Place
from innkeeper_plugins.transfer.file_driver import FileDriver
from innkeeper_plugins.transfer.full_copy import full_copy
from innkeeper_plugins.transfer.options import file_options
from innkeeper_plugins.transfer.qcow2 import overlay
from innkeeper_plugins.vocabulary import Disk

NAME = "shared"
CAPABILITIES = frozenset({"shared", "live", "snapshot"})


def make(config: Mapping[str, Any]) -> FileDriver:
    """Make the driver from ``[drivers.shared]``.

    Raises:
        msgspec.ValidationError: the section has a mistake.
    """
    qemu_img = file_options(config).qemu_img()

    def clone_disk(place: Place, disk: Disk, base: Path, path: Path) -> None:
        # A base in a host's own cache is out of the other hosts' sight: then the disk gets all of its content.
        if base.stat().st_dev == path.parent.stat().st_dev:
            overlay(disk, base, path, qemu_img=qemu_img)
        else:
            full_copy(place, disk, base, path, qemu_img=qemu_img)

    return FileDriver(name=NAME, capabilities=CAPABILITIES, clone_disk=clone_disk, qemu_img=qemu_img)
