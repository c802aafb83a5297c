"""Fetches a file by its digest from whoever holds it: several holders at once, every chunk verified, crashes survived.

It trusts no holder. Chunks are verified against a manifest that one of the holders, its *author*, has told, and the
manifest against the digest, at the last byte: a lie in either costs the liar its part in this fetch, and no byte that
has not been verified is written.
"""

import heapq
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from innkeeper_hostagent.protocol import sockets
from innkeeper_hostagent.protocol.bulk.holders import Holders, ManifestLieError, open_sources
from innkeeper_hostagent.protocol.bulk.manifest import PREFIX_BYTES, BadManifestError, Manifest, joined
from innkeeper_hostagent.protocol.bulk.messages import CHUNK_BYTES, Chunk, Description
from innkeeper_hostagent.protocol.bulk.partial import Partial
from innkeeper_hostagent.protocol.bulk.shelf import beside_of, save
from innkeeper_hostagent.protocol.bulk.source import Source
from innkeeper_hostagent.protocol.bulk.verifier import Arrival, Finished, Verifier
from innkeeper_hostagent.protocol.errors import EndpointError
from innkeeper_hostagent.protocol.keys import KeyPair
from innkeeper_hostagent.protocol.pace import Allowance
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.vocabulary import Digest, Holder

#: Chunks asked for and not written yet, of all holders and of one: so many MiB of memory.
_MAX_UNDER_WAY: Final = 24
_MAX_OWED: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """On what terms the file is fetched."""

    digest: Digest
    size_bytes: int
    progress: Callable[[int, int], None]
    cancelled: Callable[[], bool]
    timeout_s: float
    allowance: Allowance | None


def fetch(
    digest: str,
    size_bytes: int,
    holders: Sequence[Holder],
    target: Path,
    keys: KeyPair,
    *,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
    timeout_s: float,
    rate_limit_bytes_s: float | None = None,
) -> None:
    """Bring the file with that SHA-256 to ``target``, whole, verified and durable; blocks until it is there.

    What an earlier try left is used, whoever it came from. Holes stay holes.

    Args:
        digest: Lower-case hexadecimal SHA-256 of the file's bytes.
        size_bytes: Bytes of the file.
        holders: Who may have it; all are used at once.
        target: Where it is to be; its directory exists. Until the end the bytes are beside it.
        keys: Who this host is, as the holders have been told.
        progress: Gets bytes verified and in all, for every chunk; may raise to stop.
        cancelled: Whether somebody wants it to stop.
        timeout_s: How long to wait while nothing comes at all.
        rate_limit_bytes_s: At most so much data in a second, on average.

    Raises:
        DriverError: ``no_space``, and nothing is left behind; ``digest_mismatch``: a holder lied and no
            other could serve, and nothing is left behind; ``unreachable``: nobody could be asked any more,
            ``cancelled``, ``refused``: another fetch fills the same target; what has come stays for the next try.
        OSError: the file system refuses.
    """
    terms = _Terms(
        digest=Digest(digest),
        size_bytes=size_bytes,
        progress=progress,
        cancelled=cancelled,
        timeout_s=timeout_s,
        allowance=Allowance(rate_limit_bytes_s, capacity=rate_limit_bytes_s) if rate_limit_bytes_s else None,
    )
    with ExitStack() as stack:
        partial = Partial(target)
        stack.callback(partial.close)
        context = stack.enter_context(sockets.new_context())
        stack.callback(context.destroy, linger=0)
        sources = _opened(context, holders, keys, terms.digest)
        try:
            manifest = _Fetch(sources, partial, terms, stack).run()
        except DriverError as error:
            if error.code in {"no_space", "digest_mismatch"}:
                partial.discard()
            raise
        partial.finish()
        # So that this host can serve the file without reading it once more.
        save(beside_of(target), terms.digest, manifest)


def _opened(context: sockets.Context, holders: Sequence[Holder], keys: KeyPair, digest: Digest) -> list[Source]:
    try:
        return open_sources(context, holders, keys, digest, time.monotonic())
    except EndpointError as error:
        raise DriverError(str(error), code="unreachable") from error


