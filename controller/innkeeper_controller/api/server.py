"""The HTTP server on the controller's own loop: uvicorn, with the limits that it lacks against slow strangers."""

import asyncio
import socket
from collections import Counter
from functools import partial
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from innkeeper_plugins.errors import InnkeeperError

#: All headers of one request.
MAX_HEADER_BYTES: Final = 64 * 1024
#: Headers may take so long, and a body that is not complete be silent for so long.
SILENT_S: Final = 30.0
#: How long a connection may be kept without a request.
IDLE_S: Final = 75
#: How long connections may finish what they do when the server stops.
STOP_WITHIN_S: Final = 5.0
#: How the headers of an answer begin, but for the interim ``100 Continue``; and that a body of known length follows.
_ANSWER: Final = (b"HTTP/1.1 2", b"HTTP/1.1 3", b"HTTP/1.1 4", b"HTTP/1.1 5")
_LENGTH: Final = b"\r\ncontent-length: "
_BACKLOG: Final = 1024
_LOOK_EVERY_S: Final = 1.0


class ListenError(InnkeeperError):
    """The address cannot be listened on; the operator of the controller must act."""


class _Cork:
    """A transport that sends the headers of an answer together with its body.

    uvicorn writes them apart; each system call costs as much as a tenth of a whole request.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        """Stand in for the transport."""
        self._transport = transport
        self._kept = b""
        #: False where no body follows whatever the headers say.
        self.has_body = True

    def write(self, data: bytes) -> None:
        """Keep headers that announce a body; send everything else, with what was kept before it."""
        if self._kept:
            kept, self._kept = self._kept, b""
            self._transport.write(kept + data)
        elif self.has_body and _LENGTH in data and data.startswith(_ANSWER):
            self._kept = data
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Send what is kept, then close."""
        if self._kept:
            self.write(b"")
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a transport has
        return getattr(self._transport, name)


class GuardedProtocol(HttpToolsProtocol):
    """A connection whose headers have a limit, and that notes since when it owes us something.

    Headers have to be there within the time that a body may be silent for: drop by drop they would never end.
    What still comes when the request has been answered earns no more time either.
    """

    #: When its headers began, or something of its body came last; None while no request is incomplete.
    owes_since_s: float | None
    _in_headers: bool
    #: Whether a body has begun with what came last.
    _in_body: bool
    _header_bytes: int

    def __init__(self, counters: Counter[str], *values: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        """Count in ``counters`` what is dropped."""
        super().__init__(*values, **named)
        self._counters = counters

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as in the base
        """Begin to wait for the first request."""
        super().connection_made(_Cork(transport))  # type: ignore[arg-type]  # stands in for it
        self.owes_since_s = self.loop.time()
        self._in_headers, self._header_bytes = True, 0

    def data_received(self, data: bytes) -> None:
        """Note the time until the request is complete, and what comes before the end of its headers."""
        if self.owes_since_s is not None and not self._in_headers and not self.cycle.response_complete:
            self.owes_since_s = self.loop.time()
        began_in_headers, self._in_body = self._in_headers, False
        super().data_received(data)
        if began_in_headers and self._in_headers and not self._in_body:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self.drop("long_headers")

    def drop(self, why: str) -> None:
        """End the connection without a word."""
        self._counters[why] += 1
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._counters["malformed"] += 1
        super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Begin with the headers."""
        super().on_message_begin()
        self.owes_since_s = self.loop.time()

    def on_headers_complete(self) -> None:
        """Begin with the body."""
        self._in_headers, self._in_body, self._header_bytes = False, True, 0
        self.owes_since_s = self.loop.time()
        cork: Any = self.transport
        cork.has_body = self.parser.get_method() != b"HEAD"
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait for nothing more."""
        self.owes_since_s = None
        self._in_headers = True
        super().on_message_complete()


class HttpServer:
    """Listens from ``start`` to ``stop``."""

    def __init__(self, app: ASGIApp, listen: str, *, max_connections: int, silent_s: float = SILENT_S) -> None:
        """Listen nowhere yet.

        Args:
            app: Answers.
            listen: ``address:port``; port 0 takes any free one.
            max_connections: More are told to come back.
            silent_s: Headers may take so long, and a body be silent for so long; then the connection is ended.
        """
        #: How often something was dropped at the door, by reason.
        self.counters: Counter[str] = Counter()
        config = uvicorn.Config(
            app,
            http=partial(GuardedProtocol, self.counters),  # type: ignore[arg-type]  # makes one, as the class does
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=max_connections,
            timeout_keep_alive=IDLE_S,
        )
        self._server = uvicorn.Server(config)
        self._listen = listen
        self._silent_s = silent_s
        self._socket: socket.socket | None = None
        self._looking_after: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """``address:port`` that it listens on, once started."""
        assert self._socket is not None, "started"
        host, port = self._socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def bind(self) -> None:
        """Take the address, so that a mistake shows before anything else begins.

        Raises:
            ListenError: it cannot be had.
        """
        host, _, port = self._listen.rpartition(":")
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
            self._socket.listen(_BACKLOG)
        except OSError as error:
            self.release()
            raise ListenError(f"http.listen: {self._listen} cannot be listened on: {error.strerror}") from error

    def release(self) -> None:
        """Give the address back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def start(self) -> None:
        """Answer from now on."""
        assert self._socket is not None, "bound"
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[self._socket])
        self._looking_after = asyncio.create_task(self._look_after())

    async def stop(self) -> None:
        """Take no more, and let those who are there finish what they do."""
        if self._looking_after is None:
            return
        self._looking_after.cancel()
        for server in self._server.servers:
            server.close()
        state = self._server.server_state
        for connection in tuple(state.connections):
            connection.shutdown()
        if state.tasks:
            _, late = await asyncio.wait(tuple(state.tasks), timeout=STOP_WITHIN_S)
            for task in late:
                task.cancel()
        for connection in tuple(state.connections):
            connection.transport.abort()
        self.release()

    async def _look_after(self) -> None:
        """Keep the date, and end connections that do not come to the end of their request."""
        loop = asyncio.get_running_loop()
        while True:
            await self._server.on_tick(0)
            latest_s = loop.time() - self._silent_s
            connections = cast("set[GuardedProtocol]", self._server.server_state.connections)
            for connection in tuple(connections):
                since_s = connection.owes_since_s
                if since_s is not None and since_s < latest_s:
                    connection.drop("silent")
            await asyncio.sleep(min(_LOOK_EVERY_S, self._silent_s))
