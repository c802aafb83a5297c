"""Copies a disk out of its VM's directory as an image that needs no other file.

It must not change the disk, nor trust what its header says of other files: it may have come from another host.
"""

from collections.abc import Callable
from pathlib import Path

from innkeeper_plugins.protocols import Place
from innkeeper_plugins.transfer import qcow2_header
from innkeeper_plugins.transfer.extents import copy_sparse
from innkeeper_plugins.transfer.qemu_img import QemuImg
from innkeeper_plugins.vocabulary import Disk, DiskFormat, Vm


def copy_out(
    place: Place,
    vm: Vm,
    disk: Disk,
    target: Path,
    *,
    snapshot: str,
    qemu_img: QemuImg,
    cancelled: Callable[[], bool],
) -> None:
    """Make ``target`` a copy of the disk in the disk's own format, which is said and never guessed.

    Args:
        place: Where the disk is, and its image.
        vm: Whose disk it is.
        disk: The disk.
        target: The file to make.
        snapshot: Name of the snapshot inside the disk that is copied; empty for the disk's own content.
        qemu_img: What copies a qcow2 disk.
        cancelled: Asked while it does.

    Raises:
        DriverError: ``bad_image``: the disk reads from files that are not its image.
    """
    path = place.disk_path(vm, disk)
    if disk.format is DiskFormat.RAW:
        copy_sparse(path, target, progress=place.progress)
        return
    _check_base(place, disk, path)
    chosen = ("-l", f"snapshot.name={snapshot}") if snapshot else ()
    qemu_img.convert(path, target, formats=(disk.format, disk.format), options=chosen, cancelled=cancelled)


def _check_base(place: Place, disk: Disk, path: Path) -> None:
    header = qcow2_header.read_header(path)
    qcow2_header.refuse_foreign_files(header, overlay=disk.image is not None)
    if header.backing_file and disk.image is not None:
        base = place.image_path(disk.image.sha256)
        if Path(header.backing_file).name != base.name:
            raise qcow2_header.bad_image(f"it reads from {header.backing_file!r}, which is not its image")
