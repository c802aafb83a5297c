"""The driver ``qcow2``: a disk is an overlay on the cached image, so that a clone takes no time and no room.

It must not write to the image: many disks read from it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import Place
from innkeeper_plugins.transfer.file_driver import FileDriver
from innkeeper_plugins.transfer.options import file_options
from innkeeper_plugins.transfer.qemu_img import QemuImg
from innkeeper_plugins.vocabulary import Disk, DiskFormat

NAME = "qcow2"
CAPABILITIES = frozenset({"live", "snapshot"})


def make(config: Mapping[str, Any]) -> FileDriver:
    """Make the driver from ``[drivers.qcow2]``.

    Raises:
        msgspec.ValidationError: the section has a mistake.
    """
    qemu_img = file_options(config).qemu_img()

    def clone_disk(_place: Place, disk: Disk, base: Path, path: Path) -> None:
        overlay(disk, base, path, qemu_img=qemu_img)

    return FileDriver(name=NAME, capabilities=CAPABILITIES, clone_disk=clone_disk, qemu_img=qemu_img)


def overlay(disk: Disk, base: Path, path: Path, *, qemu_img: QemuImg) -> None:
    """Make the overlay ``path`` on ``base``, of the disk's own size.

    Raises:
        DriverError: ``refused``: the disk is to be raw.
    """
    if disk.format is not DiskFormat.QCOW2:
        raise DriverError(
            f"disk {disk.disk_id} is to be {disk.format}, and an overlay is always qcow2: "
            "use FORMAT=qcow2, or a datastore with the driver copy",
            code="refused",
        )
    assert disk.image is not None
    qemu_img.create_overlay(path, disk.size_bytes, base=base, base_format=disk.image.format)
