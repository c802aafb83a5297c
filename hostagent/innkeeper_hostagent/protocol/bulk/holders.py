"""All holders that a fetch has: who can be asked, who is given up and why, and how long anybody is waited for.

What they are asked for, and whether it is right, is not its business.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Final

import zmq

from innkeeper_hostagent.protocol import sockets
from innkeeper_hostagent.protocol.bulk.messages import MAX_PART_BYTES, Chunk, Description, NotServed, Preparing
from innkeeper_hostagent.protocol.bulk.source import Source
from innkeeper_hostagent.protocol.errors import BadMessageError
from innkeeper_hostagent.protocol.keys import KeyPair
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.vocabulary import Digest, Holder

_HIGH_WATER_MARK: Final = 64
#: A holder that owes something is waited for so long while others are left.
_STALL_S: Final = 10.0
#: How often patience and ``cancelled`` are looked at.
_TICK_MS: Final = 100


class ManifestLieError(Exception):
    """The manifest that chunks are verified against cannot be right."""


class Holders:
    """The holders of one fetch; times are of ``time.monotonic``."""

    def __init__(
        self, sources: Sequence[Source], *, wake: int, timeout_s: float, cancelled: Callable[[], bool]
    ) -> None:
        """Wait for nobody yet.

        Args:
            sources: Whom there is.
            wake: An eventfd that ends a wait as well.
            timeout_s: How long to wait while nothing moves.
            cancelled: Whether to stop.
        """
        self.now_s = time.monotonic()
        #: Chunks that holders owed when they were given up.
        self.returned: list[int] = []
        self._sources = sources
        self._timeout_s = timeout_s
        self._cancelled = cancelled
        self._moved_s = self.now_s
        self._poller = zmq.Poller()
        self._wake = wake
        self._poller.register(wake, zmq.POLLIN)
        for source in sources:
            self._poller.register(source.socket, zmq.POLLIN)
            self._poller.register(source.monitor, zmq.POLLIN)

    def live(self) -> list[Source]:
        """Return those that are still wanted."""
        return [source for source in self._sources if source.is_live]

    def there(self) -> list[Source]:
        """Return those that can be asked now."""
        return [source for source in self._sources if source.can_be_asked]

    def moved(self) -> None:
        """Note that the fetch gets on."""
        self._moved_s = self.now_s = time.monotonic()

    def wait(self, author: Source | None = None, *, is_asking: bool = True) -> list[Source]:
        """Wait a moment; return the holders that have said something.

        Args:
            author: Whose manifest chunks are verified against, if there is one yet.
            is_asking: Whether anybody is needed any more.

        Raises:
            DriverError: ``unreachable`` or ``digest_mismatch``: nobody is left, or nothing moves; ``cancelled``.
            ManifestLieError: all who are left contradict the author, who has gone.
        """
        if is_asking and not self.live():
            self._nobody_left(author)
        ready = dict(self._poller.poll(_TICK_MS))
        self.now_s = time.monotonic()
        if self._wake in ready:
            os.eventfd_read(self._wake)
        self.check_cancelled()
        for source in self.live():
            self.returned += source.notice()
        self._lose_patience()
        return [source for source in self.live() if source.socket in ready]

    def check_cancelled(self) -> None:
        """Stop where somebody wants it.

        Raises:
            DriverError: ``cancelled``.
        """
        if self._cancelled():
            raise DriverError("the fetch has been cancelled; what has come is kept", code="cancelled")

    def hear(self, source: Source) -> tuple[Description | Chunk, memoryview] | None:
        """Return the next description or chunk that the holder has sent; None where there is none now."""
        while source.is_live:
            try:
                heard = source.hear(self.now_s)
            except BadMessageError as error:
                self.drop(source, f"it does not speak this protocol: {error}")
                return None
            if heard is None:
                return None
            answer, data = heard
            if isinstance(answer, Description | Chunk):
                source.words = "no answer"
                return answer, data
            self._on_words(source, answer)
        return None

    def drop(self, source: Source, problem: str, *, has_lied: bool = False, contradicts: Source | None = None) -> None:
        """Ask the holder no more; what it owed is in ``returned``."""
        self.returned += source.drop(problem, has_lied=has_lied, contradicts=contradicts)

    def distrust(self, author: Source, why: str) -> None:
        """Begin anew without the author, and with those who were out only for contradicting it."""
        author.drop(why, has_lied=True)
        for source in self._sources:
            if source.is_live or source.contradicts is author:
                source.begin_anew()
        self.returned.clear()

    def _on_words(self, source: Source, answer: Preparing | NotServed) -> None:
        if isinstance(answer, Preparing):
            self.moved()
            source.not_ready(self.now_s, f"it has read {answer.done_bytes} of {answer.total_bytes} bytes so far")
        elif answer.code == "not_admitted":
            source.not_ready(self.now_s, answer.message)
        else:
            self.drop(source, f"{answer.code}: {answer.message}")

    def _lose_patience(self) -> None:
        """Give up those who are silent, and everything where nothing has moved for too long."""
        if self.now_s - self._moved_s > self._timeout_s:
            raise DriverError(self._reports(f"nothing came in {self._timeout_s:g} s"), code="unreachable")
        for source in self.live():
            if source.owed and self.now_s - source.heard_s > _STALL_S and len(self.there()) > 1:
                self.drop(source, f"{source.words} in {_STALL_S:g} s")
            else:
                source.ask_again(self.now_s)

    def _nobody_left(self, author: Source | None) -> None:
        if author is not None and any(source.contradicts is author for source in self._sources):
            raise ManifestLieError(author.problem or "it is alone with its manifest")
        code = "digest_mismatch" if any(source.has_lied for source in self._sources) else "unreachable"
        raise DriverError(self._reports("nobody could serve it"), code=code)

    def _reports(self, what: str) -> str:
        return f"{what}: " + ("; ".join(source.report() for source in self._sources) or "no holder is known")


def open_sources(
    context: sockets.Context, holders: Sequence[Holder], keys: KeyPair, digest: Digest, now_s: float
) -> list[Source]:
    """Dial every holder.

    Raises:
        EndpointError: an endpoint is none; the sockets are closed with the context.
    """
    sources = []
    for holder in dict.fromkeys(holders):
        socket = sockets.dialling_socket(
            context,
            holder.endpoint,
            keys,
            server_public_key=holder.public_key,
            max_message_bytes=MAX_PART_BYTES,
            high_water_mark=_HIGH_WATER_MARK,
        )
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        sockets.dial(socket, holder.endpoint)
        sources.append(Source(holder, digest, socket, monitor, now_s))
    return sources
