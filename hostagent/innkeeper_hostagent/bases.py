"""Which images the disks on this host lie over, as the disks themselves say: none of them may be evicted."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer.qcow2_header import read_header


def digests(vms_dirs: Iterable[Path]) -> frozenset[str]:
    """Return the names of the images that disks are overlays of, or links to.

    Args:
        vms_dirs: Directories that hold one directory a VM.
    """
    return frozenset(base for directory in vms_dirs for path in directory.glob("*/disk.*") for base in _base_of(path))


def _base_of(path: Path) -> Iterator[str]:
    try:
        if path.is_symlink():
            yield path.readlink().name
        elif backing := read_header(path).backing_file:
            yield Path(backing).name
    except (DriverError, OSError):
        # Not a qcow2 file, or gone meanwhile: it lies over nothing.
        return
