"""Reads what a qcow2 file says of itself, from its bytes, without opening the disk.

It must not follow any name that it finds in the file.
"""

import os
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from innkeeper_plugins.errors import DriverError

MAGIC = b"QFI\xfb"
#: The header as version 2 has it, and what version 3 adds (docs/interop/qcow2.txt of QEMU).
HEADER_V2 = struct.Struct(">4sIQIIQIIQQIIQ")
HEADER_V3 = struct.Struct(">QQQII")
#: Incompatible features: dirty, corrupt, external data file, compression type.
CORRUPT = 1 << 1
EXTERNAL_DATA_FILE = 1 << 2
KNOWN_FEATURES = 0b1111

CLUSTER_BITS = range(9, 22)
#: QEMU's own limits.
L1_LIMIT_BYTES = 32 * 1024 * 1024
BACKING_NAME_LIMIT_BYTES = 1023

ENTRY_BYTES = 8
OFFSET_MASK = 0x00FF_FFFF_FFFF_FE00
COMPRESSED = 1 << 62
READS_AS_ZEROS = 1 << 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the first cluster of a qcow2 file says."""

    version: int
    #: Name of the file that the disk lies over, empty for none. Whoever made the disk chose it.
    backing_file: str
    cluster_bits: int
    virtual_size_bytes: int
    encrypted: bool
    l1_entries: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshots: int
    incompatible_features: int

    @property
    def cluster_bytes(self) -> int:
        """Bytes of a cluster."""
        return 1 << self.cluster_bits


def read_header(path: Path) -> Header:
    """Read the header of a qcow2 file.

    Raises:
        DriverError: ``bad_image``: it is not a qcow2 file, or its header makes no sense.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        return parse_header(file.fileno())


def parse_header(descriptor: int) -> Header:
    """Read the header of an open qcow2 file, as ``read_header`` does."""
    start = os.pread(descriptor, HEADER_V2.size + HEADER_V3.size, 0)
    if not start.startswith(MAGIC):
        raise bad_image("it is not a qcow2 file")
    if len(start) < HEADER_V2.size + HEADER_V3.size:
        raise bad_image("its qcow2 header is cut off")
    (_, version, backing_offset, backing_bytes, cluster_bits, size_bytes, encryption, l1_entries, l1_offset,
     refcount_offset, refcount_clusters, snapshots, _) = HEADER_V2.unpack_from(start)  # fmt: skip
    if version not in {2, 3}:
        raise bad_image(f"qcow2 version {version} is not known")
    if cluster_bits not in CLUSTER_BITS:
        raise bad_image(f"its cluster size 2^{cluster_bits} is outside of what qcow2 allows")
    return Header(
        version=version,
        backing_file=_backing_file(descriptor, backing_offset, backing_bytes, cluster_bits=cluster_bits),
        cluster_bits=cluster_bits,
        virtual_size_bytes=size_bytes,
        encrypted=encryption != 0,
        l1_entries=l1_entries,
        l1_offset=l1_offset,
        refcount_offset=refcount_offset,
        refcount_clusters=refcount_clusters,
        snapshots=snapshots,
        incompatible_features=HEADER_V3.unpack_from(start, HEADER_V2.size)[0] if version == 3 else 0,  # noqa: PLR2004 - the version that brought them
    )


def refuse_foreign_files(header: Header, *, overlay: bool) -> None:
    """Refuse a disk that names files of the host: whoever made it could read them through it.

    Args:
        header: The disk's header.
        overlay: True where the disk lies over an image and the caller sets the name anew.

    Raises:
        DriverError: ``bad_image``.
    """
    if header.backing_file and not overlay:
        raise bad_image(f"it has a backing file, {header.backing_file!r}: flatten it with qemu-img convert")
    if header.incompatible_features & EXTERNAL_DATA_FILE:
        raise bad_image("it has an external data file: make it one file with qemu-img convert")
    if header.incompatible_features & ~KNOWN_FEATURES:
        raise bad_image(f"it has unknown features, {header.incompatible_features:#x}")


def check_contained(descriptor: int, header: Header, size_bytes: int) -> None:
    """Check that every table and cluster of an open qcow2 file begins inside the file.

    Raises:
        DriverError: ``bad_image``: the file was cut off, or its tables make no sense.
    """
    if header.l1_entries * ENTRY_BYTES > L1_LIMIT_BYTES or header.l1_entries < _l1_entries_needed(header):
        raise bad_image(f"its table of {header.l1_entries} entries does not fit its size")
    tables = {
        "cluster table": (header.l1_offset, header.l1_entries * ENTRY_BYTES),
        "reference counts": (header.refcount_offset, header.refcount_clusters << header.cluster_bits),
    }
    for name, (offset, table_bytes) in tables.items():
        if table_bytes and offset + ENTRY_BYTES > size_bytes:
            raise _truncated(name, offset, size_bytes)
    l1_table = _table(descriptor, header.l1_offset, header.l1_entries)
    seen = {entry & OFFSET_MASK for entry in l1_table} - {0}
    for l2_offset in sorted(seen):
        if l2_offset >= size_bytes:
            raise _truncated("cluster table", l2_offset, size_bytes)
        l2_table = _table(descriptor, l2_offset, header.cluster_bytes // ENTRY_BYTES)
        furthest = max(_clusters(l2_table, header.cluster_bits), default=0)
        if furthest >= size_bytes:
            raise _truncated("cluster", furthest, size_bytes)


def bad_image(reason: str) -> DriverError:
    """Return the error that says why an image is refused."""
    return DriverError(f"the image is refused: {reason}", code="bad_image")


def _backing_file(descriptor: int, offset: int, name_bytes: int, *, cluster_bits: int) -> str:
    if offset == 0:
        return ""
    if name_bytes > BACKING_NAME_LIMIT_BYTES or offset + name_bytes > 1 << cluster_bits:
        raise bad_image("the name of its backing file is not where it should be")
    return os.pread(descriptor, name_bytes, offset).decode(errors="replace") or "?"


def _l1_entries_needed(header: Header) -> int:
    covered_bytes = header.cluster_bytes * (header.cluster_bytes // ENTRY_BYTES)
    return -(-header.virtual_size_bytes // covered_bytes)


def _table(descriptor: int, offset: int, entries: int) -> "array[int]":
    # The last table of a file may end with the file: what is missing reads as zeros.
    data = os.pread(descriptor, entries * ENTRY_BYTES, offset)
    table = array("Q", data[: len(data) - len(data) % ENTRY_BYTES])
    if sys.byteorder == "little":
        table.byteswap()
    return table


def _clusters(l2_table: Iterable[int], cluster_bits: int) -> Iterator[int]:
    """Yield where each allocated cluster begins."""
    compressed_mask = (1 << (62 - (cluster_bits - 8))) - 1
    for entry in l2_table:
        if entry & COMPRESSED:
            yield entry & compressed_mask
        elif not entry & READS_AS_ZEROS:
            yield entry & OFFSET_MASK


def _truncated(what: str, offset: int, size_bytes: int) -> DriverError:
    return bad_image(f"it is truncated: a {what} should be at byte {offset}, and the file has {size_bytes}")
