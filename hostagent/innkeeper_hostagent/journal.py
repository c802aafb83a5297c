"""The agent's journal: entries in a file, each write durable and whole or not there at all.

It knows nothing of what the entries mean; what they make true is the ledger's business.

The file is a magic, then records: length, CRC-32 of the length and the payload, the payload (one reaction's entries
as MessagePack). A record that a crash tore is cut off when the file is opened. Room is reserved ahead, so that
operations in progress can still be taken down, and taken back, when the disk is full.
"""

import contextlib
import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from innkeeper_hostagent.entries import Entry
from innkeeper_plugins.errors import InnkeeperError

MAGIC: Final = b"innjrnl1"
#: Its name in the state directory.
JOURNAL: Final = "journal"
#: Room is reserved in pieces of this size.
RESERVE_BYTES: Final = 256 * 1024
#: With less than this reserved and a full disk, the host takes on nothing new.
HEADROOM_BYTES: Final = 128 * 1024
#: What one leg in progress may still write: its order, the ends of its steps, a failed tool's words.
LEG_BYTES: Final = 16 * 1024
#: A file longer than this is rewritten as soon as it is twice as long as what it has to tell.
COMPACT_ABOVE_BYTES: Final = 1024 * 1024
#: No record is longer; a length beyond it is not a length.
MAX_RECORD_BYTES: Final = 64 * 1024 * 1024
#: A disk that has made a write durable as quickly as this may be waited for in the loop.
QUICK_SYNC_S: Final = 0.0005

_HEADER = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_PRIVATE_MODE = 0o600


class JournalError(InnkeeperError):
    """The journal cannot be read or written; the operator of the host must act. Nothing is half written."""


class JournalFullError(JournalError):
    """The disk is full and the reserved room is used up; free space and start the agent again."""


