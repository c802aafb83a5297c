"""Makes the ZeroMQ sockets of both ends: CURVE on, every limit set, an old library refused.

What travels over them is not its business.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias, cast

import zmq

from innkeeper_hostagent.protocol.errors import EndpointError, UnsuitableLibraryError
from innkeeper_hostagent.protocol.keys import KeyPair

Context: TypeAlias = zmq.Context[zmq.Socket[bytes]]
Socket: TypeAlias = zmq.Socket[bytes]

#: Before it a stranger could overrun the CURVE handshake's buffers or its memory (CVE-2019-13132, CVE-2020-15166).
_OLDEST_LIBRARY: Final = (4, 3, 3)
#: A connection that has not finished its handshake by then is closed.
_HANDSHAKE_MS: Final = 10_000
#: A dialler tries again after this, then after twice as long, up to the second.
_RECONNECT_MS: Final = 100
_MAX_RECONNECT_MS: Final = 2_000
#: A peer whose machine is gone is noticed by the kernel: first probe after a silence, then so often, so many times.
_TCP_SILENCE_S: Final = 30
_TCP_PROBE_S: Final = 10
_TCP_PROBES: Final = 3
#: Connections that may wait to be accepted: a whole fleet dials at once when its controller comes back.
_BACKLOG: Final = 1_024
#: More than libzmq's default of 1,023, for many agents in one process.
MAX_SOCKETS: Final = 16_384
#: Messages taken from a socket before others get their turn on the loop.
_BATCH: Final = 256


def new_context() -> Context:
    """Return a context for this process's sockets.

    Raises:
        UnsuitableLibraryError: the ZeroMQ library is too old, or has no CURVE.
    """
    refuse_unsuitable_library(zmq.zmq_version_info(), has_curve=zmq.has("curve"))
    context: Context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
    return context


def refuse_unsuitable_library(version: tuple[int, ...], *, has_curve: bool) -> None:
    """Check the version and abilities of the ZeroMQ library.

    Raises:
        UnsuitableLibraryError: it must not be used.
    """
    if version < _OLDEST_LIBRARY:
        found, needed = (".".join(map(str, numbers)) for numbers in (version, _OLDEST_LIBRARY))
        raise UnsuitableLibraryError(f"libzmq {found} can be attacked before any key is checked; install {needed}")
    if not has_curve:
        raise UnsuitableLibraryError("this libzmq has been built without CURVE; install pyzmq from its wheel")


def listening_socket(
    context: Context, endpoint: str, keys: KeyPair, *, domain: bytes, max_message_bytes: int, high_water_mark: int
) -> Socket:
    """Return a ROUTER socket that will answer with the key; it does not listen yet.

    Args:
        context: Where the ZAP handler for the domain answers.
        endpoint: Where it is going to listen; only ``inproc`` goes without CURVE, since it never leaves the process.
        keys: What it proves to be.
        domain: Name that the ZAP handler knows it by.
        max_message_bytes: A peer that sends more is disconnected.
        high_water_mark: Messages kept for or from one peer.
    """
    socket = context.socket(zmq.ROUTER)
    _limit(socket, endpoint, max_message_bytes, high_water_mark)
    # Otherwise a message for somebody who has gone would vanish without a word.
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.BACKLOG, _BACKLOG)
    if endpoint.startswith("inproc://"):
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        return socket
    socket.curve_server = True
    socket.curve_secretkey = keys.secret.reveal().encode()
    # Without a handler for the domain nobody gets in, where libzmq would otherwise let in everybody.
    socket.setsockopt(zmq.ZAP_DOMAIN, domain)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    return socket


def dialling_socket(
    context: Context,
    endpoint: str,
    keys: KeyPair,
    *,
    server_public_key: str,
    max_message_bytes: int,
    high_water_mark: int,
) -> Socket:
    """Return a DEALER socket that will speak only to the owner of the key at that endpoint; it does not dial yet."""
    socket = context.socket(zmq.DEALER)
    _limit(socket, endpoint, max_message_bytes, high_water_mark)
    socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, _MAX_RECONNECT_MS)
    if endpoint.startswith("inproc://"):
        socket.setsockopt(zmq.ROUTING_ID, keys.public.encode())
    else:
        socket.curve_serverkey = server_public_key.encode()
        socket.curve_publickey = keys.public.encode()
        socket.curve_secretkey = keys.secret.reveal().encode()
    return socket


def listen(socket: Socket, endpoint: str) -> str:
    """Make the socket listen; return the endpoint with the real port.

    Raises:
        EndpointError: somebody else listens there, or it is no address of this machine.
    """
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        raise EndpointError(f"cannot listen on {endpoint}: {error.strerror}") from error
    return socket.get_string(zmq.LAST_ENDPOINT)


def dial(socket: Socket, endpoint: str) -> None:
    """Make the socket dial, again and again, until it is closed.

    Raises:
        EndpointError: it is no endpoint.
    """
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise EndpointError(f"{endpoint} cannot be dialled: {error.strerror}") from error


def _limit(socket: Socket, endpoint: str, max_message_bytes: int, high_water_mark: int) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, max_message_bytes)
    socket.setsockopt(zmq.SNDHWM, high_water_mark)
    socket.setsockopt(zmq.RCVHWM, high_water_mark)
    socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
    socket.setsockopt(zmq.IPV6, int("[" in endpoint))
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _TCP_SILENCE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _TCP_PROBE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, _TCP_PROBES)


class Pump:
    """Brings what arrives on a socket to a callback, on an asyncio loop, in batches.

    The socket's descriptor tells only of a change, not that there is something to read, and any call on the socket may
    use the telling up. So it reads until there is nothing more, and ``sent`` has to be called after sending.
    """

    def __init__(
        self,
        socket: Socket,
        loop: asyncio.AbstractEventLoop,
        on_message: Callable[[list[zmq.Frame]], None],
        *,
        rest_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Begin at once.

        Args:
            socket: What to read; it stays its owner's.
            loop: The loop on whose thread it is read.
            on_message: Gets the parts of each message.
            rest_s: Asked after something has been read: how long to let more gather before reading again. Waking up for
                one message costs several times what reading a second one does.
        """
        self._rest_s = rest_s
        self._rest_handle: asyncio.TimerHandle | None = None
        self._socket = socket
        self._loop = loop
        self._on_message = on_message
        self._handle: asyncio.Handle | None = None
        self._descriptor = socket.fileno()
        loop.add_reader(self._descriptor, self._drain)
        self.sent()

    def sent(self) -> None:
        """Look again, soon, for messages whose telling the last sending may have used up."""
        if self._handle is None:
            self._handle = self._loop.call_soon(self._drain)

    def stop(self) -> None:
        """Bring nothing any more; the socket stays open."""
        self._loop.remove_reader(self._descriptor)
        for handle in (self._handle, self._rest_handle):
            if handle is not None:
                handle.cancel()
        # Keeps a drain that is under way, in whose callback this was called, from reading on.
        self._on_message = _nobody
        self._handle = self._rest_handle = None

    def _drain(self) -> None:
        self._handle = None
        brought, is_dry = 0, False
        try:
            while brought < _BATCH and not is_dry:
                is_dry = self._on_message is _nobody or not self._has_message()
                if not is_dry:
                    brought += 1
                    self._on_message(self._socket.recv_multipart(zmq.NOBLOCK, copy=False))
        finally:
            if self._on_message is not _nobody:
                self._after(brought, is_dry=is_dry)

    def _after(self, brought: int, *, is_dry: bool) -> None:
        """See to it that what comes next is read."""
        rest_s = self._rest_s() if brought and self._rest_handle is None else 0.0
        if not is_dry:
            self.sent()
        elif rest_s > 0:
            self._loop.remove_reader(self._descriptor)
            self._rest_handle = self._loop.call_later(rest_s, self._wake)

    def _wake(self) -> None:
        self._rest_handle = None
        self._loop.add_reader(self._descriptor, self._drain)
        self._drain()

    def _has_message(self) -> bool:
        # Asking takes a microsecond, trying to read in vain five.
        return bool(cast("int", self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)


def _nobody(_: list[zmq.Frame]) -> None:
    """Stand for the receiver of a pump that has been stopped."""
