"""Makes disks that hold nothing yet: blank, with a file system, or for swap.

It must not put files in place: it makes them under the name that it is given.
"""

import os
from collections.abc import Callable
from pathlib import Path

from innkeeper_plugins import commands
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer.qemu_img import QemuImg, never
from innkeeper_plugins.vocabulary import Disk, DiskFormat

#: What formats a file: ``{file system: command without the file}``.
FORMATTERS = {
    "ext2": ("mkfs.ext2", "-q", "-F"),
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "vfat": ("mkfs.vfat",),
}
SWAP_FORMATTER = ("mkswap", "-q")


def formatter_of(disk: Disk) -> tuple[str, ...]:
    """Return the command that formats the disk, without the file; empty for a blank disk.

    Raises:
        DriverError: ``refused``: no such file system can be made.
    """
    if not disk.filesystem:
        return ()
    if disk.filesystem not in FORMATTERS:
        known = ", ".join(sorted(FORMATTERS))
        raise DriverError(f"no disk can be made with the file system {disk.filesystem!r}: use {known}", code="refused")
    return FORMATTERS[disk.filesystem]


def plain_path(path: Path) -> Path:
    """Return where a qcow2 disk's content is made before it becomes ``path``."""
    return path.with_name(f"plain.{path.name}")


def make_disk(
    path: Path, disk: Disk, formatter: tuple[str, ...], *, qemu_img: QemuImg, cancelled: Callable[[], bool] = never
) -> None:
    """Make a disk of ``disk.size_bytes`` in the file ``path``, formatted by a command that gets a plain file."""
    if not formatter:
        make_blank(path, disk, qemu_img=qemu_img)
    elif disk.format is DiskFormat.RAW:
        _format(path, disk, formatter, qemu_img=qemu_img, cancelled=cancelled)
    else:
        plain = plain_path(path)
        try:
            _format(plain, disk, formatter, qemu_img=qemu_img, cancelled=cancelled)
            qemu_img.convert(plain, path, formats=(DiskFormat.RAW, disk.format), cancelled=cancelled)
        finally:
            plain.unlink(missing_ok=True)


def make_blank(path: Path, disk: Disk, *, qemu_img: QemuImg) -> None:
    """Make an empty disk of ``disk.size_bytes`` in the file ``path``, which takes next to no room."""
    if disk.format is DiskFormat.RAW:
        with path.open("wb") as file:
            os.ftruncate(file.fileno(), disk.size_bytes)
    else:
        qemu_img.create(path, disk.format, disk.size_bytes)


def _format(
    path: Path, disk: Disk, formatter: tuple[str, ...], *, qemu_img: QemuImg, cancelled: Callable[[], bool]
) -> None:
    with path.open("wb") as file:
        os.ftruncate(file.fileno(), disk.size_bytes)
    commands.run((*formatter, os.fspath(path)), timeout_s=qemu_img.bulk_timeout_s, cancelled=cancelled)
