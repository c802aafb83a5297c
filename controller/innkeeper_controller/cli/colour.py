"""Colour for terminals: none anywhere else, and none where NO_COLOR is set."""

import os
from typing import TextIO

_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}

#: ``{state as it is shown: colour}``, for VMs, hosts, images and operations.
OF_STATE = {
    "RUNNING": "green",
    "FAILED": "red",
    "UNKNOWN": "red",
    "PENDING": "yellow",
    "HOLD": "yellow",
    "on": "green",
    "ready": "green",
    "done": "green",
    "lost": "red",
    "error": "red",
    "failed": "red",
    "draining": "yellow",
    "disabled": "yellow",
    "joining": "yellow",
    "locked": "yellow",
    "cancelled": "yellow",
}


def wanted(stream: TextIO) -> bool:
    """Return True where the stream shows colours and nobody minds."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str | None, *, on: bool) -> str:
    """Return the text in a colour; as it is where ``on`` is false or there is no colour."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if on and colour else text
