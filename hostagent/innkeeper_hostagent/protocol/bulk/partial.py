"""The file that a fetch fills, beside its target until every byte has been verified.

There is no journal of what came: after a crash the bytes themselves are verified again, in order, against the manifest,
and the first chunk that is not right is where the fetch goes on. So nothing has to be durable before the end.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from innkeeper_hostagent.protocol.bulk.manifest import (
    Hash,
    Manifest,
    add_zeros,
    chunk_length,
    data_runs,
    read_exactly,
)
from innkeeper_hostagent.protocol.bulk.messages import CHUNK_BYTES
from innkeeper_plugins.errors import DriverError

_SUFFIX: Final = ".partial"
_MODE: Final = 0o644
#: So much is let gather before the disk is given it.
_SYNC_BYTES: Final = 32 * CHUNK_BYTES
_OUT_OF_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


class Partial:
    """An unfinished file, held by one fetch at a time."""

    def __init__(self, target: Path) -> None:
        """Open what an earlier try left, or begin.

        Raises:
            DriverError: ``refused``: another fetch fills it now.
            OSError: the directory does not let it.
        """
        self._target = target
        self._path = partial_of(target)
        #: Brings what has been written to the disk while more arrives, so that little is left to do at the end.
        self._syncing = ThreadPoolExecutor(1, thread_name_prefix="innkeeper-sync")
        self._synced: Future[None] | None = None
        self._unsynced_bytes = 0
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise DriverError(f"{target.name} is being fetched already; wait for that", code="refused") from error

    def resume(self, manifest: Manifest, check: Callable[[], None]) -> tuple[int, int, Hash]:
        """Keep what is there and right, drop the rest, and make the file as long as it has to be.

        Args:
            manifest: What has to be there.
            check: Called for every chunk; may raise to stop.

        Returns:
            How many chunks with data are right, up to which byte that is, and the hash of the file up to there.

        Raises:
            DriverError: ``no_space``: the rest does not fit.
            OSError: the file cannot be read or written.
        """
        running: Hash = hashlib.sha256()
        position, verified_bytes = 0, 0
        for index in manifest.indexes():
            check()
            grown = self._grown(running, verified_bytes, index, manifest.size_bytes)
            if grown is None or grown.digest() != manifest.prefix(position):
                break
            running, position = grown, position + 1
            verified_bytes = index * CHUNK_BYTES + chunk_length(manifest.size_bytes, index)
        os.ftruncate(self._descriptor, verified_bytes)
        os.ftruncate(self._descriptor, manifest.size_bytes)
        self._refuse_what_does_not_fit((manifest.chunks - position) * CHUNK_BYTES)
        return position, verified_bytes, running

    def _grown(self, running: Hash, verified_bytes: int, index: int, size_bytes: int) -> Hash | None:
        """Return the hash up to the end of the chunk as it is in the file; None where it cannot be right."""
        start, length = index * CHUNK_BYTES, chunk_length(size_bytes, index)
        has_data = next(data_runs(self._descriptor, start, length), None) is not None
        is_gap_empty = next(data_runs(self._descriptor, verified_bytes, start - verified_bytes), None) is None
        if not has_data or not is_gap_empty or os.fstat(self._descriptor).st_size < start + length:
            return None
        grown = running.copy()
        add_zeros(grown, start - verified_bytes)
        grown.update(read_exactly(self._descriptor, start, length))
        return grown

    def _refuse_what_does_not_fit(self, needed_bytes: int) -> None:
        file_system = os.fstatvfs(self._descriptor)
        free_bytes = file_system.f_bavail * file_system.f_frsize
        if needed_bytes > free_bytes:
            raise DriverError(
                f"{self._target.parent} has {free_bytes >> 20} MiB free, {self._target.name} needs up to "
                f"{needed_bytes >> 20} MiB; make room and try again",
                code="no_space",
            )

    def write(self, index: int, runs: Sequence[tuple[int, int]], data: memoryview) -> None:
        """Write the data of a verified chunk; what the runs leave out stays a hole.

        Raises:
            DriverError: ``no_space``.
            OSError: the file cannot be written.
        """
        taken = 0
        with self._told_where_full():
            for offset, count in runs:
                self._write_at(index * CHUNK_BYTES + offset, data[taken : taken + count])
                taken += count
            self._sync_now_and_then(taken)

    def _write_at(self, offset: int, data: memoryview) -> None:
        while data:
            written = os.pwrite(self._descriptor, data, offset)
            data, offset = data[written:], offset + written

    def _sync_now_and_then(self, written_bytes: int) -> None:
        self._unsynced_bytes += written_bytes
        if self._unsynced_bytes >= _SYNC_BYTES and (self._synced is None or self._synced.done()):
            self._take_sync_result()
            self._unsynced_bytes = 0
            self._synced = self._syncing.submit(os.fdatasync, self._descriptor)

    def _take_sync_result(self) -> None:
        # The kernel tells of a failed write once only: were it dropped here, the last sync would know of nothing.
        if self._synced is not None:
            self._synced.result()

    def finish(self) -> None:
        """Make the file durable and give it its name, replacing what is there.

        Raises:
            DriverError: ``no_space``.
            OSError: the file system refuses.
        """
        with self._told_where_full():
            self._take_sync_result()
            os.fsync(self._descriptor)
        self._path.replace(self._target)
        directory = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def discard(self) -> None:
        """Delete it: nothing of it is of use, or its space is needed."""
        with suppress(FileNotFoundError):
            self._path.unlink()

    def close(self) -> None:
        """Let go of it; what has been written stays for the next try."""
        self._syncing.shutdown()
        os.close(self._descriptor)

    @contextmanager
    def _told_where_full(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _OUT_OF_SPACE:
                raise
            message = f"{self._target.parent} is full; make room and try again"
            raise DriverError(message, code="no_space", stderr=str(error)) from error


def partial_of(target: Path) -> Path:
    """Return where the bytes for the target are until they have been verified."""
    return target.with_name(target.name + _SUFFIX)