class Journal:
    """An open journal; one process at a time has it."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; cut off what a crash tore.

        Raises:
            JournalError: another process has it, or it is not a journal.
            OSError: the file system refuses.
        """
        self._path = path
        self._encoder = msgspec.msgpack.Encoder()
        self._lock = _lock(path.with_name(f"{path.name}.lock"))
        #: How long the last write took to be durable, seconds.
        self.last_sync_s = QUICK_SYNC_S
        self._compacted_bytes = 0
        try:
            if not path.exists():
                self._replace(b"")
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            self._records, self._end = _read(path, self._file)
            # Nothing behind the last whole record may be taken for one later.
            os.ftruncate(self._file, self._end)
            self._allocated = self._end
            self._reserve()
        except BaseException:
            os.close(self._lock)
            raise

    def entries(self) -> Iterable[Entry]:
        """Return what the file told when it was opened, in order; only once."""
        records, self._records = self._records, []
        decoder = msgspec.msgpack.Decoder(tuple[Entry, ...])
        for record in records:
            try:
                yield from decoder.decode(record)
            except (msgspec.ValidationError, msgspec.DecodeError) as error:
                raise JournalError(f"{self._path} is of another version of the agent: {error}") from error

    @property
    def is_quick(self) -> bool:
        """Whether a write is over before anybody would notice."""
        return self.last_sync_s < QUICK_SYNC_S

    @property
    def size_bytes(self) -> int:
        """Length of all records."""
        return self._end

    @property
    def is_long(self) -> bool:
        """Whether it is worth rewriting."""
        return self._end > COMPACT_ABOVE_BYTES and self._end > 2 * self._compacted_bytes

    def has_headroom(self, legs: int = 0) -> bool:
        """Whether so many legs may be in progress: all of them could still be taken down on a full disk."""
        needed = HEADROOM_BYTES + legs * LEG_BYTES
        if self._allocated - self._end < needed:
            self._reserve(needed)
        return self._allocated - self._end >= needed

    def write(self, reactions: Sequence[Sequence[Entry]]) -> None:
        """Append the entries of reactions, each reaction whole or not at all, and return when they are durable.

        Raises:
            JournalFullError: there is no room; nothing of this call is in the file.
            JournalError: the disk failed; what is in the file is known only after opening it again.
        """
        data = b"".join(self._record(entries) for entries in reactions)
        started_s = time.perf_counter()
        if self._allocated - self._end - len(data) < HEADROOM_BYTES:
            self._reserve(len(data))
            if self._end + len(data) > self._allocated:
                raise JournalFullError(f"no room to write to {self._path}; free space on its file system")
        try:
            _write_all(self._file, data, self._end)
            os.fdatasync(self._file)
        except OSError as error:
            raise JournalError(f"cannot write to {self._path}: {error.strerror}") from error
        self._end += len(data)
        self.last_sync_s = time.perf_counter() - started_s

    def rewrite(self, entries: Sequence[Entry]) -> None:
        """Replace all that is in the file by these entries; after a crash there is the old file or the new one.

        Raises:
            OSError: the disk is full or failed; the old file is still there and still written to.
        """
        self._replace(self._record(entries))
        new_file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        os.close(self._file)
        self._file = new_file
        self._end = self._compacted_bytes = self._allocated = os.fstat(new_file).st_size
        self._reserve()

    def close(self) -> None:
        """Let go of the file; it can be opened again."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._end)
        os.close(self._file)
        os.close(self._lock)

    def _record(self, entries: Sequence[Entry]) -> bytes:
        payload = self._encoder.encode(entries)
        length = _LENGTH.pack(len(payload))
        return b"".join((length, _LENGTH.pack(zlib.crc32(payload, zlib.crc32(length))), payload))

    def _reserve(self, more_bytes: int = 0) -> None:
        """Make room ahead of the end, some to spare if possible, unless the disk is full."""
        for spare_bytes in (RESERVE_BYTES, 0):
            wanted = self._end + more_bytes + spare_bytes
            if wanted > self._allocated:
                with contextlib.suppress(OSError):
                    os.posix_fallocate(self._file, self._allocated, wanted - self._allocated)
                    self._allocated = wanted

    def _replace(self, content: bytes) -> None:
        new_path = self._path.with_name(f"{self._path.name}.new")
        new_file = os.open(
            new_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE_MODE
        )
        try:
            _write_all(new_file, MAGIC + content, 0)
            os.fsync(new_file)
        finally:
            os.close(new_file)
        new_path.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep agents from that journal, which need not exist.

    Raises:
        JournalError: an agent has it.
    """
    lock = _lock(path.with_name(f"{path.name}.lock"))
    try:
        yield
    finally:
        os.close(lock)


def put_aside(path: Path) -> None:
    """Give the journal another name, so that the next agent begins with none; it has to be locked."""
    with contextlib.suppress(FileNotFoundError):
        path.rename(path.with_name(f"{path.name}.{int(time.time())}"))


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise JournalError(f"another agent runs with the state directory {path.parent}; stop it first") from error
    return descriptor


def _read(path: Path, file: int) -> tuple[list[bytes], int]:
    """Return the whole records and where they end."""
    data = memoryview(_read_all(file))
    if bytes(data[: len(MAGIC)]) != MAGIC:
        raise JournalError(f"{path} is not a journal of this agent; move it away if its operations may be forgotten")
    records = []
    end = len(MAGIC)
    while (record := _next(data, end)) is not None:
        records.append(bytes(record))
        end += _HEADER.size + len(record)
    return records, end


def _next(data: memoryview, start: int) -> memoryview | None:
    body = start + _HEADER.size
    if body > len(data):
        return None
    length, checksum = _HEADER.unpack(data[start:body])
    if not 0 < length <= MAX_RECORD_BYTES or body + length > len(data):
        return None
    payload = data[body : body + length]
    expected = zlib.crc32(payload, zlib.crc32(data[start : start + _LENGTH.size]))
    return payload if checksum == expected else None


def _read_all(file: int) -> bytes:
    size = os.fstat(file).st_size
    pieces = []
    position = 0
    while position < size and (piece := os.pread(file, size - position, position)):
        pieces.append(piece)
        position += len(piece)
    return b"".join(pieces)


def _write_all(file: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, position)
        view = view[written:]
        position += written
