"""Copies files without reading their holes: by reflink where the file system can, else extent by extent.

It must not decide where files go or what becomes of a half-made copy.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: ``_IOW(0x94, 9, int)`` of linux/fs.h: share all blocks of another file.
FICLONE = 0x40049409
#: Between two reports of progress, hence how long a cancellation can go unnoticed.
CHUNK_BYTES = 8 * 1024 * 1024
#: Answers that mean "not here" (other file system, no such ability), not "the disk is broken".
NO_REFLINK = frozenset({errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM})
NO_COPY_RANGE = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Extent:
    """A stretch of a file that holds data."""

    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy cost."""

    #: Length of the file.
    size_bytes: int
    #: Bytes that were carried over; 0 where the file system shares the blocks.
    data_bytes: int
    reflinked: bool


def no_progress(done_bytes: int, total_bytes: int) -> None:
    """Tell nobody."""


def data_extents(descriptor: int) -> Iterator[Extent]:
    """Yield the stretches of an open file that hold data, in order; the rest reads as zeros.

    A file system that cannot tell answers with the whole file.
    """
    size_bytes = os.fstat(descriptor).st_size
    end = 0
    while end < size_bytes:
        start = _seek(descriptor, end, os.SEEK_DATA, otherwise=end)
        if start is None:
            return
        end = _seek(descriptor, start, os.SEEK_HOLE, otherwise=size_bytes) or size_bytes
        yield Extent(start, min(end, size_bytes) - start)


def copy_sparse(source: Path, target: Path, *, progress: Callable[[int, int], None] = no_progress) -> Copied:
    """Copy a file to a new one, holes as holes.

    Args:
        source: The file to read.
        target: The file to make; it must not exist.
        progress: Called with ``(done_bytes, total_bytes)`` of data after each chunk; what it raises ends the copy.

    Raises:
        OSError: reading or writing failed, or the source changed its length; ``target`` is half-made.
    """
    with (
        source.open("rb", buffering=0) as reading,
        target.open("xb", buffering=0) as writing,
    ):
        return copy_descriptor(reading.fileno(), writing.fileno(), progress=progress)


def copy_descriptor(source: int, target: int, *, progress: Callable[[int, int], None] = no_progress) -> Copied:
    """Copy an open file into an open, empty one, as ``copy_sparse`` does."""
    size_bytes = os.fstat(source).st_size
    progress(0, size_bytes)
    if _reflink(source, target):
        return Copied(size_bytes=size_bytes, data_bytes=0, reflinked=True)
    extents = tuple(data_extents(source))
    data_bytes = sum(extent.size_bytes for extent in extents)
    done_bytes = 0
    for extent in extents:
        for copied_bytes in _copy_extent(source, target, extent):
            done_bytes += copied_bytes
            progress(done_bytes, data_bytes)
    if os.fstat(source).st_size != size_bytes:
        raise _changed()
    os.ftruncate(target, size_bytes)
    return Copied(size_bytes=size_bytes, data_bytes=data_bytes, reflinked=False)


def _changed() -> OSError:
    return OSError(errno.EIO, "the source changed its length while it was copied")


def _seek(descriptor: int, offset: int, whence: int, *, otherwise: int) -> int | None:
    try:
        return os.lseek(descriptor, offset, whence)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        if error.errno == errno.EINVAL:
            return otherwise
        raise


def _reflink(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in NO_REFLINK:
            return False
        raise
    return True


def _copy_extent(source: int, target: int, extent: Extent) -> Iterator[int]:
    offset, end = extent.offset, extent.offset + extent.size_bytes
    while offset < end:
        copied_bytes = _copy_range(source, target, offset, min(CHUNK_BYTES, end - offset))
        if copied_bytes == 0:
            raise _changed()
        offset += copied_bytes
        yield copied_bytes


def _copy_range(source: int, target: int, offset: int, size_bytes: int) -> int:
    try:
        return os.copy_file_range(source, target, size_bytes, offset, offset)
    except OSError as error:
        if error.errno not in NO_COPY_RANGE:
            raise
    return os.pwrite(target, os.pread(source, size_bytes, offset), offset)
