"""The attributes of many hosts as columns, one row a host: what masks and rank vectors are made from.

Who has hosts implements it; nothing here knows of hosts, or of expressions.
"""

from collections.abc import Collection, Sequence
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from innkeeper_controller.expressions.meaning import Actual

_T = TypeVar("_T", bound=np.generic)
BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float64]
CodeArray: TypeAlias = npt.NDArray[np.int32]
IndexArray: TypeAlias = npt.NDArray[np.integer]
#: Rows that are asked: their numbers from 0 in any order, or a slice; None for all.
At: TypeAlias = IndexArray | slice | None


class Coded(Protocol):
    """One attribute of all hosts by number: row ``r`` says ``values[codes[r]]``."""

    @property
    def codes(self) -> CodeArray:
        """One number a row, -1 where the host lacks the attribute."""
        ...

    @property
    def values(self) -> Sequence[Actual]:
        """What hosts say, each once; never changed once it was given: other values are another sequence.

        ``1``, ``1.0`` and ``True`` are three values, since texts tell them apart.
        """
        ...


class AttributeColumns(Protocol):
    """The attributes of all hosts."""

    @property
    def count(self) -> int:
        """Rows."""
        ...

    def number(self, name: str) -> FloatArray | None:
        """Return an attribute of ``names.DYNAMIC``, which every host has as a number; None where it is none such.

        What a float cannot hold stands as NaN, and a whole number from 10**15 on as the float next to it.
        """
        ...

    def coded(self, name: str) -> Coded | None:
        """Return any other attribute but ``CURRENT_VMS``; None where no host has it."""
        ...

    def rows_with_vm(self, vm_id: int) -> Collection[int]:
        """Return the rows that a VM is on, each once; none for a VM that is nowhere."""
        ...

    def vm_ids(self, row: int) -> tuple[int, ...]:
        """Return the VMs on a row."""
        ...


def count_of(columns: AttributeColumns, at: At) -> int:
    """Return how many rows are asked."""
    if at is None:
        return columns.count
    return len(range(columns.count)[at]) if isinstance(at, slice) else len(at)


def rows_of(columns: AttributeColumns, at: At) -> Sequence[int]:
    """Return the rows that are asked, in their order."""
    rows = range(columns.count)
    if at is None:
        return rows
    return rows[at] if isinstance(at, slice) else at.tolist()


def part_of(column: npt.NDArray[_T], at: At) -> npt.NDArray[_T]:
    """Return the rows of a column that are asked; not always a copy."""
    if at is None:
        return column
    return column[at] if isinstance(at, slice) else column.take(at)
