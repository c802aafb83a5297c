"""The serial console of a simulated guest: shows its greeting and echoes what is typed."""

import threading
from collections import deque
from collections.abc import Callable

from innkeeper_plugins.errors import DriverError

#: What nobody has read yet is kept up to this; the oldest goes first.
UNREAD_BYTES = 64 * 1024


class SimulatedConsole:
    """A console that is open; ends when its guest goes off or it is closed."""

    def __init__(self, greeting: bytes, *, closed: Callable[["SimulatedConsole"], None]) -> None:
        """Show the greeting first; ``closed`` is told when it ends."""
        self._condition = threading.Condition()
        self._unread: deque[bytes] = deque([greeting])
        self._ended = False
        self._closed = closed

    def read(self, timeout_s: float) -> bytes | None:
        """Return what the guest printed, ``b""`` where nothing came in time, None when the console has ended."""
        with self._condition:
            self._condition.wait_for(lambda: bool(self._unread) or self._ended, timeout_s)
            if self._unread:
                printed = b"".join(self._unread)
                self._unread.clear()
                return printed
            return None if self._ended else b""

    def write(self, data: bytes) -> None:
        """Type into the console, which shows it.

        Raises:
            DriverError: the console has ended.
        """
        if self._ended:
            raise DriverError("The console has ended", code="guest_missing")
        self.show(data)

    def show(self, data: bytes) -> None:
        """Print something, as the guest does."""
        with self._condition:
            self._unread.append(data)
            while sum(map(len, self._unread)) > UNREAD_BYTES and len(self._unread) > 1:
                self._unread.popleft()
            self._condition.notify_all()

    def close(self) -> None:
        """Let go of the console; twice is fine."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()
        self._closed(self)
