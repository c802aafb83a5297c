"""Waits until something has come true: by looking, or by the events that ``inn events --follow`` tells."""

import json
import os
import select
import time
from collections.abc import Callable, Iterator
from typing import Any

from machines import Program

#: An emulated guest on a busy machine takes its time.
PATIENCE_S = 150
PAUSE_S = 0.2


def eventually(seen: Callable[[], Any], wanted: str, *, timeout_s: float = PATIENCE_S) -> Any:
    """Look again and again until there is something to see, and return it.

    Raises:
        AssertionError: it never came.
    """
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if found := seen():
            return found
        time.sleep(PAUSE_S)
    raise AssertionError(f"{wanted} did not come in {timeout_s} s")


class Events:
    """The lines of a running ``inn events --follow -o json``, read as they come."""

    def __init__(self, program: Program, output: int) -> None:
        """Take the program and the descriptor that it prints into."""
        self._program = program
        self._output = output
        self._text = b""

    def begin(self) -> None:
        """Return once what happened before is told: nothing that happens from now on can be missed.

        Raises:
            AssertionError: nothing was told.
        """
        assert next(self._told(), None), "nothing was told"

    def until(self, what: str, **detail: object) -> dict[str, Any]:
        """Return the next event of that name with these details, as soon as it is told.

        Raises:
            AssertionError: it never came.
        """
        seen = []
        for event in self._told():
            if event["what"] == what and detail.items() <= event.get("detail", {}).items():
                return event
            seen.append((event["seq"], event["what"], event.get("detail")))
        raise AssertionError(f"no event {what} {detail} was told, but {seen}")

    def _told(self) -> Iterator[dict[str, Any]]:
        deadline_s = time.monotonic() + PATIENCE_S
        while (left_s := deadline_s - time.monotonic()) > 0:
            line, end, rest = self._text.partition(b"\n")
            if end:
                self._text = rest
                yield dict(json.loads(line))
            elif not select.select([self._output], [], [], left_s)[0] or not self._read():
                return

    def _read(self) -> bool:
        chunk = os.read(self._output, 65536)
        self._text += chunk
        return bool(chunk)

    def close(self) -> None:
        """Follow no longer."""
        self._program.kill()
        os.close(self._output)
