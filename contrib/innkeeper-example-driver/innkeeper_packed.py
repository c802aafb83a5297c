"""The driver ``packed``: a disk is a compressed copy of its image; what the guest writes is not compressed."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from innkeeper_plugins import images
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hookspecs import TransferFactory, hookimpl
from innkeeper_plugins.protocols import Place
from innkeeper_plugins.transfer.file_driver import FileDriver, watched
from innkeeper_plugins.transfer.options import file_options
from innkeeper_plugins.vocabulary import Disk, DiskFormat


@hookimpl
def register_transfer_drivers() -> Iterable[tuple[str, TransferFactory]]:
    """Tell Innkeeper the name and what makes the driver."""
    return [("packed", make)]


def make(config: Mapping[str, Any]) -> FileDriver:
    """Make the driver from ``[drivers.packed]`` of the agent's configuration."""
    qemu_img = file_options(config).qemu_img()

    def clone_disk(place: Place, disk: Disk, base: Path, path: Path) -> None:
        if disk.image is None or disk.format is not DiskFormat.QCOW2:
            raise DriverError("only qcow2 disks can be compressed: use FORMAT=qcow2", code="refused")
        images.inspect(base, disk.image.format)
        formats = (disk.image.format, DiskFormat.QCOW2)
        cancelled = watched(place, path, disk.image.virtual_size_bytes)
        qemu_img.convert(base, path, formats=formats, options=("-c",), cancelled=cancelled)
        qemu_img.resize(path, DiskFormat.QCOW2, disk.size_bytes)

    abilities = frozenset({"live", "snapshot"})
    return FileDriver(name="packed", capabilities=abilities, clone_disk=clone_disk, qemu_img=qemu_img)
