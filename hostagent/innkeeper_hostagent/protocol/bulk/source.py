"""One holder as a fetch sees it: its socket, what it has been asked for, and whether it can still be asked."""

from dataclasses import dataclass, field
from typing import Final

import zmq
from zmq.utils.monitor import recv_monitor_message

from innkeeper_hostagent.protocol import sockets, wire
from innkeeper_hostagent.protocol.bulk.messages import (
    AskChunk,
    BulkAnswer,
    BulkRequest,
    Chunk,
    Describe,
    Description,
)
from innkeeper_hostagent.protocol.errors import BadMessageError
from innkeeper_plugins.vocabulary import Digest, Holder

#: What has not been answered is asked again after this, or after twice as long as the last answer took; then after
#: twice as long each time: the holder may have restarted, or a slow network may need that long for one chunk.
_ASK_AGAIN_S: Final = 1.0
_MAX_ASK_AGAIN_S: Final = 30.0
_HANGS_UP: Final = "it hangs up: it has another key, or has not been told yet to let this host in"
#: A holder that is not ready says so; this long it is left alone.
_NOT_READY_S: Final = 0.1


@dataclass(slots=True, eq=False)
class Source:
    """A holder and what it still owes."""

    holder: Holder
    digest: Digest
    socket: sockets.Socket
    #: Tells of the socket's connections.
    monitor: sockets.Socket
    #: When it was last heard, or first asked; seconds on the clock of the fetch.
    heard_s: float
    #: What it has been asked for: the request by chunk index, -1 for the manifest.
    owed: dict[int, BulkRequest] = field(default_factory=dict)
    #: The parts of the manifest that it has told.
    parts: list[Description] = field(default_factory=list)
    #: What it has said last, where that was no bytes.
    words: str = "no connection: it is down, or has not been told yet to let this host in"
    #: Why it is not asked any more; empty while it is.
    problem: str = ""
    is_connected: bool = False
    #: Whether it has told or served what cannot be true.
    has_lied: bool = False
    #: It is out only because it contradicts the manifest of this other holder, which may be the liar.
    contradicts: "Source | None" = None
    ask_again_s: float = _ASK_AGAIN_S
    ask_again_at_s: float = 0.0

    @property
    def is_live(self) -> bool:
        """Whether it is wanted at all."""
        return not self.problem

    @property
    def can_be_asked(self) -> bool:
        """Whether it is wanted and there."""
        return self.is_connected and not self.problem

    def notice(self) -> list[int]:
        """Note whether it has come or gone; return the chunks that it owed when it went."""
        owed: list[int] = []
        while self.monitor.poll(0):
            event = recv_monitor_message(self.monitor)["event"]
            if event == zmq.EVENT_DISCONNECTED:
                self.words = "the connection broke" if self.is_connected else _HANGS_UP
                owed += self.forget()
            else:
                self.words = "no answer"
            self.is_connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        return owed

    def ask_part(self, now_s: float) -> None:
        """Ask for the next part of the manifest."""
        self._ask(-1, Describe(digest=self.digest, part=len(self.parts)), now_s)

    def ask_chunk(self, index: int, now_s: float) -> None:
        """Ask for a chunk."""
        self._ask(index, AskChunk(digest=self.digest, index=index), now_s)

    def _ask(self, key: int, request: BulkRequest, now_s: float) -> None:
        if not self.owed:
            self.heard_s = now_s
            self.ask_again_at_s = now_s + self.ask_again_s
        self.owed[key] = request
        self._send(request)

    def ask_again(self, now_s: float) -> None:
        """Repeat what is owed, if it has been owed for long."""
        if self.owed and now_s >= self.ask_again_at_s:
            self.ask_again_s = min(2 * self.ask_again_s, _MAX_ASK_AGAIN_S)
            self.ask_again_at_s = now_s + self.ask_again_s
            for request in self.owed.values():
                self._send(request)

    def not_ready(self, now_s: float, words: str) -> None:
        """Note that it wants to be asked again in a moment."""
        self.words = words
        self.ask_again_at_s = now_s + _NOT_READY_S

    def hear(self, now_s: float) -> tuple[BulkAnswer, memoryview] | None:
        """Return the next answer and the data that came with it; None where there is none.

        Raises:
            BadMessageError: what came is no answer.
        """
        try:
            parts = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        answer: BulkAnswer = wire.decode(parts[0].bytes, BulkAnswer)
        if len(parts) != (2 if isinstance(answer, Chunk) else 1) or answer.digest != self.digest:
            raise BadMessageError("an answer to something else")
        self.ask_again_s = min(max(_ASK_AGAIN_S, 2 * (now_s - self.heard_s)), _MAX_ASK_AGAIN_S)
        self.ask_again_at_s = now_s + self.ask_again_s
        self.heard_s = now_s
        return answer, parts[-1].buffer

    def drop(self, problem: str, *, has_lied: bool = False, contradicts: "Source | None" = None) -> list[int]:
        """Ask it no more; return the chunks that it owes."""
        self.problem, self.has_lied, self.contradicts = problem, has_lied, contradicts
        return self.forget()

    def forget(self) -> list[int]:
        """Expect nothing that it has been asked for; return the chunks that it owed."""
        owed = [index for index in self.owed if index >= 0]
        self.owed.clear()
        return owed

    def begin_anew(self) -> None:
        """Ask it from the beginning, whatever has been held against it."""
        self.problem, self.has_lied, self.contradicts = "", False, None
        self.parts.clear()
        self.owed.clear()

    def report(self) -> str:
        """Say who it is and what was wrong."""
        return f"{self.holder.endpoint}: {self.problem or self.words}"

    def _send(self, request: BulkRequest) -> None:
        try:
            self.socket.send(wire.encode(request), zmq.NOBLOCK)
        except zmq.Again:
            # Nobody takes what it has been asked already; it is asked again when that has changed.
            return
