"""One connection to libvirt that comes back by itself after its daemon was killed.

libvirt's event loop runs in a thread of its own and has to be registered before anything is opened: without it
streams have nothing to say and a daemon's death goes unnoticed.
An embedded hypervisor lives in this process, and libvirt allows one root directory in a process, for its whole life.
Its guests are processes of their own: they go on when this process ends, and whoever opens the same root finds them.
"""

import contextlib
import threading
from collections.abc import Callable
from functools import cache

import libvirt

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors.libvirt import embed
from innkeeper_plugins.hypervisors.libvirt.failures import reported
from innkeeper_plugins.hypervisors.libvirt.options import embed_root

KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_COUNT = 3


@cache
def start_event_loop() -> threading.Thread:
    """Run libvirt's event loop in a daemon thread; once in a process, whoever asks."""
    # libvirt would print every error on standard error; the exceptions say it all.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    libvirt.virEventRegisterDefaultImpl()
    thread = threading.Thread(target=_run_events, name="libvirt-events", daemon=True)
    thread.start()
    return thread


def _run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


@cache
def _embedded(uri: str) -> libvirt.virConnect:
    """Open an embedded hypervisor, once for the life of this process.

    Each opening takes one of libvirt's places for drivers, which are some twenty, and closing does not give it back.
    """
    root = embed_root(uri)
    assert root is not None, uri
    embed.prepare(root)
    return libvirt.open(uri)


class Connection:
    """Opens when it is first needed, and again when the daemon went away."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._embedded = embed_root(uri) is not None
        self._lock = threading.Lock()
        self._open: libvirt.virConnect | None = None
        self._closed = False
        self._opened: list[Callable[[libvirt.virConnect], None]] = []
        self._lost: list[Callable[[], None]] = []

    def on_open(self, opened: Callable[[libvirt.virConnect], None]) -> None:
        """Have ``opened`` called with every connection before anybody else uses it."""
        self._opened.append(opened)

    def on_lost(self, lost: Callable[[], None]) -> None:
        """Have ``lost`` called, in libvirt's event thread, when the daemon goes away."""
        self._lost.append(lost)

    def get(self) -> libvirt.virConnect:
        """Return the connection, opened if need be.

        Raises:
            DriverError: libvirt cannot be reached, or the driver has been closed.
        """
        with self._lock:
            if self._closed:
                raise DriverError("The libvirt driver has been closed", code="refused")
            if self._open is None or not _alive(self._open):
                self._drop()
                self._open = self._connect()
            return self._open

    def close(self) -> None:
        """Let go of the connection for good; guests run on."""
        with self._lock:
            self._closed = True
            self._drop()

    def _connect(self) -> libvirt.virConnect:
        start_event_loop()
        hint = "does another agent use that directory" if self._embedded else "is libvirtd running"
        with reported(f"libvirt cannot be reached at {self._uri}; {hint}?"):
            connection = self._embedded_or_remote()
            for opened in self._opened:
                opened(connection)
        return connection

    def _embedded_or_remote(self) -> libvirt.virConnect:
        if self._embedded:
            return _embedded(self._uri)
        connection = libvirt.open(self._uri)
        with contextlib.suppress(libvirt.libvirtError):
            # Connections within the process have nobody to keep alive and say so.
            connection.setKeepAlive(KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT)
        connection.registerCloseCallback(self._on_close, None)
        return connection

    def _on_close(self, _connection: libvirt.virConnect, _reason: int, _opaque: None) -> None:
        for lost in self._lost:
            lost()

    def _drop(self) -> None:
        connection, self._open = self._open, None
        if connection is None or self._embedded:
            return
        with contextlib.suppress(libvirt.libvirtError):
            # A connection that nobody else refers to is gone after this; a dead one refuses, and is gone as well.
            connection.unregisterCloseCallback()
        with contextlib.suppress(libvirt.libvirtError):
            connection.close()


def _alive(connection: libvirt.virConnect) -> bool:
    try:
        return bool(connection.isAlive() == 1)
    except libvirt.libvirtError:
        return False
