"""What a simulated disk holds when it is copied out: an empty disk of its format that says whose it was.

Pure: it writes no file.
"""

from innkeeper_plugins.transfer.qcow2_header import HEADER_V2, HEADER_V3, MAGIC
from innkeeper_plugins.vocabulary import DiskFormat

SECTOR_BYTES = 512
CLUSTER_BITS = 16
CLUSTER_BYTES = 1 << CLUSTER_BITS
#: What one entry of the first table of clusters leads to.
L1_ENTRY_COVERS_BYTES = CLUSTER_BYTES * (CLUSTER_BYTES // 8)
HEADER_BYTES = HEADER_V2.size + HEADER_V3.size
#: Bits of a reference count, as a power of two.
REFCOUNT_ORDER = 4


def image_of(format_: DiskFormat, size_bytes: int, text: str) -> bytes:
    """Return an image in that format, different for each text.

    A qcow2 one shows a guest ``size_bytes``; a raw one is only as long as its text, for it may not be sparse.
    """
    said = text.encode()
    if format_ is DiskFormat.RAW:
        return said.ljust(-(-len(said) // SECTOR_BYTES) * SECTOR_BYTES)
    return _header(size_bytes) + said.rjust(CLUSTER_BYTES - HEADER_BYTES, b"\0") + _tables(size_bytes)


def _header(size_bytes: int) -> bytes:
    l1_entries = -(-size_bytes // L1_ENTRY_COVERS_BYTES)
    l1_offset, refcount_offset = 3 * CLUSTER_BYTES, CLUSTER_BYTES
    old = (MAGIC, 3, 0, 0, CLUSTER_BITS, size_bytes, 0, l1_entries, l1_offset, refcount_offset, 1, 0, 0)
    return HEADER_V2.pack(*old) + HEADER_V3.pack(0, 0, 0, REFCOUNT_ORDER, HEADER_BYTES)


def _tables(size_bytes: int) -> bytes:
    l1_clusters = max(-(-size_bytes // L1_ENTRY_COVERS_BYTES) * 8, 1)
    l1_clusters = -(-l1_clusters // CLUSTER_BYTES)
    refcount_table = (2 * CLUSTER_BYTES).to_bytes(8, "big").ljust(CLUSTER_BYTES, b"\0")
    refcounts = ((1).to_bytes(2, "big") * (3 + l1_clusters)).ljust(CLUSTER_BYTES, b"\0")
    return refcount_table + refcounts + bytes(l1_clusters * CLUSTER_BYTES)
