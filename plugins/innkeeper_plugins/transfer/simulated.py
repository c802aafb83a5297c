"""The driver ``simulated``: makes no disks, and is slow, fails, hangs or lies when it is told to.

It must not start a tool or keep a guest's data: it is for rehearsing, testing and measuring everything else.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import DiskStat, Place, context_path
from innkeeper_plugins.transfer import arrival, removal
from innkeeper_plugins.transfer.context_files import context_files
from innkeeper_plugins.transfer.markers import FileMarkers, Marker, Markers, MemoryMarkers, write
from innkeeper_plugins.transfer.misbehaviour import Misbehaviour, Orders
from innkeeper_plugins.transfer.simulated_content import image_of
from innkeeper_plugins.transfer.whole_file import partial_path, told_as_driver_errors
from innkeeper_plugins.vocabulary import Disk, SealedFile, Vm

NAME = "simulated"
VERBS = (
    "clone",
    "ln",
    "mv",
    "mkimage",
    "mkswap",
    "context",
    "delete",
    "resize",
    "cpds",
    "premigrate",
    "postmigrate",
    "stat",
    "snapshot_create",
    "snapshot_revert",
    "snapshot_delete",
)


class SimulatedOptions(Orders, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of ``[drivers.simulated]``: the orders to misbehave, and these."""

    #: Leave a small file for each disk; without, disks are remembered until the agent ends.
    files: bool = False
    #: Declare that every host sees the same disks.
    shared: bool = False
    #: Insist that an image is in the cache before it is cloned or linked.
    needs_image: bool = True


def make(config: Mapping[str, Any], *, sleep: Callable[[float], None] = time.sleep) -> "SimulatedDriver":
    """Make the driver from ``[drivers.simulated]``.

    Args:
        config: See ``SimulatedOptions``.
        sleep: Waits for so many seconds.

    Raises:
        msgspec.ValidationError: a key is unknown or a value has the wrong type.
        ValueError: an order names a verb that does not exist.
    """
    return SimulatedDriver(msgspec.convert(dict(config), SimulatedOptions), sleep=sleep)


