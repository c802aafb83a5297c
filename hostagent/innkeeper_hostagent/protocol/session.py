"""One conversation between an agent and the controller: every message once, in order, or the session is over.

It does no I/O and reads no clock: frames and the time come in, frames and messages go out.

The contract with its owner:

1. ``send`` queues a message; ``frames`` gives what is to go on the socket now. Call it after ``send``, ``receive`` and
   ``confirm``, and no later than ``next_wakeup_s`` says.
2. ``receive`` gives the messages of one frame. Once all that it ever gave is durable, call ``confirm``:
   only then is it acknowledged, so a crash before that makes the peer send it again, to the next session.
3. When ``is_alive`` is false the session is over. What the peer has not acknowledged may or may not have arrived:
   the owner says it again in the next session, if it still holds.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from innkeeper_hostagent.protocol.errors import BadFrameError, SessionOverflowError
from innkeeper_hostagent.protocol.frames import Frame, Kind, Role, pack, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How much a session keeps and how long it waits."""

    #: Reliable messages that wait or are not acknowledged yet.
    max_queued_messages: int = 8_192
    max_queued_bytes: int = 32 * 1024 * 1024
    #: Casual messages that wait; the oldest goes when one more comes.
    max_casual_messages: int = 256
    #: Reliable messages that are under way at once.
    window_messages: int = 256
    #: Unacknowledged for so long, a message is sent again.
    resend_after_s: float = 3.0
    #: The wait doubles with each time in vain, up to this.
    max_resend_after_s: float = 30.0
    #: Silence of so many heartbeat intervals ends the session.
    missed_heartbeats: int = 3


DEFAULT_LIMITS: Final = SessionLimits()


