"""Tells systemd how the agent is, over the socket that it names; nothing where nobody listens."""

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """The service manager's ear."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Find the socket and the watchdog's interval in the environment."""
        self._address = environment.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        #: Seconds between two signs of life, half of what the manager allows; None where it does not watch.
        self.watchdog_interval_s: float | None = None
        if (limit_us := environment.get("WATCHDOG_USEC", "")).isdigit():
            self.watchdog_interval_s = int(limit_us) / 2_000_000

    def tell(self, *states: str) -> None:
        """Send states: ``READY=1``, ``WATCHDOG=1``, ``STOPPING=1``, ``STATUS=...``."""
        if not self._address:
            return
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
            contextlib.suppress(OSError),
        ):
            sender.sendto("\n".join(states).encode(), self._address)
