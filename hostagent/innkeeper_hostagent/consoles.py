"""Open consoles of guests: a thread each, since a driver's console is read and written by one thread.

What a guest prints while nobody takes it is not kept for ever: the newest is worth more.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from innkeeper_hostagent.lanes import tell
from innkeeper_hostagent.protocol.messages import ConsoleOutput
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import Console

#: How long a keystroke may wait for the thread to look at it.
_READ_S: Final = 0.05
#: Most bytes in one message.
MAX_CHUNK_BYTES: Final = 64 * 1024
#: Messages of one console under way to the loop.
_MAX_UNDER_WAY: Final = 16
#: Keystrokes that wait for the guest; a flood beyond is dropped.
_MAX_WAITING_INPUTS: Final = 1024


class _Stream:
    """One open console; ``run`` is its thread."""

    def __init__(self, stream_id: int, tell: Callable[[ConsoleOutput], None]) -> None:
        self.stream_id = stream_id
        self.inputs: deque[bytes] = deque(maxlen=_MAX_WAITING_INPUTS)
        self.room = threading.Semaphore(_MAX_UNDER_WAY)
        self.closing = False
        self._tell = tell

    def run(self, open_console: Callable[[], Console]) -> None:
        reason = "closed"
        try:
            console = open_console()
            try:
                reason = self._carry(console)
            finally:
                console.close()
        except DriverError as error:
            reason = str(error)
        self._tell(ConsoleOutput(stream_id=self.stream_id, ended=True, reason=reason))

    def _carry(self, console: Console) -> str:
        while not self.closing:
            data = console.read(_READ_S)
            if data is None:
                return "the console has ended"
            for start in range(0, len(data), MAX_CHUNK_BYTES):
                self._say(data[start : start + MAX_CHUNK_BYTES])
            while self.inputs:
                console.write(self.inputs.popleft())
        return "closed"

    def _say(self, data: bytes) -> None:
        while not self.room.acquire(timeout=_READ_S):
            if self.closing:
                return
        self._tell(ConsoleOutput(stream_id=self.stream_id, data=data))


class Consoles:
    """All open consoles of the host; every method has to be called on the loop's thread."""

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop, send: Callable[[ConsoleOutput], None], max_open: int
    ) -> None:
        """Open none yet."""
        self._loop = loop
        self._send = send
        self._max_open = max_open
        self._streams: dict[int, _Stream] = {}

    def open(self, stream_id: int, open_console: Callable[[], Console]) -> None:
        """Open one; ``open_console`` is called in the console's thread."""
        if stream_id in self._streams:
            return
        if len(self._streams) >= self._max_open:
            self.refuse(stream_id, f"{self._max_open} consoles are open on this host, as many as it allows")
            return
        stream = _Stream(stream_id, self._tell_elsewhere)
        self._streams[stream_id] = stream
        name = f"console-{stream_id}"
        threading.Thread(target=stream.run, args=(open_console,), name=name, daemon=True).start()

    def refuse(self, stream_id: int, reason: str) -> None:
        """Say that there is no such console."""
        self._send(ConsoleOutput(stream_id=stream_id, ended=True, reason=reason))

    def type(self, stream_id: int, data: bytes) -> None:
        """Type into one; nothing where it has ended."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.inputs.append(data)

    def close(self, stream_id: int) -> None:
        """Close one; its last message says so."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.closing = True

    def close_all(self) -> None:
        """Close every one: nobody is there to look at them."""
        for stream in self._streams.values():
            stream.closing = True

    def _tell_elsewhere(self, output: ConsoleOutput) -> None:
        tell(self._loop, self._tell, output)

    def _tell(self, output: ConsoleOutput) -> None:
        stream = self._streams.get(output.stream_id)
        if stream is None:
            return
        stream.room.release()
        if output.ended:
            del self._streams[output.stream_id]
        self._send(output)
