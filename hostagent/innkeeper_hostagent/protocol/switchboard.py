"""The controller's side of all sessions at once: which frame is whose, what it means, what has to be answered.

It does no I/O, reads no clock and decides nothing about hosts or VMs: what arrives goes to the owner's callbacks.

A key that belongs to no host may only ask to join.
"""

from collections import Counter
from typing import Final

from innkeeper_hostagent.protocol import refusals, wire
from innkeeper_hostagent.protocol.callbacks import Callbacks
from innkeeper_hostagent.protocol.errors import BadFrameError, BadMessageError, SessionOverflowError
from innkeeper_hostagent.protocol.frames import Frame, Kind, Role, pack, parse
from innkeeper_hostagent.protocol.joiners import Joiners, Return
from innkeeper_hostagent.protocol.messages import (
    PROTOCOL_MAJOR,
    AgentMessage,
    ControllerMessage,
    Goodbye,
    Hello,
    Join,
    Refused,
    Welcome,
)
from innkeeper_hostagent.protocol.pace import Allowance
from innkeeper_hostagent.protocol.roster import Peer, Roster, Standing
from innkeeper_hostagent.protocol.session import Session, SessionLimits

#: Handshakes and frames of keys that belong to no host, all together.
_STRANGERS_PER_S: Final = 20.0
_STRANGERS_AT_ONCE: Final = 100.0
#: Nothing that a stranger may say is longer.
_MAX_STRANGER_BYTES: Final = 4_096


