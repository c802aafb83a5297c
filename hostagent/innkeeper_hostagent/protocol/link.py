"""The agent's side of the wire: one DEALER socket that always tries to have a session with the controller.

It decides nothing about steps or guests, and keeps nothing from one session to the next: what the controller has not
acknowledged when a session ends, the agent says again after the next ``Welcome``, from its journal.
"""

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import zmq

from innkeeper_hostagent.protocol import sockets, wire
from innkeeper_hostagent.protocol.enrolment import join
from innkeeper_hostagent.protocol.errors import BadMessageError, SessionOverflowError
from innkeeper_hostagent.protocol.frames import INSTANCE_BYTES, MAX_FRAME_BYTES, Role, session_id
from innkeeper_hostagent.protocol.keys import KeyPair
from innkeeper_hostagent.protocol.messages import AgentMessage, ControllerMessage, Hello, Refused, Welcome
from innkeeper_hostagent.protocol.session import DEFAULT_LIMITS, Session, SessionLimits

__all__ = ["DEFAULT_PAUSES", "Link", "Pauses", "join"]

#: Frames that ZeroMQ keeps for one peer. It may count up to half of what has long been taken as still waiting,
#: so this is over twice what a session has under way.
_HIGH_WATER_MARK: Final = 2_048
#: Until ``Welcome`` says otherwise.
_OPENING_INTERVAL_S: Final = 5.0
#: How long ``close`` lets ZeroMQ try to get the last frames out.
_LINGER_MS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """How long a link waits before it tries again; each wait is drawn between half of it and all of it."""

    first_s: float = 0.2
    #: The pause doubles with each try in vain, up to this.
    longest_s: float = 15.0
    #: After a refusal, which only a person can mend.
    refused_s: float = 30.0


DEFAULT_PAUSES: Final = Pauses()


