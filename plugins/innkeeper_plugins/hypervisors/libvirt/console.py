"""A guest's serial console: first what it printed last, from the log beside its disks, then what it prints now.

The log is there because nobody looked yet when the guest greeted; without it the console shows only what is new.
"""

import contextlib
import os
import threading
from pathlib import Path

import libvirt

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors.libvirt.failures import driver_error

#: How much of the log is shown again.
REPLAY_BYTES = 16 * 1024
READ_BYTES = 64 * 1024
#: How long a guest may take none of what is typed.
WRITE_TIMEOUT_S = 10.0
WOULD_BLOCK = -2
ENDED = libvirt.VIR_STREAM_EVENT_HANGUP | libvirt.VIR_STREAM_EVENT_ERROR


class LibvirtConsole:
    """A console that is open; used from one thread."""

    def __init__(self, connection: libvirt.virConnect, domain: libvirt.virDomain, log: Path) -> None:
        """Open it; whoever had it open loses it.

        Raises:
            libvirt.libvirtError: the guest does not run or has no console.
        """
        self._ready = threading.Event()
        self._stream: libvirt.virStream | None = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
        before_bytes = _size(log)
        domain.openConsole(None, self._stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        # From here on everything is in the stream; what came between the two looks at the log may be in both.
        self._replay, after_bytes = _tail(log)
        self._doubtful = self._replay[max(0, len(self._replay) - (after_bytes - before_bytes)) :]
        self._stream.eventAddCallback(ENDED, self._on_event, None)

    def read(self, timeout_s: float) -> bytes | None:
        """Return what the guest printed, ``b""`` where nothing came in time, None when the console has ended."""
        if self._replay:
            replay, self._replay = self._replay, b""
            return replay
        data = self._receive()
        if data == b"":
            self._await(libvirt.VIR_STREAM_EVENT_READABLE, timeout_s)
            data = self._receive()
        return data

    def write(self, data: bytes) -> None:
        """Type into the console.

        Raises:
            DriverError: the console has ended, or the guest takes nothing.
        """
        while data:
            sent = self._send(data)
            if sent != WOULD_BLOCK:
                data = data[sent:]
            elif not self._await(libvirt.VIR_STREAM_EVENT_WRITABLE, WRITE_TIMEOUT_S):
                raise DriverError("The guest takes nothing that is typed into its console", code="timeout")

    def close(self) -> None:
        """Let go of the console; twice is fine."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        for let_go in (stream.eventRemoveCallback, stream.abort):
            # A stream that has ended refuses; it is gone all the same.
            with contextlib.suppress(libvirt.libvirtError):
                let_go()

    def _receive(self) -> bytes | None:
        """Return what is there, ``b""`` where that is nothing, None when the stream has ended."""
        if self._stream is None:
            return None
        try:
            data = self._stream.recv(READ_BYTES)
        except libvirt.libvirtError:
            self.close()
            return None
        if data == WOULD_BLOCK:
            return b""
        if not data:
            self.close()
            return None
        fresh, self._doubtful = without_overlap(self._doubtful, data), b""
        return bytes(fresh)

    def _send(self, data: bytes) -> int:
        if self._stream is None:
            raise DriverError("The console has ended", code="guest_missing")
        try:
            return int(self._stream.send(data))
        except libvirt.libvirtError as error:
            raise driver_error(error, "The console has ended") from error

    def _await(self, events: int, timeout_s: float) -> bool:
        if self._stream is None:
            return False
        self._ready.clear()
        try:
            self._stream.eventUpdateCallback(events | ENDED)
        except libvirt.libvirtError:
            return True
        return self._ready.wait(timeout_s)

    def _on_event(self, stream: libvirt.virStream, _events: int, _opaque: None) -> None:
        # One event for each wait: libvirt would repeat it until somebody has read.
        with contextlib.suppress(libvirt.libvirtError):
            stream.eventUpdateCallback(0)
        self._ready.set()


def without_overlap(shown: bytes, data: bytes) -> bytes:
    """Return ``data`` without what of its beginning is the end of what has been shown already."""
    for length in range(min(len(shown), len(data)), 0, -1):
        if shown.endswith(data[:length]):
            return data[length:]
    return data


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _tail(log: Path) -> tuple[bytes, int]:
    """Return the end of the log and the size that it had."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - REPLAY_BYTES))
            return file.read(size - file.tell()), size
    except OSError:
        return b"", 0
