"""The controller's sockets: one ROUTER for all agents, and the handler that libzmq asks about their keys.

It decides nothing: frames go to the ``Switchboard`` and from there to the owner's callbacks, on the loop's thread.

Who sent a frame is the CURVE key of the connection that it came over, asked of libzmq for each frame anew, since a
route can pass to another connection.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

import zmq

from innkeeper_hostagent.protocol import connections, sockets, zap
from innkeeper_hostagent.protocol.callbacks import Callbacks
from innkeeper_hostagent.protocol.frames import MAX_FRAME_BYTES
from innkeeper_hostagent.protocol.keys import KeyPair
from innkeeper_hostagent.protocol.messages import AgentMessage, ControllerMessage, Hello, Join, Refused, Welcome
from innkeeper_hostagent.protocol.session import DEFAULT_LIMITS, SessionLimits
from innkeeper_hostagent.protocol.switchboard import Switchboard

_DOMAIN: Final = b"innkeeper"
#: Frames that ZeroMQ keeps for one peer. It may count up to half of what has long been taken as still waiting,
#: so this is over twice what a session has under way.
_HIGH_WATER_MARK: Final = 2_048
#: How often sessions are looked after: a fraction of the heartbeat interval, and its limit.
_TICKS_PER_INTERVAL: Final = 8
_MAX_TICK_S: Final = 0.5
#: While nothing but heartbeats comes, they are left to gather for so long. After anything else every frame is read at
#: once, for so long: where something happens, more does.
_GATHER_S: Final = 0.01
_BUSY_S: Final = 1.0


class Gateway:
    """Sessions with all agents over one socket; every method has to be called on the loop's thread."""

    def __init__(  # noqa: PLR0913 - one callback for each thing that can happen
        self,
        endpoint: str,
        keys: KeyPair,
        *,
        loop: asyncio.AbstractEventLoop,
        host_of_key: Callable[[str], int | None],
        on_message: Callable[[int, AgentMessage], None],
        on_join: Callable[[str, Join], ControllerMessage | None],
        on_connected: Callable[[int, Hello], Welcome | Refused | None],
        on_lost: Callable[[int], None],
        heartbeat_interval_s: float,
        context: sockets.Context | None = None,
        limits: SessionLimits = DEFAULT_LIMITS,
    ) -> None:
        """Prepare; ``start`` opens the sockets.

        Args:
            endpoint: Where to listen, ``tcp://0.0.0.0:2634``; port 0 takes any free one.
            keys: What agents have pinned.
            loop: The loop on whose thread all of this happens.
            host_of_key: The host that a key (Z85 text) belongs to; None for a stranger and for a revoked key.
                Asked for every frame, so a revocation works at once.
            on_message: Gets what a host says in its session, after ``on_connected``.
            on_join: Gets the key of a host that wants to be enrolled, known or not; its answer goes back at once,
                None where ``answer_join`` will bring it. The same question may come again.
            on_connected: Gets the first message of a new session and says whether it is open; None where ``send`` will
                say so, and what is sent before that waits for it. Comes again without ``on_lost`` where an agent
                begins anew: what it had not acknowledged has to be said again.
            on_lost: Gets a host that has been silent for too long, takes nothing, said goodbye or lost its key.
            heartbeat_interval_s: As ``Welcome`` tells it to the agents.
            context: To share with others; it must have no other ZAP handler.
            limits: Of every session.
        """
        self.endpoint = endpoint
        self._keys = keys
        self._loop = loop
        callbacks = Callbacks(
            host_of_key=host_of_key,
            on_message=on_message,
            on_join=on_join,
            on_connected=on_connected,
            on_lost=on_lost,
        )
        self._switchboard = Switchboard(callbacks, heartbeat_interval_s=heartbeat_interval_s, limits=limits)
        self._tick_s = min(heartbeat_interval_s / _TICKS_PER_INTERVAL, _MAX_TICK_S)
        self._context = context
        self._owns_context = context is None
        self._is_inproc = endpoint.startswith("inproc://")
        self._flush_handle: asyncio.Handle | None = None
        self._tick_handle: asyncio.TimerHandle | None = None
        self._socket: sockets.Socket | None = None
        self._pump: sockets.Pump | None = None
        self._zap: sockets.Socket | None = None
        self._zap_pump: sockets.Pump | None = None
        self._monitoring = contextlib.ExitStack()
        #: How many ``connections`` were made, ``handshakes`` ended well, and ``disconnections`` there were.
        self.connections: Counter[str] = Counter()

    @property
    def counters(self) -> Counter[str]:
        """How often something was dropped or refused, by reason, since the start."""
        return self._switchboard.counters

    @property
    def connected(self) -> frozenset[int]:
        """The hosts that have a session now."""
        return frozenset(self._switchboard.roster.peers)

    def start(self) -> None:
        """Listen; ``endpoint`` has the real port from here on.

        Raises:
            EndpointError: the endpoint cannot be listened on; nothing is open.
            UnsuitableLibraryError: ZeroMQ is too old.
        """
        self._context = self._context or sockets.new_context()
        try:
            if not self._is_inproc:
                self._open_zap(self._context)
            self._open(self._context)
        except BaseException:
            self.close()
            raise
        self._tick()

    def send(self, host_id: int, message: ControllerMessage) -> None:
        """Queue a message for the host; dropped and counted as ``unsent`` where it has no session.

        A host that leaves too much untaken loses its session, and ``on_lost`` follows soon.
        """
        self._switchboard.send(host_id, message, self._loop.time())
        self._flush_soon()

    def confirm(self, host_id: int) -> None:
        """Let everything that the host said so far be acknowledged: it is durable."""
        self._switchboard.confirm(host_id, self._loop.time())
        self._flush_soon()

    def answer_join(self, public_key: str, message: ControllerMessage) -> None:
        """Answer a join that ``on_join`` left open; a joiner that has gone meanwhile asks again."""
        self._switchboard.answer_join(public_key, message)
        self._flush_soon()

    def close(self) -> None:
        """Close everything; no callback comes any more. Twice is fine."""
        for handle in (self._flush_handle, self._tick_handle):
            if handle is not None:
                handle.cancel()
        for pump in (self._pump, self._zap_pump):
            if pump is not None:
                pump.stop()
        self._monitoring.close()
        for socket in (self._socket, self._zap):
            if socket is not None:
                socket.close(linger=0)
        self._socket = self._zap = self._pump = self._zap_pump = None
        if self._owns_context and self._context is not None:
            self._context.term()
            self._context = None

    def _open(self, context: sockets.Context) -> None:
        self._socket = sockets.listening_socket(
            context,
            self.endpoint,
            self._keys,
            domain=_DOMAIN,
            max_message_bytes=MAX_FRAME_BYTES,
            high_water_mark=_HIGH_WATER_MARK,
        )
        if not self._is_inproc:
            self._open_monitor(self._socket)
        self.endpoint = sockets.listen(self._socket, self.endpoint)
        self._pump = sockets.Pump(self._socket, self._loop, self._on_parts, rest_s=self._rest_s)

    def _open_monitor(self, socket: sockets.Socket) -> None:
        monitor = self._monitoring.enter_context(connections.monitored(socket))
        pump = sockets.Pump(monitor, self._loop, partial(connections.count, self.connections))
        self._monitoring.callback(pump.stop)

    def _open_zap(self, context: sockets.Context) -> None:
        self._zap = zap.handler_socket(context)
        self._zap_pump = sockets.Pump(self._zap, self._loop, self._on_zap_request)

    def _on_zap_request(self, parts: list[zmq.Frame]) -> None:
        assert self._zap is not None, "asked after close"
        request = [part.bytes for part in parts]
        public_key = zap.key_in(request, _DOMAIN)
        if public_key is None:
            zap.answer(self._zap, request, zap.Verdict.REFUSED)
        elif self._switchboard.admits(public_key, self._loop.time()):
            zap.answer(self._zap, request, zap.Verdict.ADMITTED)
        else:
            zap.answer(self._zap, request, zap.Verdict.LATER)

    def _on_parts(self, parts: list[zmq.Frame]) -> None:
        route = parts[0].bytes
        public_key = route.decode("ascii", "replace") if self._is_inproc else zap.user_id_of(parts[-1])
        self._switchboard.on_frame(route, public_key, parts[-1].bytes, self._loop.time())
        self._flush_soon()

    def _rest_s(self) -> float:
        is_busy = self._loop.time() - self._switchboard.busy_at_s < _BUSY_S
        return 0.0 if is_busy else _GATHER_S

    def _tick(self) -> None:
        """Look after every session: one timer for all, whatever their number."""
        self._tick_handle = self._loop.call_later(self._tick_s, self._tick)
        self._switchboard.tick(self._loop.time())
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flush_handle is None and self._socket is not None and self._switchboard.has_outgoing:
            self._flush_handle = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_handle = None
        self._switchboard.drop_overflowed()
        if self._socket is None or self._pump is None:
            # The owner has closed the gateway when it was told of a host that it lost.
            return
        for route, frame in self._switchboard.outgoing(self._loop.time()):
            self._put(self._socket, route, frame)
        self._pump.sent()

    def _put(self, socket: sockets.Socket, route: bytes, frame: bytes) -> None:
        """Give a frame to the socket; what does not get through is the session's to send again."""
        try:
            socket.send_multipart([route, frame], zmq.NOBLOCK)
        except zmq.Again:
            self.counters["congested"] += 1
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.counters["unreachable"] += 1