class Link:
    """A session with the controller, made anew whenever it ends; every method belongs to the loop's thread."""

    def __init__(  # noqa: PLR0913 - one callback for each thing that can happen
        self,
        endpoint: str,
        server_public_key: str,
        keys: KeyPair,
        *,
        loop: asyncio.AbstractEventLoop,
        hello: Callable[[], Hello],
        on_welcome: Callable[[Welcome], None],
        on_refused: Callable[[Refused], None],
        on_message: Callable[[ControllerMessage], None],
        on_lost: Callable[[], None],
        context: sockets.Context | None = None,
        limits: SessionLimits = DEFAULT_LIMITS,
        pauses: Pauses = DEFAULT_PAUSES,
    ) -> None:
        """Prepare; ``start`` dials.

        Args:
            endpoint: Where the controller listens.
            server_public_key: Z85 text of the key that it must answer with.
            keys: Who this host is.
            loop: The loop on whose thread all of this happens.
            hello: Makes the first message of each session.
            on_welcome: The session is open; say everything that still holds.
            on_refused: There is no session, or no longer. The link tries again after a long pause, except after
                ``superseded``: then it stays closed, since two agents must not take turns.
            on_message: Gets every other message of the controller.
            on_lost: A session that was open has ended without a word; the link dials again by itself.
            context: To share with other links.
            limits: Of every session.
            pauses: Between tries.
        """
        self.counters: Counter[str] = Counter()
        self._endpoint = endpoint
        self._server_public_key = server_public_key
        self._keys = keys
        self._loop = loop
        self._hello = hello
        self._on_welcome = on_welcome
        self._on_refused = on_refused
        self._on_message = on_message
        self._on_lost = on_lost
        self._context = context
        self._owns_context = context is None
        self._limits = limits
        self._pauses = pauses
        self._pause_s = pauses.first_s
        self._instance = os.urandom(INSTANCE_BYTES)
        self._attempt = 0
        self._session: Session | None = None
        self._socket: sockets.Socket | None = None
        self._pump: sockets.Pump | None = None
        self._flush_handle: asyncio.Handle | None = None
        #: Either of the open session, or until the next try.
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether the controller has welcomed this session."""
        return self._is_open

    def start(self) -> None:
        """Dial, now and whenever the session ends, until ``close``.

        Raises:
            EndpointError: the controller's endpoint is none.
            UnsuitableLibraryError: ZeroMQ is too old.
        """
        self._context = self._context or sockets.new_context()
        self._dial(self._context)

    def send(self, message: AgentMessage) -> None:
        """Queue a message; dropped and counted as ``unsent`` while there is no open session."""
        if self._session is None or not self._is_open:
            self.counters["unsent"] += 1
            return
        try:
            self._session.send(wire.encode(message), self._loop.time(), reliable=wire.is_reliable(message))
        except SessionOverflowError:
            self.counters["overflowed"] += 1
            self._loop.call_soon(self._lose, self._session)
            return
        self._flush_soon()

    def confirm(self) -> None:
        """Let everything that came so far be acknowledged: it is durable."""
        if self._session is not None:
            self._session.confirm(self._loop.time())
            self._flush_soon()

    def close(self) -> None:
        """Put the last messages on the wire and close; no callback comes any more. Twice is fine."""
        if self._flush_handle is not None:
            self._flush()
        self._hang_up(linger_ms=_LINGER_MS if self._is_open else 0)
        if self._owns_context and self._context is not None:
            self._context.term()
            self._context = None

    def _dial(self, context: sockets.Context) -> None:
        # The timer that led here is over; taken for one that still comes, it would keep the session from being watched.
        self._timer = None
        self._attempt += 1
        self._session = Session(
            Role.AGENT,
            session_id(self._instance, self._attempt),
            heartbeat_interval_s=_OPENING_INTERVAL_S,
            limits=self._limits,
            counters=self.counters,
        )
        self._socket = sockets.dialling_socket(
            context,
            self._endpoint,
            self._keys,
            server_public_key=self._server_public_key,
            max_message_bytes=MAX_FRAME_BYTES,
            high_water_mark=_HIGH_WATER_MARK,
        )
        sockets.dial(self._socket, self._endpoint)
        self._pump = sockets.Pump(self._socket, self._loop, self._on_parts)
        self._session.send(wire.encode(self._hello()), self._loop.time())
        self._flush()

    def _hang_up(self, *, linger_ms: int = 0) -> None:
        for handle in (self._timer, self._flush_handle):
            if handle is not None:
                handle.cancel()
        if self._pump is not None and self._socket is not None:
            self._pump.stop()
            self._socket.close(linger=linger_ms)
        self._timer = self._flush_handle = self._pump = self._socket = self._session = None
        self._is_open = False

    def _redial(self, pause_s: float) -> None:
        self._hang_up()
        assert self._context is not None, "redialled after close"
        # Agents that lost the same controller must not all come back in the same moment.
        drawn_s = pause_s * (0.5 + secrets.randbelow(1000) / 2000)
        self._timer = self._loop.call_later(drawn_s, self._dial, self._context)

    def _lose(self, session: Session) -> None:
        """End the session, if it is still the one there is, and try again."""
        if session is not self._session:
            return
        was_open = self._is_open
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, self._pauses.longest_s)
        self._redial(pause_s)
        if was_open:
            self._on_lost()

    def _on_parts(self, parts: list[zmq.Frame]) -> None:
        session = self._session
        assert session is not None, "read after hanging up"
        for payload in session.receive(parts[-1].bytes, self._loop.time()):
            self._on_payload(payload)
            if self._session is not session:
                return
        if session.is_alive(self._loop.time()):
            self._flush_soon()
        else:
            self._lose(session)

    def _on_payload(self, payload: bytes) -> None:
        try:
            message = wire.decode_controller_message(payload)
        except BadMessageError:
            self.counters["bad_messages"] += 1
            return
        if isinstance(message, Welcome):
            self._welcomed(message)
        elif isinstance(message, Refused):
            self._refused(message)
        elif self._is_open:
            self._on_message(message)
        else:
            self.counters["bad_messages"] += 1

    def _welcomed(self, welcome: Welcome) -> None:
        assert self._session is not None, "welcomed without a session"
        if welcome.heartbeat_interval_s > 0:
            self._session.heartbeat_interval_s = welcome.heartbeat_interval_s
        self._pause_s = self._pauses.first_s
        self._is_open = True
        self._on_welcome(welcome)

    def _refused(self, refused: Refused) -> None:
        self.counters["refused"] += 1
        if refused.code == "superseded":
            self._hang_up()
        else:
            self._redial(self._pauses.refused_s)
        self._on_refused(refused)

    def _flush_soon(self) -> None:
        if self._flush_handle is None:
            self._flush_handle = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        now_s = self._loop.time()
        assert self._session is not None, "flushed after hanging up"
        assert self._socket is not None, "flushed after hanging up"
        assert self._pump is not None, "flushed after hanging up"
        for frame in self._session.frames(now_s):
            try:
                self._socket.send(frame, zmq.NOBLOCK)
            except zmq.Again:
                self.counters["congested"] += 1
                break
        self._pump.sent()
        self._arm(self._session.next_wakeup_s(now_s))

    def _arm(self, wakeup_s: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= wakeup_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(wakeup_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        assert self._session is not None, "woken after hanging up"
        if self._session.is_alive(self._loop.time()):
            self._flush()
        else:
            self.counters["silent"] += 1
            self._lose(self._session)