class Switchboard:
    """Frames in, callbacks and frames out."""

    def __init__(self, callbacks: Callbacks, *, heartbeat_interval_s: float, limits: SessionLimits) -> None:
        """Begin with nobody connected."""
        self.counters: Counter[str] = Counter()
        self.roster = Roster()
        #: When something other than heartbeats was heard or sent last.
        self.busy_at_s = 0.0
        self._owner = callbacks
        self._interval_s = heartbeat_interval_s
        self._limits = limits
        self._strangers = Allowance(_STRANGERS_PER_S, capacity=_STRANGERS_AT_ONCE)
        self._joiners = Joiners()
        #: Sessions that may have something to say, and answers outside of any session.
        self._dirty: dict[int, Peer] = {}
        self._answers: list[tuple[bytes, bytes]] = []
        #: Sessions that are over, whose end has not been told yet.
        self._overflowed: list[Peer] = []

    def send(self, host_id: int, message: ControllerMessage, now_s: float) -> None:
        """Queue a message for the host."""
        self.busy_at_s = now_s
        peer = self.roster.peers.get(host_id)
        if peer is None or self._owner.host_of_key(peer.public_key) != host_id:
            self.counters["unsent"] += 1
            return
        if peer.held is None:
            self._queue(peer, message, now_s)
        elif isinstance(message, Welcome | Refused):
            self._welcome(peer, message, now_s)
        else:
            self._hold(peer, message)

    def confirm(self, host_id: int, now_s: float) -> None:
        """Let everything that the host said so far be acknowledged."""
        peer = self.roster.peers.get(host_id)
        if peer is not None:
            peer.session.confirm(now_s)
            self._mark(peer)

    def answer_join(self, public_key: str, message: ControllerMessage) -> None:
        """Answer a join that ``on_join`` left open."""
        back = self._joiners.take(public_key)
        if back is not None:
            self._answer(back, message)

    def admits(self, public_key: str, now_s: float) -> bool:
        """Whether a connection of that key may be made now: always for a host's, now and then for a stranger's."""
        if self._owner.host_of_key(public_key) is not None or self._strangers.take(1, now_s):
            return True
        self.counters["stranger_throttled"] += 1
        return False

    def outgoing(self, now_s: float) -> list[tuple[bytes, bytes]]:
        """Return what is to go on the socket now: pairs of route and frame."""
        answers, self._answers = self._answers, []
        dirty, self._dirty = self._dirty, {}
        for peer in dirty.values():
            answers += [(peer.route, frame) for frame in peer.session.frames(now_s)]
            peer.due_s = min(peer.due_s, peer.session.next_wakeup_s(now_s))
        return answers

    @property
    def has_outgoing(self) -> bool:
        """Whether ``outgoing`` or ``drop_overflowed`` may have something to do."""
        return bool(self._dirty or self._answers or self._overflowed)

    def tick(self, now_s: float) -> None:
        """Look after every session: end those that are over, mark those that have to speak."""
        for peer in tuple(self.roster.peers.values()):
            if self._owner.host_of_key(peer.public_key) != peer.host_id:
                self.counters["revoked"] += 1
                self._answer((peer.route, peer.session.session_id), refusals.unknown_key())
                self._lose(peer)
            elif peer.due_s <= now_s:
                self._look_after(peer, now_s)
        self.drop_overflowed()

    def _look_after(self, peer: Peer, now_s: float) -> None:
        if not peer.session.is_alive(now_s):
            self.counters["silent"] += 1
            self._lose(peer)
            return
        # What has arrived since the moment was set may have put it off.
        peer.due_s = peer.session.next_wakeup_s(now_s)
        if peer.due_s <= now_s:
            peer.due_s = now_s + self._interval_s
            self._dirty[peer.host_id] = peer

    def drop_overflowed(self) -> None:
        """End the sessions whose peers took nothing any more."""
        overflowed, self._overflowed = self._overflowed, []
        for peer in overflowed:
            self._lose(peer)

    def on_frame(self, route: bytes, public_key: str, data: bytes, now_s: float) -> None:
        """Take what came over the connection that the key was checked for."""
        try:
            frame = parse(data)
        except BadFrameError:
            self.counters["malformed"] += 1
            return
        if frame.kind is Kind.RELIABLE:
            self.busy_at_s = now_s
        host_id = self._owner.host_of_key(public_key)
        if host_id is None:
            self._on_stranger(route, public_key, frame, now_s)
            return
        standing = self.roster.standing(host_id, frame)
        if standing is Standing.CURRENT:
            self._on_current(self.roster.peers[host_id], route, frame, now_s)
        elif frame.kind is Kind.CASUAL and self._joins(route, public_key, frame):
            return
        elif standing is Standing.NEW:
            self._on_opening(host_id, route, public_key, frame, now_s)
        else:
            self._on_stale(standing, route, frame)

    def _on_current(self, peer: Peer, route: bytes, frame: Frame, now_s: float) -> None:
        peer.route = route
        for payload in peer.session.accept(frame, now_s):
            message = _decoded(payload)
            if message is None or isinstance(message, Hello | Join):
                self.counters["bad_messages"] += 1
                continue
            self._owner.on_message(peer.host_id, message)
            if isinstance(message, Goodbye):
                self._lose(peer)
        self._mark(peer)

    def _on_stale(self, standing: Standing, route: bytes, frame: Frame) -> None:
        self.counters[standing.value] += 1
        if standing is Standing.SUPERSEDED:
            self._answer((route, frame.session_id), refusals.superseded())
        else:
            self._reset(route, frame)

    def _on_opening(self, host_id: int, route: bytes, public_key: str, frame: Frame, now_s: float) -> None:
        hello = self._hello_of(route, frame)
        if hello is None:
            return
        session = Session(
            Role.CONTROLLER,
            frame.session_id,
            heartbeat_interval_s=self._interval_s,
            limits=self._limits,
            counters=self.counters,
        )
        peer = Peer(host_id, public_key, route, session)
        replaced = self.roster.admit(peer)
        if replaced is not None:
            self.counters["superseded"] += 1
            self._answer((replaced.route, replaced.session.session_id), refusals.superseded())
        session.accept(frame, now_s)
        answer = self._owner.on_connected(host_id, hello)
        if answer is not None:
            self._welcome(peer, answer, now_s)

    def _hello_of(self, route: bytes, frame: Frame) -> Hello | None:
        """Return the ``Hello`` that opens a session, or say to the sender why it does not."""
        if self._speaks_otherwise((route, frame.session_id), frame):
            return None
        message = _decoded(frame.message)
        if isinstance(message, Hello):
            return message
        self.counters["bad_messages"] += 1
        self._reset(route, frame)
        return None

    def _welcome(self, peer: Peer, answer: Welcome | Refused, now_s: float) -> None:
        held, peer.held = peer.held or [], None
        if isinstance(answer, Refused):
            self.roster.remove(peer.host_id)
            self._answer((peer.route, peer.session.session_id), answer)
            return
        for message in (answer, *held):
            self._queue(peer, message, now_s)

    def _hold(self, peer: Peer, message: ControllerMessage) -> None:
        """Keep a message until the ``Welcome`` that has to come first."""
        assert peer.held is not None, "held after the welcome"
        peer.held.append(message)
        if len(peer.held) > self._limits.max_queued_messages:
            self._overflow(peer)

    def _queue(self, peer: Peer, message: ControllerMessage, now_s: float) -> None:
        try:
            peer.session.send(wire.encode(message), now_s, reliable=wire.is_reliable(message))
        except SessionOverflowError:
            self._overflow(peer)
        self._dirty[peer.host_id] = peer

    def _overflow(self, peer: Peer) -> None:
        # Its owner is told later: whoever is sending now must not be called back from within.
        self.counters["overflowed"] += 1
        self._overflowed.append(peer)

    def _on_stranger(self, route: bytes, public_key: str, frame: Frame, now_s: float) -> None:
        """Hear a key that belongs to no host; unless it asks to join it is told that it may do nothing else."""
        if len(frame.message) > _MAX_STRANGER_BYTES or not self._strangers.take(1, now_s):
            self.counters["stranger_throttled"] += 1
        elif frame.kind is not Kind.CASUAL or not self._joins(route, public_key, frame):
            self.counters["stranger_dropped"] += 1
            self._answer((route, frame.session_id), refusals.unknown_key())

    def _joins(self, route: bytes, public_key: str, frame: Frame) -> bool:
        """Bring a ``Join`` to the owner; False where the frame is something else."""
        back = (route, frame.session_id)
        if self._speaks_otherwise(back, frame):
            return True
        message = _decoded(frame.message)
        if not isinstance(message, Join):
            return False
        self.counters["joins"] += 1
        self._joiners.keep(public_key, back)
        answer = self._owner.on_join(public_key, message)
        if answer is not None:
            self.answer_join(public_key, answer)
        return True

    def _speaks_otherwise(self, back: Return, frame: Frame) -> bool:
        """Whether the frame opens in another major version, which it is then told."""
        major = wire.peek_major(frame.message)
        if major is None or major == PROTOCOL_MAJOR:
            return False
        self.counters["other_version"] += 1
        self._answer(back, refusals.other_version(major))
        return True

    def _answer(self, back: Return, message: ControllerMessage) -> None:
        """Send a message outside of any session of ours."""
        route, session = back
        frame = pack(Kind.CASUAL, Role.CONTROLLER, session, sequence=1, message=wire.encode(message))
        self._answers.append((route, frame))

    def _reset(self, route: bytes, frame: Frame) -> None:
        # Never in answer to a reset, or two ends could go on for ever.
        if frame.kind is not Kind.RESET:
            self._answers.append((route, pack(Kind.RESET, Role.CONTROLLER, frame.session_id)))

    def _mark(self, peer: Peer) -> None:
        # A keepalive that is due can wait for the tick, which sends many at once.
        if peer.session.has_outgoing:
            self._dirty[peer.host_id] = peer

    def _lose(self, peer: Peer) -> None:
        if self.roster.peers.get(peer.host_id) is peer:
            self.roster.remove(peer.host_id)
            self._owner.on_lost(peer.host_id)


def _decoded(payload: bytes) -> AgentMessage | None:
    try:
        return wire.decode_agent_message(payload)
    except BadMessageError:
        return None
