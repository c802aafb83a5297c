"""Tells systemd how a daemon is, over the socket that it names; nothing where nobody listens."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """The service manager's ear."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Find the socket and the watchdog's limit in the environment."""
        path = environment.get("NOTIFY_SOCKET", "")
        # An abstract socket is written with @ and has a NUL instead.
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        limit_us = environment.get("WATCHDOG_USEC", "")
        #: Seconds between two signs of life, half of what is allowed; None where nobody watches.
        self.watchdog_interval_s = int(limit_us) / 2_000_000 if limit_us.isdecimal() else None

    def tell(self, *states: str) -> None:
        """Send states: ``READY=1``, ``WATCHDOG=1``, ``STOPPING=1``, ``STATUS=...``."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            ear.sendto("\n".join(states).encode(), self._address)

    async def keep_alive(self) -> None:
        """Tell the watchdog that the loop turns, as often as it wants to hear it, until cancelled."""
        while self.watchdog_interval_s is not None:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_interval_s)
