"""A fleet as requirement and rank expressions ask for it."""

from collections.abc import Collection

from innkeeper_controller.expressions.columns import Coded, FloatArray
from innkeeper_controller.scheduling import attributes
from innkeeper_controller.scheduling.fleet import Fleet


class ExpressedFleet:
    """Answers for all rows; see ``expressions.columns.AttributeColumns``."""

    __slots__ = ("_fleet",)

    def __init__(self, fleet: Fleet) -> None:
        """Ask this fleet."""
        self._fleet = fleet

    @property
    def count(self) -> int:
        """Rows."""
        return self._fleet.count

    def number(self, name: str) -> FloatArray | None:
        """Return an attribute that is a number everywhere and changes with the VMs; None for any other."""
        return attributes.number_column(self._fleet, name)

    def coded(self, name: str) -> Coded | None:
        """Return any other attribute."""
        return self._fleet.coded(name)

    def rows_with_vm(self, vm_id: int) -> Collection[int]:
        """Return the rows that hold the VM."""
        return self._fleet.rows_with_vm(vm_id)

    def vm_ids(self, row: int) -> tuple[int, ...]:
        """Return the VMs on a row."""
        return self._fleet.vm_ids(row)
