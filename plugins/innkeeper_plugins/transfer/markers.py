"""Keeps what a simulated driver has made: in memory, or as small files where disks would be.

It must not decide what is made when.
"""

from pathlib import Path
from typing import Protocol

import msgspec

from innkeeper_plugins.protocols import Place
from innkeeper_plugins.transfer import removal
from innkeeper_plugins.transfer.whole_file import partial_path
from innkeeper_plugins.vocabulary import Disk, Value, Vm, VmId


class Marker(Value):
    """Stands for a disk."""

    size_bytes: int
    #: True where it stands for the image itself.
    linked: bool = False
    snapshot_ids: tuple[int, ...] = ()


class Markers(Protocol):
    """Where the markers of disks are kept."""

    def get(self, place: Place, vm: Vm, disk: Disk) -> Marker | None:
        """Return the disk's marker, or None where there is no disk."""
        ...

    def put(self, place: Place, vm: Vm, disk: Disk, marker: Marker) -> None:
        """Set the disk's marker."""
        ...

    def drop(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Remove the disk's marker, if there is one."""
        ...

    def drop_all(self, vm: Vm) -> None:
        """Remove what is kept of the VM outside of its directories."""
        ...


class MemoryMarkers:
    """Markers that end with the process."""

    def __init__(self) -> None:
        """Begin with none."""
        self._markers: dict[VmId, dict[int, Marker]] = {}

    def get(self, _place: Place, vm: Vm, disk: Disk) -> Marker | None:
        """Return the disk's marker, or None where there is no disk."""
        return self._markers.get(vm.vm_id, {}).get(disk.disk_id)

    def put(self, _place: Place, vm: Vm, disk: Disk, marker: Marker) -> None:
        """Set the disk's marker."""
        self._markers.setdefault(vm.vm_id, {})[disk.disk_id] = marker

    def drop(self, _place: Place, vm: Vm, disk: Disk) -> None:
        """Remove the disk's marker, if there is one."""
        self._markers.get(vm.vm_id, {}).pop(disk.disk_id, None)

    def drop_all(self, vm: Vm) -> None:
        """Remove all markers of the VM."""
        self._markers.pop(vm.vm_id, None)


class FileMarkers:
    """Markers as small files under the disks' own names; they can be sealed, fetched and lost like disks."""

    def get(self, place: Place, vm: Vm, disk: Disk) -> Marker | None:
        """Return the disk's marker, or None where there is no disk."""
        try:
            return msgspec.json.decode(place.disk_path(vm, disk).read_bytes(), type=Marker)
        except FileNotFoundError:
            return None

    def put(self, place: Place, vm: Vm, disk: Disk, marker: Marker) -> None:
        """Set the disk's marker."""
        write(place.disk_path(vm, disk), msgspec.json.encode(marker))

    def drop(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Remove the disk's marker, if there is one, and its half-made one."""
        path = place.disk_path(vm, disk)
        for file in (path, partial_path(path)):
            removal.remove_file(file)
        removal.remove_if_empty(path.parent)

    def drop_all(self, _vm: Vm) -> None:
        """Do nothing: the files go with the VM's directories."""


def write(path: Path, content: bytes) -> None:
    """Put a small file in place; not synced, since what is simulated may be lost with the power."""
    partial = partial_path(path)
    partial.write_bytes(content)
    partial.replace(path)
