"""What goes on for long: the controller's events, and a guest's serial console."""

import time
from collections.abc import Iterator

from innkeeper_controller.client_http import (
    BROKEN,
    RETRY_PAUSES_S,
    Json,
    Link,
    Stream,
    UnreachableError,
    parse_events,
)
from innkeeper_plugins.errors import InnkeeperError

#: The event stream sends something at least this often, or it counts as broken.
EVENTS_SILENCE_S = 90.0


class WaitTimeoutError(InnkeeperError):
    """What was waited for has not come in time; it goes on at the controller."""


class EventStream:
    """The controller's events from one on, over as many connections as it takes."""

    def __init__(self, link: Link, target: str, after: str, timeout_s: float | None) -> None:
        """Take what ``Client.events`` was asked for."""
        self._link = link
        self._target = target
        self._after = after
        self._until_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._answer: Stream | None = None
        self._pauses_s = iter(RETRY_PAUSES_S)
        self._events = self._read()

    def __iter__(self) -> Iterator[Json]:
        return self

    def __next__(self) -> Json:
        return next(self._events)

    def close(self) -> None:
        """Stop listening."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def open(self) -> None:
        """Connect; what happens from now on will be given."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self._after} if self._after else {})
        silence_s = EVENTS_SILENCE_S if self._until_s is None else min(EVENTS_SILENCE_S, self._left_s())
        try:
            self._answer = self._link.stream(self._target, headers, silence_s=silence_s)
        except BROKEN as broken:
            self._rest(broken)

    def _read(self) -> Iterator[Json]:
        while True:
            if self._answer is None:
                self.open()
                continue
            try:
                for number, _name, event in parse_events(self._lines(self._answer)):
                    self._after = number or self._after
                    self._pauses_s = iter(RETRY_PAUSES_S)
                    yield event
            except BROKEN as broken:
                self._rest(broken)
            self.close()

    def _lines(self, answer: Stream) -> Iterator[bytes]:
        for line in answer.lines():
            self._left_s()
            yield line

    def _left_s(self) -> float:
        """Return the time left, never quite zero.

        Raises:
            WaitTimeoutError: none is left.
        """
        if self._until_s is None:
            return EVENTS_SILENCE_S
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise WaitTimeoutError("Nothing of that kind has happened in time.")
        return left_s

    def _rest(self, broken: Exception) -> None:
        """Wait before the next connection.

        Raises:
            UnreachableError: that was the last.
            WaitTimeoutError: no time is left.
        """
        self._left_s()
        pause_s = next(self._pauses_s, None)
        if pause_s is None:
            raise UnreachableError(f"The events of {self._link.endpoint} ended: {broken}.") from broken
        time.sleep(pause_s)


class ConsoleStream:
    """An open serial console."""

    def __init__(self, link: Link, vm_id: int, stream: Stream) -> None:
        """Take over a stream that ``Client.console`` opened."""
        self._stream = stream
        self._link = link
        self._input = f"/v1/vms/{vm_id}/console/{stream.header('X-Console-Stream')}/input"

    def read(self) -> bytes:
        """Return what the guest printed as soon as it prints something; empty when the console has ended."""
        try:
            return self._stream.read()
        except BROKEN:
            # A console that breaks has ended.
            return b""

    def write(self, data: bytes) -> None:
        """Type into the console.

        Raises:
            RefusedError: it has ended.
            UnreachableError: there was no answer.
        """
        self._link.request("POST", self._input, body=data)

    def close(self) -> None:
        """Let go of the console; the guest runs on."""
        self._stream.close()