class SimulatedDriver:
    """Every verb of ``TransferDriver``, on markers instead of disks."""

    def __init__(self, options: SimulatedOptions, *, sleep: Callable[[float], None]) -> None:
        """Take the orders.

        Raises:
            ValueError: an order names a verb that does not exist.
        """
        self.name = NAME
        self.capabilities = frozenset({"live", "snapshot"} | ({"shared"} if options.shared else set()))
        self._options = options
        self._misbehaviour = Misbehaviour(options, VERBS, sleep=sleep)
        self._markers: Markers = FileMarkers() if options.files else MemoryMarkers()

    def clone(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Mark the disk as made."""
        self._from_image("clone", place, vm, disk, linked=False)

    def ln(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Mark the disk as linked."""
        self._from_image("ln", place, vm, disk, linked=True)

    def mv(self, place: Place, vm: Vm, file: SealedFile, source: Path) -> None:
        """Take over the file; without ``files``, only that it exists."""
        if not self._misbehaviour.meet("mv", place.progress):
            return
        disk = arrival.disk_of(vm, file.name)
        target = arrival.path_of(place, vm, file.name)
        with told_as_driver_errors(source):
            if self._options.files or disk is None:
                if source.exists() or not target.exists():
                    source.replace(target)
                return
            removal.remove_file(source)
            self._markers.put(place, vm, disk, Marker(size_bytes=disk.size_bytes))

    def mkimage(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Mark the disk as made."""
        self._make("mkimage", place, vm, disk)

    def mkswap(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Mark the disk as made."""
        self._make("mkswap", place, vm, disk)

    def context(self, place: Place, vm: Vm) -> None:
        """With ``files``, write what the context disk would say."""
        if self._misbehaviour.meet("context", place.progress) and self._options.files:
            path = context_path(place, vm)
            with told_as_driver_errors(path):
                write(path, context_files(vm)["context.sh"])

    def delete(self, place: Place, vm: Vm, disk: Disk | None) -> None:
        """Forget one disk, or all that the VM has here with its directories."""
        if self._misbehaviour.meet("delete", place.progress):
            self._delete(place, vm, disk)

    def resize(self, place: Place, vm: Vm, disk: Disk, size_bytes: int) -> None:
        """Make the disk's marker say the size."""
        if not self._misbehaviour.meet("resize", place.progress):
            return
        marker = self._marker(place, vm, disk)
        if size_bytes < marker.size_bytes:
            raise DriverError(
                f"disk {disk.disk_id} has {marker.size_bytes} bytes and never becomes smaller", code="refused"
            )
        self._markers.put(place, vm, disk, msgspec.structs.replace(marker, size_bytes=size_bytes))

    def cpds(self, place: Place, vm: Vm, disk: Disk, destination: Path, snapshot_id: int | None) -> None:
        """Write an empty image of the disk's format and size that says whose it is."""
        marker = self._marker(place, vm, disk)
        if snapshot_id is not None and snapshot_id not in marker.snapshot_ids:
            raise DriverError(f"disk {disk.disk_id} of VM {vm.vm_id} has no snapshot {snapshot_id}", code="refused")
        text = f"simulated disk.{disk.disk_id} of {vm.uuid}, snapshot {snapshot_id}, {marker.size_bytes} bytes"
        if self._misbehaviour.meet("cpds", place.progress):
            with told_as_driver_errors(destination):
                write(destination, image_of(disk.format, marker.size_bytes, text))

    def premigrate(self, place: Place, vm: Vm) -> None:
        """Mark this driver's disks as made."""
        if not self._misbehaviour.meet("premigrate", place.progress):
            return
        for disk in self._own(vm):
            if not self._options.shared:
                self._mark(place, vm, disk, Marker(size_bytes=disk.size_bytes))

    def postmigrate(self, place: Place, vm: Vm) -> None:
        """Forget this driver's disks."""
        if self._options.shared or not self._misbehaviour.meet("postmigrate", place.progress):
            return
        for disk in self._own(vm):
            self._delete(place, vm, disk)
        if vm.driver == self.name:
            removal.remove_all_but(place.vm_dir(vm), keep=arrival.foreign_disks(place, vm, self.name))

    def stat(self, place: Place, vm: Vm, disk: Disk) -> DiskStat:
        """Say what the marker says; a lie is the opposite."""
        honest = self._misbehaviour.meet("stat", place.progress)
        marker = self._markers.get(place, vm, disk)
        if (marker is None) is honest:
            return DiskStat(exists=False)
        size_bytes = marker.size_bytes if marker else disk.size_bytes
        return DiskStat(exists=True, format=disk.format, virtual_size_bytes=size_bytes)

    def snapshot_create(self, place: Place, vm: Vm, disk: Disk, snapshot_id: int) -> None:
        """Add the id to the marker."""
        if self._misbehaviour.meet("snapshot_create", place.progress):
            marker = self._marker(place, vm, disk)
            self._keep(place, vm, disk, marker, {*marker.snapshot_ids, snapshot_id})

    def snapshot_revert(self, place: Place, vm: Vm, disk: Disk, snapshot_id: int) -> None:
        """Check that the marker has the id."""
        honest = self._misbehaviour.meet("snapshot_revert", place.progress)
        if honest and snapshot_id not in self._marker(place, vm, disk).snapshot_ids:
            raise DriverError(f"disk {disk.disk_id} of VM {vm.vm_id} has no snapshot {snapshot_id}", code="refused")

    def snapshot_delete(self, place: Place, vm: Vm, disk: Disk, snapshot_id: int) -> None:
        """Take the id out of the marker."""
        if self._misbehaviour.meet("snapshot_delete", place.progress):
            marker = self._marker(place, vm, disk)
            self._keep(place, vm, disk, marker, {*marker.snapshot_ids} - {snapshot_id})

    def _from_image(self, verb: str, place: Place, vm: Vm, disk: Disk, *, linked: bool) -> None:
        if not self._meet_making(verb, place, vm, disk):
            return
        if disk.image is None:
            raise DriverError(f"disk {disk.disk_id} names no image to be made from", code="refused")
        if self._options.needs_image:
            place.image_path(disk.image.sha256)
        self._mark(place, vm, disk, Marker(size_bytes=disk.size_bytes, linked=linked))

    def _make(self, verb: str, place: Place, vm: Vm, disk: Disk) -> None:
        if self._meet_making(verb, place, vm, disk):
            self._mark(place, vm, disk, Marker(size_bytes=disk.size_bytes))

    def _meet_making(self, verb: str, place: Place, vm: Vm, disk: Disk) -> bool:
        try:
            return self._misbehaviour.meet(verb, place.progress)
        except DriverError:
            if self._options.files:
                partial_path(place.disk_path(vm, disk)).touch()
            raise

    def _mark(self, place: Place, vm: Vm, disk: Disk, marker: Marker) -> None:
        with told_as_driver_errors(Path(f"disk.{disk.disk_id}")):
            if self._markers.get(place, vm, disk) is None:
                self._markers.put(place, vm, disk, marker)

    def _marker(self, place: Place, vm: Vm, disk: Disk) -> Marker:
        marker = self._markers.get(place, vm, disk)
        if marker is None:
            raise DriverError(f"disk {disk.disk_id} of VM {vm.vm_id} is not here")
        return marker

    def _keep(self, place: Place, vm: Vm, disk: Disk, marker: Marker, snapshot_ids: set[int]) -> None:
        kept = msgspec.structs.replace(marker, snapshot_ids=tuple(sorted(snapshot_ids)))
        self._markers.put(place, vm, disk, kept)

    def _delete(self, place: Place, vm: Vm, disk: Disk | None) -> None:
        if disk is not None:
            self._markers.drop(place, vm, disk)
            return
        self._markers.drop_all(vm)
        for directory in place.vm_dirs(vm):
            with told_as_driver_errors(directory):
                removal.remove_tree(directory)

    def _own(self, vm: Vm) -> list[Disk]:
        return [disk for disk in vm.disks if disk.driver == self.name]
