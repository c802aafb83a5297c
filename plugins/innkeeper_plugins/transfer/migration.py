"""What the destination of a live migration needs of a disk before the guest comes.

It must not touch a disk that a guest may be using: what is there already stays as it is.
"""

from pathlib import Path

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import Place, TransferDriver
from innkeeper_plugins.transfer import empty_disks, qcow2_header
from innkeeper_plugins.transfer.qemu_img import QemuImg
from innkeeper_plugins.transfer.whole_file import told_as_driver_errors, whole
from innkeeper_plugins.vocabulary import Disk, DiskFormat, DiskKind, Vm


def prepare(driver: TransferDriver, place: Place, vm: Vm, disk: Disk, *, qemu_img: QemuImg) -> None:
    """Make an empty disk of exactly the size that the hypervisor will copy into it, or link a read-only one.

    Raises:
        DriverError: ``refused``: a disk of another size is in the way.
    """
    if disk.kind is DiskKind.CDROM:
        driver.ln(place, vm, disk)
        return
    known = driver.stat(place, vm, disk)
    if not known.exists:
        with whole(place.disk_path(vm, disk)) as partial:
            empty_disks.make_blank(partial, disk, qemu_img=qemu_img)
    elif known.virtual_size_bytes != disk.size_bytes:
        raise DriverError(
            f"{place.disk_path(vm, disk)} has {known.virtual_size_bytes} bytes and not {disk.size_bytes}: "
            "an older copy of this disk is in the way; delete it if no host needs it",
            code="refused",
        )


def expect_shared(place: Place, vm: Vm, disk: Disk) -> None:
    """Check that a disk on shared storage, and what it lies over, can be seen from this host.

    Raises:
        DriverError: ``refused``: they cannot.
    """
    path = place.disk_path(vm, disk)
    with told_as_driver_errors(path):
        if not path.exists():
            raise _unseen(path, disk)
        if disk.format is DiskFormat.QCOW2:
            base = qcow2_header.read_header(path).backing_file
            if base and not Path(base).exists():
                raise _unseen(Path(base), disk)


def _unseen(path: Path, disk: Disk) -> DriverError:
    return DriverError(
        f"this host does not see {path}: mount datastore {disk.datastore} here as on the other hosts, "
        "or give it a driver that does not share",
        code="refused",
    )
