"""The calls of qemu-img that drivers make, every format said and none guessed.

It must not choose names or put files in place.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from innkeeper_plugins import commands
from innkeeper_plugins.vocabulary import DiskFormat

#: Prefix of our snapshots' names; any other snapshot in a disk is not ours to touch.
SNAPSHOT_PREFIX = "innkeeper-"


def never() -> bool:
    """Say that nobody has cancelled."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuImg:
    """Runs qemu-img with the patience that the configuration gives.

    Every method raises ``DriverError`` with what qemu-img said; a file that it was making may be left half-made.
    """

    #: For what only touches metadata.
    quick_timeout_s: float
    #: For what carries the content of a disk.
    bulk_timeout_s: float

    def create(self, path: Path, format_: DiskFormat, size_bytes: int) -> None:
        """Make an empty disk."""
        self._quick("create", "-q", "-f", format_, _name(path), str(size_bytes))

    def create_overlay(self, path: Path, size_bytes: int, *, base: Path, base_format: DiskFormat) -> None:
        """Make a qcow2 disk that reads from ``base`` whatever it has not been written itself."""
        backing = ("-b", _name(base), "-F", base_format)
        self._quick("create", "-q", "-f", DiskFormat.QCOW2, *backing, _name(path), str(size_bytes))

    def rebase(self, path: Path, *, base: Path, base_format: DiskFormat) -> None:
        """Name another file with the same content as the base; the content of neither is read."""
        self._quick("rebase", "-q", "-u", "-f", DiskFormat.QCOW2, "-b", _name(base), "-F", base_format, _name(path))

    def resize(self, path: Path, format_: DiskFormat, size_bytes: int) -> None:
        """Set the virtual size."""
        self._quick("resize", "-q", "-f", format_, _name(path), str(size_bytes))

    def convert(
        self,
        source: Path,
        target: Path,
        *,
        formats: tuple[DiskFormat, DiskFormat],
        cancelled: Callable[[], bool] = never,
        options: tuple[str, ...] = (),
    ) -> None:
        """Copy a disk's content into a new file of another format.

        Args:
            source: An image that has been inspected.
            target: The file to make.
            formats: Of the source and of the target.
            cancelled: Asked while it runs.
            options: More arguments of ``qemu-img convert``, such as ``-c``.
        """
        from_format, to_format = formats
        argv = ("convert", "-q", *options, "-f", from_format, "-O", to_format, _name(source), _name(target))
        commands.run(("qemu-img", *argv), timeout_s=self.bulk_timeout_s, cancelled=cancelled)

    def snapshots(self, path: Path) -> frozenset[str]:
        """Return the names of the snapshots inside a qcow2 disk."""
        argv = ("qemu-img", "info", "--output=json", "-f", DiskFormat.QCOW2, _name(path))
        printed = commands.run(argv, timeout_s=self.quick_timeout_s).stdout
        known: dict[str, Any] = msgspec.json.decode(printed, type=dict)
        return frozenset(str(snapshot["name"]) for snapshot in known.get("snapshots", ()))

    def snapshot(self, act: str, name: str, path: Path) -> None:
        """Create (``-c``), go back to (``-a``) or delete (``-d``) a snapshot inside a qcow2 disk."""
        # This subcommand takes no -f: only the long form of the file's name says the format.
        file = f"driver={DiskFormat.QCOW2},file.driver=file,file.filename={_name(path).replace(',', ',,')}"
        argv = ("qemu-img", "snapshot", "-q", act, name, "--image-opts", file)
        commands.run(argv, timeout_s=self.bulk_timeout_s)

    def _quick(self, *argv: str) -> None:
        commands.run(("qemu-img", *argv), timeout_s=self.quick_timeout_s)


def snapshot_name(snapshot_id: int) -> str:
    """Return the name that a snapshot of ours has inside the disk."""
    return f"{SNAPSHOT_PREFIX}{snapshot_id}"


def _name(path: Path) -> str:
    # An absolute name is never taken for a protocol ("nbd:...") nor for relative to an overlay's directory.
    return os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links
