"""Numbers by name and row: one numpy array whose lines are the columns of hosts."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Lines that VMs change as they come and go; first, so that they are written at once.
#: ``filled`` is the sum of both parts.
MOVING: Final = ("cpu_used", "cpu_free", "cpu_part", "memory_used", "memory_free", "memory_part", "filled", "vms")
#: Lines that hosts say, in the order in which they are written.
SAID: Final = (
    "host_id", "usable", "failures", "cluster_id", "priority",
    "cpu_total", "cpu_unit", "cpu_min", "cpu_max", "cpu_step",
    "memory_total", "memory_unit", "memory_min", "memory_max", "memory_step",
)  # fmt: skip
#: Columns that every fleet has; ``disk:NAME`` come beside them.
COLUMNS: Final = (*MOVING, *SAID, "load")
_FIRST_ROWS: Final = 64
#: What a datastore that a host does not have counts as free.
NO_ROOM: Final = -np.inf


class Table:
    """The numbers; rows beyond those in use are there for hosts to come."""

    __slots__ = ("_rooms", "cells", "index")

    def __init__(self) -> None:
        """Begin with all zero."""
        #: One line a column; there is always at least one row more than are in use.
        self.cells: FloatArray = np.zeros((len(COLUMNS), _FIRST_ROWS))
        #: ``{column: line}``
        self.index = {name: line for line, name in enumerate(COLUMNS)}
        self._rooms: dict[str, tuple[int, int]] = {}

    def copy(self) -> "Table":
        """Return one that changes by itself."""
        other = Table()
        other.cells, other.index = self.cells.copy(), dict(self.index)
        other._rooms = dict(self._rooms)
        return other

    @property
    def rows(self) -> int:
        """How many rows there is room for."""
        return len(self.cells[0])

    def grow(self) -> None:
        """Make room for twice as many rows."""
        self.cells = np.concatenate([self.cells, np.zeros_like(self.cells)], axis=1)

    def line(self, name: str) -> int:
        """Return the line of a column, which is made where there is none: one of a datastore's."""
        line = self.index.get(name)
        if line is None:
            line = self.index[name] = len(self.cells)
            self.cells = np.concatenate([self.cells, np.full((1, self.rows), empty(name))])
        return line

    def column(self, name: str, cells: FloatArray) -> FloatArray:
        """Return a column of ``cells``, which have these lines; a datastore without lines has no room anywhere.

        Raises:
            KeyError: there is no such column.
        """
        line = self.index.get(name)
        if line is not None:
            found: FloatArray = cells[line]
            return found
        if not name.startswith("disk:"):
            raise KeyError(name)
        return np.full(cells.shape[1], NO_ROOM)

    def clear(self, row: int) -> None:
        """Forget what a row says."""
        self.cells[:, row] = [empty(name) for name in self.index]

    def room_lines(self, datastore: str) -> tuple[int, int]:
        """Return the lines of what VMs take of a datastore, and of what is left of it."""
        lines = self._rooms.get(datastore)
        if lines is None:
            lines = self._rooms[datastore] = self.line(f"given:{datastore}"), self.line(f"disk:{datastore}")
        return lines


def empty(name: str) -> float:
    """Return what a column says of a host that does not say anything about it."""
    return NO_ROOM if name.startswith("disk:") else 0.0
