"""Some rows of a fleet as requirement and rank expressions ask for them: as if there were no others."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from innkeeper_controller.expressions import Actual
from innkeeper_controller.expressions.columns import CodeArray, FloatArray
from innkeeper_controller.scheduling.columns import attributes
from innkeeper_controller.scheduling.columns.fleet import Fleet, IntArray


class SomeRows(Protocol):
    """Rows of a fleet."""

    @property
    def fleet(self) -> Fleet:
        """The fleet."""
        ...

    @property
    def at(self) -> IntArray:
        """Which of its rows."""
        ...

    def number(self, name: str) -> FloatArray:
        """Return a column of these rows."""
        ...


class SomeCoded(NamedTuple):
    """One attribute of some rows by number."""

    codes: CodeArray
    values: Sequence[Actual]


class ExpressedRows:
    """Answers for the rows by their place among those that are asked; see ``expressions.columns.AttributeColumns``."""

    __slots__ = ("_rows",)

    def __init__(self, rows: SomeRows) -> None:
        """Ask these rows."""
        self._rows = rows

    @property
    def count(self) -> int:
        """Rows."""
        return len(self._rows.at)

    def number(self, name: str) -> FloatArray | None:
        """Return an attribute that is a number everywhere and changes with the VMs; None for any other."""
        return attributes.number_column(self._rows, name)

    def coded(self, name: str) -> SomeCoded:
        """Return any other attribute."""
        known = self._rows.fleet.coded(name)
        return SomeCoded(known.codes.take(self._rows.at), known.values)

    def rows_with_vm(self, vm_id: int) -> Collection[int]:
        """Return which of the rows hold the VM."""
        rows = self._rows.fleet.rows_with_vm(vm_id)
        return [index for row in rows for index in np.flatnonzero(self._rows.at == row).tolist()]

    def vm_ids(self, row: int) -> tuple[int, ...]:
        """Return the VMs on one of the rows."""
        return self._rows.fleet.vm_ids(self._rows.at.item(row))
