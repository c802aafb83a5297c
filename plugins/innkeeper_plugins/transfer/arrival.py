"""Takes over files of a VM that came from another host.

It must not fetch or verify them: they are the bytes that the other host sealed, which it may have chosen.
"""

import errno
import re
from pathlib import Path

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import Place, checkpoint_path, context_path
from innkeeper_plugins.transfer import qcow2_header
from innkeeper_plugins.transfer.extents import copy_sparse
from innkeeper_plugins.transfer.qemu_img import QemuImg
from innkeeper_plugins.transfer.whole_file import FILE_MODE, sync, whole
from innkeeper_plugins.vocabulary import Disk, DiskFormat, Vm

DISK_FILE = re.compile(r"disk\.(\d{1,9})\Z")


def disk_of(vm: Vm, file_name: str) -> Disk | None:
    """Return the disk that a file of the VM is, or None for another of its files.

    Raises:
        DriverError: ``refused``: the VM has no such disk.
    """
    match = DISK_FILE.match(file_name)
    if match is None:
        return None
    try:
        return vm.disk(int(match[1]))
    except KeyError as error:
        raise DriverError(f"VM {vm.vm_id} has no {file_name}", code="refused") from error


def path_of(place: Place, vm: Vm, file_name: str) -> Path:
    """Return where a file of the VM belongs.

    Raises:
        DriverError: ``refused``: a VM has no such file.
    """
    disk = disk_of(vm, file_name)
    if disk is not None:
        return place.disk_path(vm, disk)
    for path in (checkpoint_path(place, vm), context_path(place, vm)):
        if path.name == file_name:
            return path
    raise DriverError(f"a VM has no file {file_name!r}", code="refused")


def foreign_disks(place: Place, vm: Vm, driver: str) -> frozenset[Path]:
    """Return where the VM's disks are that another driver looks after."""
    return frozenset(place.disk_path(vm, disk) for disk in vm.disks if disk.driver != driver)


def adopt_overlay(place: Place, disk: Disk, path: Path, *, qemu_img: QemuImg) -> None:
    """Make an overlay that was made on another host lie over this host's copy of the image.

    The name of the base in it is the other host's, and nobody knows that it names the image: it is replaced unread.

    Raises:
        DriverError: ``bad_image``: it names other files of the host; ``image_missing``: the image is not here.
    """
    header = qcow2_header.read_header(path)
    qcow2_header.refuse_foreign_files(header, overlay=disk.image is not None)
    if disk.image is not None and header.backing_file:
        qemu_img.rebase(path, base=place.image_path(disk.image.sha256), base_format=disk.image.format)


def take_over(place: Place, vm: Vm, file_name: str, source: Path, *, qemu_img: QemuImg) -> None:
    """Do what ``TransferDriver.mv`` promises."""
    target = path_of(place, vm, file_name)
    if not source.exists():
        if target.exists():
            return
        raise DriverError(f"{file_name} of VM {vm.vm_id} has not been fetched: {source} is missing")
    disk = disk_of(vm, file_name)
    if disk is not None and disk.format is DiskFormat.QCOW2:
        adopt_overlay(place, disk, source, qemu_img=qemu_img)
    _move(place, source, target)


def _move(place: Place, source: Path, target: Path) -> None:
    source.chmod(FILE_MODE)
    sync(source)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with whole(target) as partial:
            copy_sparse(source, partial, progress=place.progress)
        source.unlink()
    sync(target.parent)
