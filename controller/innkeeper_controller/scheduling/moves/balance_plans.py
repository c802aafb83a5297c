"""What rebalancing works with and comes to: goals, limits and plans; values, and who counts against the limits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.columns.fleet import IntArray
from innkeeper_controller.scheduling.model import Load
from innkeeper_controller.scheduling.moves.making_room import Trial
from innkeeper_controller.scheduling.moves.tenants import DemandOf, LoadsOn
from innkeeper_plugins.vocabulary import HostId, Value, VmId

#: A move that gains less is none.
LEAST_GAIN: Final = 1e-6
#: Digits after the point that gains and measures are told with.
DIGITS: Final = 6


class Goal(StrEnum):
    """What moves are good for."""

    #: Hosts are used alike.
    EVEN = "even"
    #: As few hosts as possible are used.
    CONSOLIDATE = "consolidate"
    #: VMs are near and far from each other as they ask to be.
    AFFINITY = "affinity"


class Limits(Value):
    """How much a plan may do, and what it has to be good for."""

    max_moves: int = 100
    #: Moves to and from one host; 0 for any number.
    max_per_host: int = 0
    #: ``{host: moves of it that count already}``
    spent: Mapping[HostId, int] = {}
    #: A plan that gains less has no moves.
    minimum_gain: float = 0.0


class PlannedMove(Value):
    """One VM that goes elsewhere."""

    vm_id: VmId
    source_id: HostId
    target_id: HostId
    #: A clause of a sentence.
    reason: str
    #: What it takes off the measure; those that free a host together share what that takes off.
    gain: float


class BalancePlan(Value):
    """Moves, to be made in this order: each holds by itself once those before it are made."""

    goal: Goal
    #: How bad things are, 0 to 1, before and after; what of, ``balancing.MEASURES`` says.
    before: float
    after: float
    #: ``Fleet.version()`` of the state that it was made of.
    version: str
    moves: tuple[PlannedMove, ...] = ()

    @property
    def gain(self) -> float:
        """What the whole plan is good for."""
        return self.before - self.after


@dataclass(slots=True)
class Work:
    """A plan in the making."""

    search: Search
    #: VMs that may be moved, by host.
    loads_on: LoadsOn
    demand_of: DemandOf
    limits: Limits
    trial: Trial
    moves: list[PlannedMove] = field(default_factory=list)
    _spent: Counter[HostId] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Count what counted before."""
        self._spent.update(self.limits.spent)

    @property
    def moves_left(self) -> int:
        """How many more moves the plan may have."""
        return self.limits.max_moves - len(self.moves)

    def left_of(self, row: int) -> int:
        """Return how many more moves a host may have."""
        return max(0, self.limits.max_per_host - self._spent[self.host_id(row)]) if self.limits.max_per_host else 2**31

    def with_moves_left(self, rows: IntArray) -> IntArray:
        """Return those of the rows that may have one more move."""
        if not self.limits.max_per_host:
            return rows
        return rows[np.array([self.left_of(row) > 0 for row in rows.tolist()], dtype=np.bool_)]

    def host_id(self, row: int) -> HostId:
        """Return the number of a row's host."""
        view = self.search.fleet.views[row]
        assert view is not None, "the row has a host"
        return view.host_id

    def loads(self, row: int) -> list[Load]:
        """Return the VMs on a row that may be moved, in order."""
        return sorted(self.loads_on(self.host_id(row)), key=lambda load: load.vm_id)

    def keep(self, reason: str, gain: float) -> None:
        """Keep the moves that were tried since the last ones were kept; they share the gain."""
        new = self.trial.moves[len(self.moves) :]
        for move in new:
            self.moves.append(
                PlannedMove(
                    vm_id=move.vm_id,
                    source_id=move.source_id,
                    target_id=move.target_id,
                    reason=reason,
                    gain=round(gain / len(new), DIGITS),
                )
            )
            self._spent.update((move.source_id, move.target_id))

    def give_up(self) -> None:
        """Take back the moves that were tried since the last ones were kept."""
        self.trial.take_back(len(self.moves))

    @property
    def moved(self) -> frozenset[VmId]:
        """VMs that the plan moves; none of them twice."""
        return frozenset(move.vm_id for move in self.moves)


def usable_rows(search: Search) -> IntArray:
    """Return the rows of hosts that take VMs."""
    return np.flatnonzero(search.fleet.number("usable") > 0)


def largest_first(search: Search, row: int, loads: Sequence[Load]) -> list[Load]:
    """Return VMs by the part of their host that they take, the largest first."""
    cpu, memory = (search.fleet.number(name).item(row) for name in ("cpu_unit", "memory_unit"))

    def size(load: Load) -> tuple[float, VmId]:
        return -(load.capacity.cpu_cores * cpu + load.capacity.memory_mib * memory), load.vm_id

    return sorted(loads, key=size)
