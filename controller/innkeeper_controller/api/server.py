"""The HTTP server on the controller's own loop: uvicorn, with the limits that it lacks against slow strangers."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from innkeeper_plugins.errors import InnkeeperError

#: All headers of one request.
MAX_HEADER_BYTES: Final = 64 * 1024
#: From the connection, or the first byte of a request, to the end of its headers.
HEADERS_WITHIN_S: Final = 20.0
#: How long a connection may be kept without a request.
IDLE_S: Final = 75
#: How long connections may finish what they do when the server stops.
STOP_WITHIN_S: Final = 5
_BACKLOG: Final = 1024
_LOOK_EVERY_S: Final = 5.0


class ListenError(InnkeeperError):
    """The address cannot be listened on; the operator of the controller must act."""


class GuardedProtocol(HttpToolsProtocol):
    """A connection whose headers have a limit of size, and note since when they are awaited."""

    #: None while no headers are under way.
    headers_since_s: float | None
    _header_bytes: int

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as in the base
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.headers_since_s = self.loop.time()

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._header_bytes = 0
        if self.headers_since_s is None:
            self.headers_since_s = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Count the path."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Wait no longer."""
        self.headers_since_s = None
        super().on_headers_complete()

    def _count(self, count_bytes: int) -> None:
        self._header_bytes += count_bytes
        if self._header_bytes > MAX_HEADER_BYTES:
            self.transport.abort()


class _Server(uvicorn.Server):
    """Leaves signals to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Listens from ``start`` to ``stop``."""

    def __init__(self, app: ASGIApp, listen: str, *, max_connections: int) -> None:
        """Listen nowhere yet.

        Args:
            app: Answers.
            listen: ``address:port``; port 0 takes any free one.
            max_connections: More are told to come back.
        """
        config = uvicorn.Config(
            app,
            http=GuardedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=max_connections,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
        self._server = _Server(config)
        self._listen = listen
        self._socket: socket.socket | None = None
        self._tasks: list[asyncio.Task[None]] = []

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
        loop = asyncio.get_running_loop()
        self._server.config.load()
        self._server.lifespan = self._server.config.lifespan_class(self._server.config)
        await self._server.startup(sockets=[self._socket])
        self._tasks = [loop.create_task(self._server.main_loop()), loop.create_task(self._look_after())]

    async def stop(self) -> None:
        """Take no more, and let those who are there finish."""
        self._server.should_exit = True
        if self._tasks:
            await self._tasks[0]
            self._tasks[1].cancel()
            await self._server.shutdown(sockets=[])
        self.release()

    async def _look_after(self) -> None:
        """End the connections that do not come to the end of their headers."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            latest_s = loop.time() - HEADERS_WITHIN_S
            for connection in tuple(self._server.server_state.connections):
                since_s = getattr(connection, "headers_since_s", None)
                if since_s is not None and since_s < latest_s:
                    connection.transport.abort()
