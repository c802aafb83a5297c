"""The manifest of a file: which of its chunks have data, and a digest for each by which it can be verified.

The digest of a chunk is the SHA-256 of the file *up to the chunk's end*, so one pass over the bytes verifies each chunk
as it comes and, with the last one, the plain SHA-256 of the whole file. Digests of single chunks would need a second
pass over everything, and for a sparse image the passes are what a transfer costs: zeros are hashed at 1.4 GB/s, those
of holes too. Chunks are therefore verified in order; they may be fetched in any.
"""

import hashlib
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

from innkeeper_hostagent.protocol.bulk.messages import CHUNK_BYTES, MAX_FILE_BYTES, PART_DIGESTS, Description
from innkeeper_plugins.vocabulary import Digest

PREFIX_BYTES: Final = 32
#: A mapping that is only read takes no memory: all of it is the kernel's one page of zeros. That it is long lets a hole
#: be hashed in few calls, without waiting for the interpreter in between.
_ZEROS: Final = memoryview(mmap.mmap(-1, 64 * CHUNK_BYTES, prot=mmap.PROT_READ))


class Hash(Protocol):
    """What ``hashlib.sha256()`` returns."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""
        ...

    def digest(self) -> bytes:
        """Return the digest of all bytes so far."""
        ...

    def copy(self) -> "Hash":
        """Return another one that has had the same bytes."""
        ...


class BadManifestError(ValueError):
    """What a holder said of a file contradicts itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What there is to know of a file before its bytes come."""

    size_bytes: int
    #: As in ``Description``.
    runs: tuple[tuple[int, int], ...]
    prefixes: bytes

    @property
    def chunks(self) -> int:
        """How many chunks have data."""
        return len(self.prefixes) // PREFIX_BYTES

    def indexes(self) -> Iterator[int]:
        """Yield the indexes of the chunks with data, in order."""
        for first, count in self.runs:
            yield from range(first, first + count)

    def prefix(self, position: int) -> bytes:
        """Return the digest up to the end of the ``position``-th chunk with data."""
        return self.prefixes[position * PREFIX_BYTES : (position + 1) * PREFIX_BYTES]


def chunk_length(size_bytes: int, index: int) -> int:
    """Return the bytes of a chunk of a file of that size."""
    return max(0, min(CHUNK_BYTES, size_bytes - index * CHUNK_BYTES))


def add_zeros(running: Hash, count: int) -> None:
    """Let the hash take so many zeros."""
    for start in range(0, count, len(_ZEROS)):
        running.update(_ZEROS[: count - start])


def add_chunk(running: Hash, length: int, runs: Sequence[tuple[int, int]], data: memoryview) -> None:
    """Let the hash take a chunk of that length, of which ``data`` holds only the runs.

    Raises:
        BadManifestError: the runs are out of order, or are not what the data is; the hash has taken some of it.
    """
    position, taken = 0, 0
    for offset, count in runs:
        if offset < position or count <= 0 or offset + count > length or taken + count > len(data):
            raise BadManifestError(f"run of {count} bytes at {offset} in a chunk of {length}")
        add_zeros(running, offset - position)
        running.update(data[taken : taken + count])
        position, taken = offset + count, taken + count
    if taken != len(data):
        raise BadManifestError(f"{len(data)} bytes came where the runs have {taken}")
    add_zeros(running, length - position)


def data_runs(descriptor: int, start: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield offset (from ``start``) and length of each extent of data in that piece of the file."""
    offset, end = start, start + length
    while offset < end:
        try:
            first = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError:
            # ENXIO: nothing but a hole up to the end of the file.
            return
        if first >= end:
            return
        offset = min(os.lseek(descriptor, first, os.SEEK_HOLE), end)
        yield first - start, offset - first


