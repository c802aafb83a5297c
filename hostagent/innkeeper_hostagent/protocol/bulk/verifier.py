"""Verifies chunks in order, on a thread of its own, while others arrive.

It writes nothing: what is right goes back to its owner, and so does what is not.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from innkeeper_hostagent.protocol.bulk.manifest import (
    BadManifestError,
    Hash,
    Manifest,
    add_chunk,
    add_zeros,
    chunk_length,
)
from innkeeper_hostagent.protocol.bulk.messages import CHUNK_BYTES
from innkeeper_hostagent.protocol.bulk.source import Source

#: Zeros hashed before others are let known how far it is.
_STRIDE_BYTES: Final = 64 * CHUNK_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A chunk as it came."""

    #: Which of the chunks with data it is.
    position: int
    index: int
    source: Source
    runs: Sequence[tuple[int, int]]
    data: memoryview


@dataclass(frozen=True, slots=True)
class Finished:
    """All chunks are right, and the file has this digest."""

    digest: str


class Verifier:
    """The thread and what it works on."""

    def __init__(self, manifest: Manifest, start: tuple[int, int, Hash], wake: Callable[[], None]) -> None:
        """Begin.

        Args:
            manifest: What has to come.
            start: As ``Partial.resume`` returns it.
            wake: Called from the thread whenever ``results`` has something new.
        """
        #: Pairs of an arrival and whether it is right, and at the end ``Finished``.
        self.results: queue.SimpleQueue[tuple[Arrival, bool] | Finished] = queue.SimpleQueue()
        #: Up to which byte the file has been verified.
        self.verified_bytes = start[1]
        self._manifest = manifest
        self._position = start[0]
        self._running = start[2]
        self._wake = wake
        self._arrived = threading.Condition()
        self._arrivals: dict[int, Arrival] = {}
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="innkeeper-verify", daemon=True)
        self._thread.start()

    def put(self, arrival: Arrival) -> None:
        """Hand over a chunk; in any order."""
        with self._arrived:
            self._arrivals[arrival.position] = arrival
            self._arrived.notify()

    def close(self) -> None:
        """Stop the thread and wait for it."""
        with self._arrived:
            self._is_stopped = True
            self._arrived.notify()
        self._thread.join()

    def _run(self) -> None:
        indexes = list(self._manifest.indexes())
        for position in range(self._position, len(indexes)):
            if not self._skip_to(indexes[position] * CHUNK_BYTES) or not self._verify(position):
                return
        if self._skip_to(self._manifest.size_bytes):
            self._tell(Finished(self._running.digest().hex()))

    def _verify(self, position: int) -> bool:
        """Wait for the chunk until a right one has come; False where stopped before."""
        while (arrival := self._take(position)) is not None:
            length = chunk_length(self._manifest.size_bytes, arrival.index)
            grown = self._running.copy()
            try:
                add_chunk(grown, length, arrival.runs, arrival.data)
            except BadManifestError:
                self._tell((arrival, False))
                continue
            is_right = grown.digest() == self._manifest.prefix(position)
            if is_right:
                self._running = grown
                self.verified_bytes = arrival.index * CHUNK_BYTES + length
            self._tell((arrival, is_right))
            if is_right:
                return True
        return False

    def _take(self, position: int) -> Arrival | None:
        with self._arrived:
            self._arrived.wait_for(lambda: self._is_stopped or position in self._arrivals)
            return None if self._is_stopped else self._arrivals.pop(position)

    def _skip_to(self, offset: int) -> bool:
        """Hash the hole up to there; False where stopped before."""
        while self.verified_bytes < offset and not self._is_stopped:
            stride = min(_STRIDE_BYTES, offset - self.verified_bytes)
            add_zeros(self._running, stride)
            self.verified_bytes += stride
        return not self._is_stopped

    def _tell(self, result: tuple[Arrival, bool] | Finished) -> None:
        self.results.put(result)
        self._wake()
