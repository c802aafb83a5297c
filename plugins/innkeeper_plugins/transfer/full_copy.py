"""The driver ``copy``: a disk is a full copy of its image and needs it no more.

It must not copy holes: they are most of most images.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from innkeeper_plugins import images
from innkeeper_plugins.protocols import Place
from innkeeper_plugins.transfer.extents import copy_sparse
from innkeeper_plugins.transfer.file_driver import FileDriver, grow, watched
from innkeeper_plugins.transfer.options import file_options
from innkeeper_plugins.transfer.qemu_img import QemuImg
from innkeeper_plugins.vocabulary import Disk

NAME = "copy"
CAPABILITIES = frozenset({"live"})


def make(config: Mapping[str, Any]) -> FileDriver:
    """Make the driver from ``[drivers.copy]``.

    Raises:
        msgspec.ValidationError: the section has a mistake.
    """
    qemu_img = file_options(config).qemu_img()

    def clone_disk(place: Place, disk: Disk, base: Path, path: Path) -> None:
        full_copy(place, disk, base, path, qemu_img=qemu_img)

    return FileDriver(name=NAME, capabilities=CAPABILITIES, clone_disk=clone_disk, qemu_img=qemu_img)


def full_copy(place: Place, disk: Disk, base: Path, path: Path, *, qemu_img: QemuImg) -> None:
    """Make ``path`` a copy of ``base`` in the disk's own format and size."""
    assert disk.image is not None
    image = disk.image
    if image.format is disk.format:
        copy_sparse(base, path, progress=place.progress)
    else:
        # The digest says that these are the bytes that were inspected; the tool that opens them is looked after anyway.
        images.inspect(base, image.format)
        growing = watched(place, path, image.virtual_size_bytes)
        qemu_img.convert(base, path, formats=(image.format, disk.format), cancelled=growing)
    if disk.size_bytes > image.virtual_size_bytes:
        grow(path, disk.format, disk.size_bytes, qemu_img=qemu_img)