def make_manifest(file: BinaryIO, progress: Callable[[int, int], None]) -> tuple[Manifest, Digest]:
    """Read the whole file; return its manifest and its SHA-256.

    Args:
        file: An open file whose bytes do not change.
        progress: Gets bytes done and in all, now and then; may raise to stop.

    Raises:
        BadManifestError: the file is longer than ``MAX_FILE_BYTES``.
        OSError: it cannot be read.
    """
    descriptor = file.fileno()
    size_bytes = os.fstat(descriptor).st_size
    if size_bytes > MAX_FILE_BYTES:
        raise BadManifestError(f"a file of {size_bytes} bytes is longer than can be served")
    running: Hash = hashlib.sha256()
    prefixes = bytearray()
    runs: list[tuple[int, int]] = []
    for index in range(-(-size_bytes // CHUNK_BYTES)):
        if _add_chunk_of(descriptor, running, index, size_bytes):
            prefixes += running.digest()
            _append(runs, index)
        progress(min((index + 1) * CHUNK_BYTES, size_bytes), size_bytes)
    manifest = Manifest(size_bytes=size_bytes, runs=tuple(runs), prefixes=bytes(prefixes))
    return manifest, Digest(running.digest().hex())


def _add_chunk_of(descriptor: int, running: Hash, index: int, size_bytes: int) -> bool:
    """Let the hash take the chunk; return whether it has data."""
    start, length = index * CHUNK_BYTES, chunk_length(size_bytes, index)
    if next(data_runs(descriptor, start, length), None) is None:
        add_zeros(running, length)
        return False
    data = read_exactly(descriptor, start, length)
    running.update(data)
    return data != _ZEROS[:length]


def read_exactly(descriptor: int, start: int, length: int) -> bytes:
    """Return so many bytes of the file.

    Raises:
        OSError: it cannot be read, or ends before.
    """
    data = os.pread(descriptor, length, start)
    while len(data) < length:
        more = os.pread(descriptor, length - len(data), start + len(data))
        if not more:
            raise OSError(f"the file ends at {start + len(data)} instead of {start + length}")
        data += more
    return data


def _append(runs: list[tuple[int, int]], index: int) -> None:
    if runs and sum(runs[-1]) == index:
        runs[-1] = (runs[-1][0], runs[-1][1] + 1)
    else:
        runs.append((index, 1))


def part_of(manifest: Manifest, digest: Digest, part: int) -> Description | None:
    """Return a part of the manifest as a message; None where it has no such part."""
    parts = max(1, -(-manifest.chunks // PART_DIGESTS))
    if not 0 <= part < parts:
        return None
    first = part * PART_DIGESTS
    return Description(
        digest=digest,
        part=part,
        parts=parts,
        size_bytes=manifest.size_bytes,
        runs=tuple(_cut(manifest.runs, first, first + PART_DIGESTS)),
        prefixes=manifest.prefixes[first * PREFIX_BYTES : (first + PART_DIGESTS) * PREFIX_BYTES],
    )


def _cut(runs: Sequence[tuple[int, int]], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield what the runs have from the ``first``-th to before the ``last``-th of their chunks."""
    position = 0
    for index, count in runs:
        begin, end = max(first, position), min(last, position + count)
        if begin < end:
            yield index + begin - position, end - begin
        position += count


def joined(parts: Sequence[Description]) -> Manifest:
    """Return the manifest whose parts these are, in order.

    Raises:
        BadManifestError: they contradict each other or themselves.
    """
    size_bytes = parts[0].size_bytes
    manifest = Manifest(
        size_bytes=size_bytes,
        runs=tuple(run for part in parts for run in part.runs),
        prefixes=b"".join(part.prefixes for part in parts),
    )
    last = -1
    for first, count in manifest.runs:
        if first <= last or count <= 0 or chunk_length(size_bytes, first + count - 1) == 0:
            raise BadManifestError(f"run of {count} chunks at {first} in a file of {size_bytes} bytes")
        last = first + count - 1
    if len(manifest.prefixes) != PREFIX_BYTES * sum(count for _, count in manifest.runs):
        raise BadManifestError("chunks and digests do not match")
    if any(part.size_bytes != size_bytes for part in parts):
        raise BadManifestError("the parts are of files of different sizes")
    return manifest
