"""What a simulation asks of the scheduler's core; signatures only."""

from collections.abc import Sequence
from typing import Protocol

from innkeeper_controller.scheduling.model import Demand, NoPlacement, Placement
from innkeeper_plugins.vocabulary import HostId, Value, VmId


class Move(Value):
    """A VM that a policy moves to another host."""

    vm_id: VmId
    host_id: HostId


class Placing(Protocol):
    """The scheduler's core, as a simulation needs it. Hosts are numbered from 1, in the order of the shapes."""

    def place(self, demand: Demand, *, now_s: float) -> Placement | NoPlacement:
        """Choose a host, and take the room there."""
        ...

    def end(self, vm_id: VmId, *, now_s: float) -> None:
        """Give back what the VM took; a policy may learn now how long it lived."""
        ...

    def moves(self, now_s: float) -> Sequence[Move]:
        """Return what a policy moves now that everything of this instant is placed, its own books up to date."""
        ...

    def made_room(self) -> Sequence[Move]:
        """Return what was moved, in this order, before the VM of the last ``place`` got its host."""
        ...
