"""Lifecycle and device events: wakes whoever waits for a guest, and tells a watcher what has become of it.

Events only say that something happened; what is true is asked afterwards, outside libvirt's event thread,
so that lost, late and doubled events do no harm.
"""

import contextlib
import threading
from collections.abc import Callable

import libvirt

from innkeeper_plugins.errors import DriverError

#: How long to wait before trying again to reach a daemon that went away.
RECONNECT_INTERVAL_S = 1.0


class LifecycleEvents:
    """Counts the events of a connection and remembers whose they were."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0
        self._names: set[str] = set()
        #: True when events may have been missed, so that every guest has to be looked at.
        self._missed = False
        self._lost = False
        self._closed = False
        #: The connection that is listened on, and libvirt's numbers for that.
        self._registered: tuple[libvirt.virConnect, tuple[int, ...]] | None = None

    def attach(self, connection: libvirt.virConnect) -> None:
        """Listen on a connection that has just been opened."""
        numbers = (
            connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_event, None),
            connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, self._on_device, None),
        )
        with self._condition:
            self._registered = (connection, numbers)
            self._missed = True
            self._wake()

    def lost(self) -> None:
        """Note that the daemon went away."""
        with self._condition:
            self._lost = True
            self._wake()

    def close(self) -> None:
        """Listen no more, and let everybody who waits go."""
        with self._condition:
            self._closed = True
            registered, self._registered = self._registered, None
            self._wake()
        if registered is not None:
            connection, numbers = registered
            with contextlib.suppress(libvirt.libvirtError):
                # A connection whose daemon has gone refuses, and is gone as well.
                for number in numbers:
                    connection.domainEventDeregisterAny(number)

    @property
    def count(self) -> int:
        """How many events there have been."""
        return self._count

    def wait(self, count: int, timeout_s: float) -> None:
        """Wait until there have been more than ``count`` events, or the time is over."""
        with self._condition:
            self._condition.wait_for(lambda: self._count > count, timeout_s)

    def watch(
        self, *, reconnect: Callable[[], object], observe: Callable[[str], None], observe_all: Callable[[], None]
    ) -> None:
        """Call the observers of what has changed until ``close``; a lost connection is opened again.

        Args:
            reconnect: Opens the connection; raises ``DriverError`` while that is not possible.
            observe: Looks at the guest of that name.
            observe_all: Looks at every guest.
        """
        while not self._closed:
            try:
                if self._lost:
                    self._lost, self._missed = False, True
                    reconnect()
                names, missed = self._take()
                if missed:
                    observe_all()
                for name in names:
                    observe(name)
            except DriverError:
                # The daemon is away, maybe in the middle of an answer: everything is looked at once it is back.
                with self._condition:
                    self._lost = True
                    self._condition.wait_for(lambda: self._closed, RECONNECT_INTERVAL_S)

    def _take(self) -> tuple[list[str], bool]:
        with self._condition:
            self._condition.wait_for(lambda: bool(self._names or self._missed or self._lost or self._closed))
            names, missed = sorted(self._names), self._missed
            self._names, self._missed = set(), False
            return names, missed

    def _on_event(
        self, _connection: libvirt.virConnect, domain: libvirt.virDomain, _event: int, _detail: int, _opaque: None
    ) -> None:
        with self._condition:
            self._names.add(domain.name())
            self._wake()

    def _on_device(
        self, _connection: libvirt.virConnect, _domain: libvirt.virDomain, _alias: str, _opaque: None
    ) -> None:
        with self._condition:
            self._wake()

    def _wake(self) -> None:
        self._count += 1
        self._condition.notify_all()
