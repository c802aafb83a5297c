"""What a transfer driver under test works with: a host, an image, a VM with two disks.

It must not check promises: it builds, acts as a guest and looks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from innkeeper_plugins.conformance.guest_view import make_image, read_disk, write_sector
from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.protocols import TransferDriver
from innkeeper_plugins.vocabulary import Disk, DiskFormat, DiskKind, ImageRef, Nic, Vm, VmId

MIB = 1024 * 1024
IMAGE_BYTES = MIB
DISK_BYTES = 8 * MIB
#: What a guest writes in the tests.
SCRIBBLE = bytes([0xAB]) * 512
#: What is in the image: data, a hole, data.
CONTENT = b"begin" * 1000 + bytes(IMAGE_BYTES - 8000) + b"end" * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A driver, a host for it, and a VM whose first disk is from an image and whose second is empty."""

    driver: TransferDriver
    place: LocalPlace
    vm: Vm
    #: False where the driver only pretends: then nothing is read from its disks.
    makes_disks: bool

    @property
    def disk(self) -> Disk:
        """The disk that is to be made from the image."""
        return self.vm.disks[0]

    @property
    def blank(self) -> Disk:
        """The disk that is to be made of nothing."""
        return self.vm.disks[1]

    @property
    def image(self) -> ImageRef:
        """The image in the host's cache."""
        image = self.disk.image
        assert image is not None
        return image

    def make_all(self, vm: Vm | None = None) -> None:
        """Do what a deployment does before the boot."""
        self.driver.clone(self.place, vm or self.vm, self.disk)
        self.driver.mkimage(self.place, vm or self.vm, self.blank)
        self.driver.context(self.place, vm or self.vm)

    def size_of(self, disk: Disk, vm: Vm | None = None) -> int | None:
        """Return the size that the driver says, None for a disk that is not there."""
        known = self.driver.stat(self.place, vm or self.vm, disk)
        return known.virtual_size_bytes if known.exists else None

    def begins_with(self, disk: Disk, seen: bytes) -> bool:
        """Say whether the guest would see this at the beginning of the disk, and zeros after it."""
        if not self.makes_disks:
            return True
        found = read_disk(self.place.disk_path(self.vm, disk), disk.format)
        return found == seen + bytes(len(found) - len(seen))

    def scribble(self, disk: Disk) -> None:
        """Write ``SCRIBBLE`` to the first sector, as a guest would."""
        if self.makes_disks:
            write_sector(self.place.disk_path(self.vm, disk), disk.format, SCRIBBLE[0])

    def files(self, vm: Vm | None = None) -> list[Path]:
        """Return every file that the VM has on the host, sorted."""
        return sorted(_files_below(self.place, vm or self.vm))

    def neighbour(self) -> Vm:
        """Return another VM with the same kind of disks."""
        return msgspec.structs.replace(self.vm, vm_id=VmId(self.vm.vm_id + 1), name="neighbour")


def make_bench(
    driver: TransferDriver, root: Path, *, image_format: DiskFormat, disk_format: DiskFormat, makes_disks: bool
) -> Bench:
    """Set everything up below ``root``; the disks are not made yet."""
    place = LocalPlace(root / "host")
    file = make_image(root / "image", CONTENT, image_format)
    image = place.add_image(file, format_=image_format, virtual_size_bytes=len(CONTENT))
    disk = a_disk(driver, disk_format, image)
    blank = msgspec.structs.replace(disk, disk_id=1, kind=DiskKind.VOLATILE, target="vdb", image=None)
    return Bench(driver=driver, place=place, vm=a_vm(driver, (disk, blank)), makes_disks=makes_disks)


def a_disk(driver: TransferDriver, format_: DiskFormat, image: ImageRef | None) -> Disk:
    """Return a disk to be made from the image."""
    return Disk(
        disk_id=0,
        kind=DiskKind.IMAGE,
        datastore="default",
        driver=driver.name,
        format=format_,
        size_bytes=DISK_BYTES,
        target="vda",
        image=image,
    )


def a_vm(driver: TransferDriver, disks: tuple[Disk, ...]) -> Vm:
    """Return a VM whose disks and directory the driver looks after."""
    return Vm(
        vm_id=VmId(7),
        name="guest",
        uuid="00000000-0000-4000-8000-000000000007",
        generation=1,
        cpu_cores=1.0,
        vcpus=1,
        memory_mib=64,
        hypervisor="simulated",
        driver=driver.name,
        disks=disks,
        nics=(Nic(nic_id=0, network="lan", mac="02:00:0a:4d:00:07", ip="10.77.0.7", netmask="255.255.255.0"),),
        context={"GREETING": "it's me"},
    )


def _files_below(place: LocalPlace, vm: Vm) -> Iterator[Path]:
    for directory in place.vm_dirs(vm):
        yield from (path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir())