class _Fetch:
    """One fetch under way."""

    def __init__(self, sources: Sequence[Source], partial: Partial, terms: _Terms, stack: ExitStack) -> None:
        self._partial = partial
        self._terms = terms
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        stack.callback(os.close, self._wake)
        self._holders = Holders(sources, wake=self._wake, timeout_s=terms.timeout_s, cancelled=terms.cancelled)
        self._begin(0)

    def _begin(self, missing: int) -> None:
        #: Chunks that have not been written yet.
        self._missing = missing
        #: ``{chunk index: position}`` of what has been asked for and not been written yet.
        self._under_way: dict[int, int] = {}
        #: Positions that have to be asked for again, lowest first.
        self._again: list[int] = []
        self._told_bytes = -1

    def run(self) -> Manifest:
        while True:
            author, manifest = self._described()
            try:
                self._bring(author, manifest)
            except ManifestLieError as lie:
                self._holders.distrust(author, str(lie))
            else:
                return manifest

    # --- the manifest -------------------------------------------------------------------------------------------

    def _described(self) -> tuple[Source, Manifest]:
        """Return the first manifest that a holder has told completely, and who told it."""
        while True:
            for source in self._holders.there():
                if not source.owed:
                    source.ask_part(self._holders.now_s)
            for source in self._holders.wait():
                manifest = self._hear_descriptions(source)
                if manifest is not None:
                    for other in self._holders.live():
                        other.forget()
                    return source, manifest

    def _hear_descriptions(self, source: Source) -> Manifest | None:
        while (heard := self._holders.hear(source)) is not None:
            answer, _ = heard
            if not isinstance(answer, Description) or answer.part != len(source.parts):
                continue
            source.forget()
            source.parts.append(answer)
            self._holders.moved()
            if len(source.parts) < answer.parts:
                source.ask_part(self._holders.now_s)
                continue
            try:
                return self._believable(joined(source.parts))
            except BadManifestError as error:
                self._holders.drop(source, f"its manifest is wrong: {error}", has_lied=True)
        return None

    def _believable(self, manifest: Manifest) -> Manifest:
        if manifest.size_bytes != self._terms.size_bytes:
            raise BadManifestError(f"{manifest.size_bytes} bytes instead of {self._terms.size_bytes}")
        ends_with_data = manifest.runs and sum(manifest.runs[-1]) * CHUNK_BYTES >= manifest.size_bytes
        if ends_with_data and manifest.prefixes[-PREFIX_BYTES:].hex() != self._terms.digest:
            raise BadManifestError("it ends in another digest")
        return manifest

    # --- the chunks ---------------------------------------------------------------------------------------------

    def _bring(self, author: Source, manifest: Manifest) -> None:
        """Fill the file from every holder.

        Raises:
            ManifestLieError: the author must have lied.
        """
        start = self._partial.resume(manifest, self._holders.check_cancelled)
        self._holders.moved()
        self._begin(manifest.chunks - start[0])
        indexes = list(manifest.indexes())
        next_position = start[0]
        verifier = Verifier(manifest, start, lambda: os.eventfd_write(self._wake, 1))
        try:
            while not self._take_results(verifier, author):
                next_position = self._ask(indexes, next_position)
                for source in self._holders.wait(author, is_asking=self._missing > 0):
                    self._hear_chunks(source, verifier)
        finally:
            verifier.close()

    def _ask(self, indexes: list[int], next_position: int) -> int:
        """Ask for as much as may be under way; return the first position that nobody has been asked for."""
        for index in self._holders.returned:
            heapq.heappush(self._again, self._under_way[index])
        self._holders.returned.clear()
        while (source := self._asked_next()) is not None and self._may_ask():
            if self._again:
                position = heapq.heappop(self._again)
            elif next_position < len(indexes):
                position, next_position = next_position, next_position + 1
            else:
                break
            self._under_way[indexes[position]] = position
            source.ask_chunk(indexes[position], self._holders.now_s)
        return next_position

    def _asked_next(self) -> Source | None:
        """Return the holder that owes least, if it can take one more request."""
        least = min(self._holders.there(), key=lambda source: len(source.owed), default=None)
        return least if least is not None and len(least.owed) < _MAX_OWED else None

    def _may_ask(self) -> bool:
        if len(self._under_way) - len(self._again) >= _MAX_UNDER_WAY:
            return False
        allowance = self._terms.allowance
        if self._missing <= len(self._under_way) - len(self._again) or allowance is None:
            return True
        if allowance.take(CHUNK_BYTES, self._holders.now_s):
            return True
        # Waiting on purpose is no reason to lose patience.
        self._holders.moved()
        return False

    def _hear_chunks(self, source: Source, verifier: Verifier) -> None:
        while (heard := self._holders.hear(source)) is not None:
            answer, data = heard
            if isinstance(answer, Chunk) and source.owed.pop(answer.index, None) is not None:
                position = self._under_way[answer.index]
                verifier.put(Arrival(position, answer.index, source, answer.runs, data))

    def _take_results(self, verifier: Verifier, author: Source) -> bool:
        """Write what has been verified; return whether the whole file has."""
        while not verifier.results.empty():
            result = verifier.results.get()
            if isinstance(result, Finished):
                return self._is_whole(result)
            arrival, is_right = result
            if is_right:
                del self._under_way[arrival.index]
                self._missing -= 1
                self._partial.write(arrival.index, arrival.runs, arrival.data)
            else:
                self._on_wrong_chunk(arrival, author)
        if verifier.verified_bytes != self._told_bytes:
            self._told_bytes = verifier.verified_bytes
            self._holders.moved()
            self._terms.progress(self._told_bytes, self._terms.size_bytes)
        return False

    def _is_whole(self, finished: Finished) -> bool:
        if finished.digest != self._terms.digest:
            raise ManifestLieError(f"its bytes have the digest {finished.digest}")
        self._terms.progress(self._terms.size_bytes, self._terms.size_bytes)
        return True

    def _on_wrong_chunk(self, arrival: Arrival, author: Source) -> None:
        if arrival.source is author:
            raise ManifestLieError(f"chunk {arrival.index} is not what its own manifest says")
        heapq.heappush(self._again, arrival.position)
        problem = f"chunk {arrival.index} is not what the manifest of {author.holder.endpoint} says"
        self._holders.drop(arrival.source, problem, has_lied=True, contradicts=author)