class Session:
    """One end of a conversation; ``counters`` says what was dropped and why."""

    __slots__ = (
        "_ack_due",
        "_acknowledged",
        "_bytes",
        "_casual",
        "_casual_received",
        "_casual_sent",
        "_confirmed",
        "_delivered",
        "_heard_s",
        "_limits",
        "_queue",
        "_resend_after_s",
        "_resend_at_s",
        "_reset",
        "_role",
        "_sent",
        "_spoke_s",
        "counters",
        "heartbeat_interval_s",
        "session_id",
    )

    def __init__(
        self,
        role: Role,
        session_id: bytes,
        *,
        heartbeat_interval_s: float,
        limits: SessionLimits = DEFAULT_LIMITS,
        counters: Counter[str] | None = None,
    ) -> None:
        """Begin a conversation in which nothing has been said.

        Args:
            role: Which end this is.
            session_id: As ``frames.session_id`` makes it; both ends use the agent's.
            heartbeat_interval_s: After so long without a frame a keepalive goes out.
            limits: How much to keep and how long to wait.
            counters: To count in together with others; its own where None.
        """
        self.session_id = session_id
        self.heartbeat_interval_s = heartbeat_interval_s
        #: ``malformed``, ``stale``, ``duplicates``, ``gaps``, ``resent``, ``casual_dropped``: how often.
        self.counters: Counter[str] = Counter() if counters is None else counters
        self._role = role
        self._limits = limits
        #: Reliable messages not acknowledged yet; the first of them has the number ``_acknowledged + 1``.
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._acknowledged = 0
        #: Number of the last reliable message given to the socket since the last time all were sent again.
        self._sent = 0
        self._casual: deque[bytes] = deque()
        self._casual_sent = 0
        self._casual_received = 0
        self._delivered = 0
        self._confirmed = 0
        self._ack_due = False
        self._reset = False
        self._resend_after_s = limits.resend_after_s
        self._resend_at_s: float | None = None
        #: When the peer was heard last and when this end spoke last; None until the session has been used.
        self._heard_s: float | None = None
        self._spoke_s: float | None = None

    def send(self, payload: bytes, now_s: float, *, reliable: bool = True) -> None:
        """Queue a message.

        Raises:
            SessionOverflowError: the peer has left too many reliable messages unacknowledged.
        """
        self._begin(now_s)
        if not reliable:
            self._queue_casual(payload)
            return
        full = len(self._queue) >= self._limits.max_queued_messages
        if full or self._bytes + len(payload) > self._limits.max_queued_bytes:
            raise SessionOverflowError(f"{len(self._queue)} messages, {self._bytes} bytes wait for the peer")
        self._queue.append(payload)
        self._bytes += len(payload)

    def receive(self, frame: bytes, now_s: float) -> list[bytes]:
        """Return the messages that the frame brings, each exactly once and reliable ones in order; often none."""
        self._begin(now_s)
        try:
            parsed = parse(frame)
        except BadFrameError:
            self.counters["malformed"] += 1
            return []
        if parsed.session_id != self.session_id:
            self.counters["stale"] += 1
            return []
        return self.accept(parsed, now_s)

    def accept(self, frame: Frame, now_s: float) -> list[bytes]:
        """Do as ``receive`` does with a frame of this session that has been taken apart already."""
        highest_sent = self._acknowledged + len(self._queue)
        if frame.sender == self._role or frame.acknowledged > highest_sent:
            self.counters["malformed"] += 1
            return []
        self._heard_s = now_s
        self._on_acknowledged(frame.acknowledged, now_s)
        if frame.kind is Kind.RELIABLE:
            return self._on_reliable(frame)
        if frame.kind is Kind.CASUAL:
            return self._on_casual(frame)
        if frame.kind is Kind.RESET:
            self._reset = True
        return []

    def confirm(self, now_s: float) -> None:
        """Say that everything received so far is durable, so that it may be acknowledged."""
        self._begin(now_s)
        if self._confirmed != self._delivered:
            self._confirmed = self._delivered
            self._ack_due = True

    def frames(self, now_s: float) -> list[bytes]:
        """Return what is to go on the socket now."""
        self._begin(now_s)
        if self._resend_at_s is not None and now_s >= self._resend_at_s:
            self._send_again(now_s)
        frames = self._casual_frames() + self._reliable_frames(now_s)
        if not frames and (self._ack_due or now_s >= self._keepalive_at_s(now_s)):
            frames = [self._pack(Kind.KEEPALIVE)]
        if frames:
            self._spoke_s = now_s
            self._ack_due = False
        return frames

    def next_wakeup_s(self, now_s: float) -> float:
        """Return when ``frames`` or ``is_alive`` will have something new to say, if nothing arrives before."""
        self._begin(now_s)
        if self.has_outgoing:
            return now_s
        wakeup_s = min(self._keepalive_at_s(now_s), self._dead_at_s(now_s))
        return wakeup_s if self._resend_at_s is None else min(wakeup_s, self._resend_at_s)

    def is_alive(self, now_s: float) -> bool:
        """Whether the peer knows this session and has been heard of lately."""
        return not self._reset and now_s < self._dead_at_s(now_s)

    @property
    def has_outgoing(self) -> bool:
        """Whether something can go on the socket now, whatever the time is."""
        return self._ack_due or bool(self._casual) or self._has_room()

    @property
    def unacknowledged(self) -> int:
        """How many reliable messages the peer has not acknowledged."""
        return len(self._queue)

    def _begin(self, now_s: float) -> None:
        if self._heard_s is None:
            self._heard_s = self._spoke_s = now_s

    def _keepalive_at_s(self, now_s: float) -> float:
        return (now_s if self._spoke_s is None else self._spoke_s) + self.heartbeat_interval_s

    def _dead_at_s(self, now_s: float) -> float:
        heard_s = now_s if self._heard_s is None else self._heard_s
        return heard_s + self._limits.missed_heartbeats * self.heartbeat_interval_s

    def _has_room(self) -> bool:
        under_way = self._sent - self._acknowledged
        return under_way < min(len(self._queue), self._limits.window_messages)

    def _pack(self, kind: Kind, sequence: int = 0, message: bytes = b"") -> bytes:
        return pack(kind, self._role, self.session_id, sequence=sequence, acknowledged=self._confirmed, message=message)

    def _queue_casual(self, payload: bytes) -> None:
        if len(self._casual) >= self._limits.max_casual_messages:
            self._casual.popleft()
            self.counters["casual_dropped"] += 1
        self._casual.append(payload)

    def _casual_frames(self) -> list[bytes]:
        frames = []
        while self._casual:
            self._casual_sent += 1
            frames.append(self._pack(Kind.CASUAL, self._casual_sent, self._casual.popleft()))
        return frames

    def _reliable_frames(self, now_s: float) -> list[bytes]:
        frames = []
        while self._has_room():
            message = self._queue[self._sent - self._acknowledged]
            self._sent += 1
            frames.append(self._pack(Kind.RELIABLE, self._sent, message))
        if frames and self._resend_at_s is None:
            self._resend_at_s = now_s + self._resend_after_s
        return frames

    def _send_again(self, now_s: float) -> None:
        # The channel keeps order, so when the oldest was lost the later ones most likely were too: go back to it.
        self.counters["resent"] += self._sent - self._acknowledged
        self._sent = self._acknowledged
        self._resend_after_s = min(2 * self._resend_after_s, self._limits.max_resend_after_s)
        self._resend_at_s = now_s + self._resend_after_s

    def _on_acknowledged(self, number: int, now_s: float) -> None:
        if number <= self._acknowledged:
            return
        for _ in range(number - self._acknowledged):
            self._bytes -= len(self._queue.popleft())
        self._acknowledged = number
        self._sent = max(self._sent, number)
        self._resend_after_s = self._limits.resend_after_s
        self._resend_at_s = now_s + self._resend_after_s if self._sent > number else None

    def _on_reliable(self, frame: Frame) -> list[bytes]:
        expected = self._delivered + 1
        if frame.sequence != expected:
            self.counters["duplicates" if frame.sequence < expected else "gaps"] += 1
            # The acknowledgement may have been what got lost.
            self._ack_due = True
            return []
        self._delivered = expected
        return [frame.message]

    def _on_casual(self, frame: Frame) -> list[bytes]:
        if frame.sequence <= self._casual_received:
            self.counters["duplicates"] += 1
            return []
        self._casual_received = frame.sequence
        return [frame.message]
