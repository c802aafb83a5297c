"""What changed, in order, for those who follow: each remembers how much it has seen, and asks for the rest.

It forgets what is old: who is too far behind begins anew.
"""

from typing import Final

#: Changes that are remembered.
MAX_CHANGES: Final = 65_536


class Changes:
    """Rows that changed, the latest last; a row stands there as often as it changed."""

    __slots__ = ("_before", "_rows")

    def __init__(self) -> None:
        """Begin without any."""
        self._rows: list[int] = []
        self._before = 0

    @property
    def seen(self) -> int:
        """How many there were, for ``since``."""
        return self._before + len(self._rows)

    def note(self, row: int) -> None:
        """Remember a change."""
        self._rows.append(row)
        if len(self._rows) > MAX_CHANGES:
            self.forget()

    def forget(self) -> None:
        """Let all who have not seen everything begin anew."""
        self._before += len(self._rows) + 1
        self._rows.clear()

    def since(self, seen: int) -> list[int] | None:
        """Return the rows that changed since; None where they are no longer known."""
        begin = seen - self._before
        return self._rows[begin:] if begin >= 0 else None
