"""What clauses and scores see of a fleet: some of its rows, or one of them."""

from collections.abc import Callable, Hashable, Iterable

import numpy as np

from innkeeper_controller.expressions import Actual, CompiledRank, CompiledRequirement
from innkeeper_controller.expressions.columns import CodeArray
from innkeeper_controller.scheduling.columns.expressed import ExpressedRows
from innkeeper_controller.scheduling.columns.fleet import BoolArray, Fleet, FloatArray, IntArray
from innkeeper_controller.scheduling.model import HostView


class Rows:
    """Some rows of a fleet."""

    __slots__ = ("at", "fleet")

    def __init__(self, fleet: Fleet, at: IntArray) -> None:
        """Look at the rows ``at``."""
        self.fleet = fleet
        self.at = at

    def number(self, name: str) -> FloatArray:
        """Return a column: ``cpu_free``, ``memory_part``, ``disk:default``; see ``table.COLUMNS``."""
        return self.fleet.number(name).take(self.at)

    def each(self, key: Hashable, holds: Callable[[HostView], bool]) -> BoolArray:
        """Return what ``holds`` says of each host, remembered under the key; see ``Fleet.each``."""
        return self.fleet.each(key, holds).take(self.at)

    def having(self, digest: str) -> BoolArray:
        """Return which hosts have an image."""
        return self.fleet.having(digest).take(self.at)

    def among(self, rows: Iterable[IntArray]) -> BoolArray:
        """Return which of these rows are in any of the arrays."""
        found = list(rows)
        if not found:
            return np.zeros(len(self.at), dtype=np.bool_)
        those = found[0] if len(found) == 1 else np.concatenate(found)
        marks = self.fleet.marks()
        marks[those] = True
        mask = marks.take(self.at)
        marks[those] = False
        return mask

    def places(self, scope: str) -> CodeArray:
        """Return the number of each host's place in the scope; -1 for hosts without the label."""
        return self.fleet.places(scope).codes.take(self.at)

    def meeting(self, requirement: CompiledRequirement) -> BoolArray:
        """Return which hosts meet a requirement."""
        return requirement.mask(ExpressedRows(self))

    def ranked(self, rank: CompiledRank) -> FloatArray:
        """Return what a rank gives each host."""
        return rank.vector(ExpressedRows(self))


class Window(Rows):
    """Rows whose numbers lie side by side somewhere, so that columns of them need not be gathered."""

    __slots__ = ("_cells",)

    def __init__(self, fleet: Fleet, at: IntArray, cells: FloatArray) -> None:
        """See ``cells``, one line for each column of the fleet, of the rows ``at``."""
        self.fleet = fleet
        self.at = at
        self._cells = cells

    def number(self, name: str) -> FloatArray:
        """Return a column of these rows."""
        return self.fleet.table.column(name, self._cells)


class OneHost:
    """One row of a fleet, for words about it."""

    __slots__ = ("fleet", "row", "view")

    def __init__(self, fleet: Fleet, row: int, view: HostView) -> None:
        """Look at one row and its host."""
        self.fleet = fleet
        self.row = row
        self.view = view

    def number(self, name: str) -> float:
        """Return what a column says of the host."""
        return self.fleet.number(name).item(self.row)

    @property
    def attributes(self) -> dict[str, Actual]:
        """All that expressions may ask of it."""
        return self.fleet.attributes_of(self.row)


def one_host(fleet: Fleet, row: int) -> OneHost:
    """Return the host of a row that has one."""
    view = fleet.views[row]
    assert view is not None, "the row has a host"
    return OneHost(fleet, row, view)


def all_rows(fleet: Fleet) -> Rows:
    """Return all rows, also those whose host is gone: no clause lets a VM there."""
    return Window(fleet, np.arange(fleet.count), fleet.table.cells[:, : fleet.count])


def one_row(fleet: Fleet, row: int) -> Rows:
    """Return a row, for clauses and scores."""
    return Window(fleet, np.array([row]), fleet.table.cells[:, row : row + 1])
