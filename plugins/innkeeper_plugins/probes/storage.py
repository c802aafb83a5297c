"""The file systems that datastores lie on: how much room, which kind, and whether copies can share blocks."""

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path

from innkeeper_plugins.vocabulary import DatastoreFacts

MOUNTS = Path("/proc/self/mounts")
BYTES_PER_MIB = 1024 * 1024
#: The kernel's request to make a file share the blocks of another (linux/fs.h).
FICLONE = 0x40049409
PROBE_SIZE_BYTES = 4096


def datastore_facts(name: str, path: Path) -> DatastoreFacts:
    """Return the room on the file system of a datastore; what only root may use is not free.

    Raises:
        OSError: the path does not exist or cannot be reached.
    """
    found = os.statvfs(path)
    return DatastoreFacts(
        name=name,
        total_mib=found.f_blocks * found.f_frsize // BYTES_PER_MIB,
        free_mib=found.f_bavail * found.f_frsize // BYTES_PER_MIB,
    )


def parse_filesystem(mounts: str, path: str) -> str:
    """Return the type of the file system that ``path`` lies on, from the text of ``/proc/self/mounts``."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        # The kernel writes spaces in paths as \040; a later mount hides an earlier one.
        where = fields[1].replace("\\040", " ")
        inside = path == where or path.startswith(where.rstrip("/") + "/")
        if inside and len(where) >= len(best):
            best, kind = where, fields[2]
    return kind


def filesystem(path: Path) -> str:
    """Return the type of the file system that ``path`` lies on: ``ext4``, ``nfs4``, ``fuse.sshfs``..."""
    return parse_filesystem(MOUNTS.read_text(encoding="utf-8", errors="replace"), str(path.resolve()))


def reflinks(path: Path) -> bool:
    """Say whether files in that directory can share blocks, by trying it with two files that go at once."""
    with contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(tempfile.TemporaryFile(dir=path))
            target = stack.enter_context(tempfile.TemporaryFile(dir=path))
            source.write(b"\1" * PROBE_SIZE_BYTES)
            source.flush()
            fcntl.ioctl(target.fileno(), FICLONE, source.fileno())
        except OSError:
            return False
    return True
