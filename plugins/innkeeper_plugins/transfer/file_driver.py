"""A transfer driver whose disks are plain files; how it makes a disk from an image is all that it is told.

It must not know where files are: the ``Place`` does.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import DiskStat, Place, context_path
from innkeeper_plugins.transfer import arrival, empty_disks, migration, outbound, qcow2_header, removal
from innkeeper_plugins.transfer.context_iso import context_iso
from innkeeper_plugins.transfer.qemu_img import QemuImg, snapshot_name
from innkeeper_plugins.transfer.whole_file import partial_path, sync, told_as_driver_errors, whole
from innkeeper_plugins.vocabulary import Disk, DiskFormat, ImageRef, SealedFile, Vm

SECTOR_BYTES = 512

#: Makes the file ``path`` from the image's verified file ``base``: called with ``(place, disk, base, path)``.
#: It may raise ``DriverError`` and ``OSError``; what it leaves under ``path`` is removed then.
CloneFunction = Callable[[Place, Disk, Path, Path], None]


@dataclass(slots=True, kw_only=True)
class FileDriver:
    """Every verb of ``TransferDriver`` for disks that are files, by ``clone_disk`` and qemu-img."""

    name: str
    capabilities: frozenset[str]
    clone_disk: CloneFunction
    qemu_img: QemuImg

    def clone(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Make the disk from its image; one that is there already is left alone."""
        target = place.disk_path(vm, disk)
        image = _image_of(disk)
        if _is_made(target):
            return
        if disk.size_bytes < image.virtual_size_bytes:
            raise DriverError(
                f"disk {disk.disk_id} of {disk.size_bytes} bytes is too small for image {image.name}, "
                f"which needs {image.virtual_size_bytes}",
                code="refused",
            )
        base = place.image_path(image.sha256)
        place.progress(0, disk.size_bytes)
        with whole(target) as partial:
            self.clone_disk(place, disk, base, partial)

    def ln(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Give the VM the image itself: a link to its file in the cache."""
        target = place.disk_path(vm, disk)
        image = _image_of(disk)
        if disk.format is not image.format:
            raise DriverError(
                f"disk {disk.disk_id} is to be {disk.format} and is the {image.format} image itself: "
                f"give it FORMAT={image.format}, or a copy of its own",
                code="refused",
            )
        base = place.image_path(image.sha256)
        if target.is_symlink() and target.readlink() == base:
            return
        if not target.is_symlink() and _is_made(target):
            raise DriverError(f"{target} is a disk of its own: delete it before linking the image", code="refused")
        _link(base, target)

    def mv(self, place: Place, vm: Vm, file: SealedFile, source: Path) -> None:
        """Take over a file from another host; an overlay is laid over this host's copy of the image."""
        with told_as_driver_errors(source):
            arrival.take_over(place, vm, file.name, source, qemu_img=self.qemu_img)

    def mkimage(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Make an empty disk; one that is there already is left alone."""
        self._make(place, vm, disk, empty_disks.formatter_of(disk))

    def mkswap(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Make a swap disk; one that is there already is left alone."""
        self._make(place, vm, disk, empty_disks.SWAP_FORMATTER)

    def context(self, place: Place, vm: Vm) -> None:
        """Make the context disk; one with the same content is left alone."""
        target = context_path(place, vm)
        content = context_iso(vm)
        with told_as_driver_errors(target):
            if target.is_file() and target.read_bytes() == content:
                return
        with whole(target) as partial:
            partial.write_bytes(content)

    def delete(self, place: Place, vm: Vm, disk: Disk | None) -> None:
        """Delete one disk with what was left half-made of it, or the VM's directories."""
        if disk is not None:
            self._delete_disk(place, vm, disk)
            return
        for directory in place.vm_dirs(vm):
            with told_as_driver_errors(directory):
                removal.remove_tree(directory)

    def resize(self, place: Place, vm: Vm, disk: Disk, size_bytes: int) -> None:
        """Make the disk larger."""
        path = place.disk_path(vm, disk)
        known = self.stat(place, vm, disk)
        if not known.exists:
            raise DriverError(f"disk {disk.disk_id} of VM {vm.vm_id} is not here: {path}")
        if size_bytes < known.virtual_size_bytes:
            raise DriverError(
                f"disk {disk.disk_id} has {known.virtual_size_bytes} bytes and never becomes smaller", code="refused"
            )
        if size_bytes > known.virtual_size_bytes:
            with told_as_driver_errors(path):
                grow(path, disk.format, size_bytes, qemu_img=self.qemu_img)
                sync(path)

    def cpds(self, place: Place, vm: Vm, disk: Disk, destination: Path, snapshot_id: int | None) -> None:
        """Copy the disk, or a snapshot of it, as a file that needs no other; see ``TransferDriver``."""
        snapshot = ""
        if not self.stat(place, vm, disk).exists:
            raise DriverError(f"disk {disk.disk_id} of VM {vm.vm_id} is not here", code="refused")
        if snapshot_id is not None:
            self._expect_snapshot(place, vm, disk, snapshot_id)
            snapshot = snapshot_name(snapshot_id)
        place.progress(0, disk.size_bytes)
        with whole(destination) as partial:
            growing = watched(place, partial, disk.size_bytes)
            outbound.copy_out(place, vm, disk, partial, snapshot=snapshot, qemu_img=self.qemu_img, cancelled=growing)

    def premigrate(self, place: Place, vm: Vm) -> None:
        """Make this driver's disks ready for the incoming guest."""
        for disk in vm.disks:
            if disk.driver != self.name:
                continue
            if "shared" in self.capabilities:
                migration.expect_shared(place, vm, disk)
            else:
                migration.prepare(self, place, vm, disk, qemu_img=self.qemu_img)

    def postmigrate(self, place: Place, vm: Vm) -> None:
        """Delete this driver's disks, and the VM's directory where that is this driver's; never what is shared."""
        if "shared" in self.capabilities:
            return
        for disk in vm.disks:
            if disk.driver == self.name:
                self._delete_disk(place, vm, disk)
        if vm.driver == self.name:
            directory = place.vm_dir(vm)
            with told_as_driver_errors(directory):
                removal.remove_all_but(directory, keep=arrival.foreign_disks(place, vm, self.name))

    def stat(self, place: Place, vm: Vm, disk: Disk) -> DiskStat:
        """Say what is there, from the file's own header."""
        path = place.disk_path(vm, disk)
        with told_as_driver_errors(path):
            if not path.is_file():
                return DiskStat(exists=False)
            status = path.stat()
            size_bytes = status.st_size
            if disk.format is DiskFormat.QCOW2:
                size_bytes = qcow2_header.read_header(path).virtual_size_bytes
        return DiskStat(
            exists=True,
            format=disk.format,
            virtual_size_bytes=size_bytes,
            allocated_bytes=status.st_blocks * SECTOR_BYTES,
        )

    def snapshot_create(self, place: Place, vm: Vm, disk: Disk, snapshot_id: int) -> None:
        """Keep the disk's content inside its own file; a snapshot that is there already is left alone."""
        path, there = self._snapshots(place, vm, disk)
        if snapshot_name(snapshot_id) not in there:
            self.qemu_img.snapshot("-c", snapshot_name(snapshot_id), path)

    def snapshot_revert(self, place: Place, vm: Vm, disk: Disk, snapshot_id: int) -> None:
        """Bring a snapshot's content back; the snapshot stays."""
        path = self._expect_snapshot(place, vm, disk, snapshot_id)
        self.qemu_img.snapshot("-a", snapshot_name(snapshot_id), path)
        # The disk has the size of the snapshot now, which may be older than its last growth.
        if disk.size_bytes > self.stat(place, vm, disk).virtual_size_bytes:
            self.resize(place, vm, disk, disk.size_bytes)

    def snapshot_delete(self, place: Place, vm: Vm, disk: Disk, snapshot_id: int) -> None:
        """Drop a snapshot; one that is not there is fine."""
        path, there = self._snapshots(place, vm, disk)
        if snapshot_name(snapshot_id) in there:
            self.qemu_img.snapshot("-d", snapshot_name(snapshot_id), path)

    def _make(self, place: Place, vm: Vm, disk: Disk, formatter: tuple[str, ...]) -> None:
        target = place.disk_path(vm, disk)
        if _is_made(target):
            return
        place.progress(0, disk.size_bytes)
        with whole(target) as partial:
            growing = watched(place, partial, disk.size_bytes)
            empty_disks.make_disk(partial, disk, formatter, qemu_img=self.qemu_img, cancelled=growing)

    def _delete_disk(self, place: Place, vm: Vm, disk: Disk) -> None:
        path = place.disk_path(vm, disk)
        with told_as_driver_errors(path):
            for file in (path, partial_path(path), empty_disks.plain_path(partial_path(path))):
                removal.remove_file(file)
            removal.remove_if_empty(path.parent)

    def _expect_snapshot(self, place: Place, vm: Vm, disk: Disk, snapshot_id: int) -> Path:
        path, there = self._snapshots(place, vm, disk)
        if snapshot_name(snapshot_id) not in there:
            raise DriverError(f"disk {disk.disk_id} of VM {vm.vm_id} has no snapshot {snapshot_id}", code="refused")
        return path

    def _snapshots(self, place: Place, vm: Vm, disk: Disk) -> tuple[Path, frozenset[str]]:
        if "snapshot" not in self.capabilities:
            raise DriverError(f"the driver {self.name} keeps no snapshots", code="refused")
        if disk.format is not DiskFormat.QCOW2:
            raise DriverError(f"disk {disk.disk_id} is {disk.format}: only qcow2 keeps snapshots", code="refused")
        path = place.disk_path(vm, disk)
        return path, self.qemu_img.snapshots(path)


def watched(place: Place, growing: Path, total_bytes: int) -> Callable[[], bool]:
    """Return what ``commands.run`` may ask while a tool makes a file: it tells the place how far the tool is."""

    def cancelled() -> bool:
        try:
            done_bytes = growing.stat().st_blocks * SECTOR_BYTES
        except FileNotFoundError:
            done_bytes = 0
        place.progress(min(done_bytes, total_bytes), total_bytes)
        return False

    return cancelled


def grow(path: Path, format_: DiskFormat, size_bytes: int, *, qemu_img: QemuImg) -> None:
    """Make a disk's file larger, whatever its format."""
    if format_ is DiskFormat.RAW:
        os.truncate(path, size_bytes)
    else:
        qemu_img.resize(path, format_, size_bytes)


def _image_of(disk: Disk) -> ImageRef:
    if disk.image is None:
        raise DriverError(f"disk {disk.disk_id} names no image to be made from", code="refused")
    return disk.image


def _is_made(target: Path) -> bool:
    """Say whether the disk is there; disks are renamed into place, so what is there is whole."""
    with told_as_driver_errors(target):
        if target.is_symlink():
            raise DriverError(f"{target} is a link to an image: delete it before making a disk there", code="refused")
        if target.exists() and not target.is_file():
            raise DriverError(f"{target} is in the way: it is not a disk's file", code="refused")
        return target.exists()


def _link(base: Path, target: Path) -> None:
    partial = partial_path(target)
    with told_as_driver_errors(target):
        removal.remove_file(partial)
        partial.symlink_to(base)
        partial.replace(target)
        sync(target.parent)
