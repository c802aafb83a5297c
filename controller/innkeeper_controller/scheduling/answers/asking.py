"""What all clauses say of all hosts about one VM: each clause asked once, nothing told in words yet.

It chooses nothing; ``verdicts`` and ``remedies`` tell what was found here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.clauses import Clause
from innkeeper_controller.scheduling.columns.fleet import BoolArray, Fleet, FloatArray, IntArray
from innkeeper_controller.scheduling.columns.hosts import Rows
from innkeeper_controller.scheduling.model import Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which clauses keep a VM from which hosts; arrays have one element a host, in the order of ``at``."""

    demand: Demand
    search: Search
    #: Rows of the fleet that have a host.
    at: IntArray
    #: ``(clause, where it fails)`` of those that fail anywhere; slow ones were asked only where nothing else fails.
    failing: tuple[tuple[Clause, BoolArray], ...]
    #: How many of them fail on each host.
    numbers: IntArray
    #: Clauses too slow to be asked of hosts that others keep the VM from.
    slow: tuple[Clause, ...]

    @property
    def counts(self) -> dict[str, int]:
        """``{clause: hosts that fail it}``, the one that most fail first; a slow one counts where it alone fails."""
        masks: dict[str, BoolArray] = {}
        for clause, fails in self.failing:
            masks[clause.name] = masks[clause.name] | fails if clause.name in masks else fails
        counts = {name: int(np.count_nonzero(fails)) for name, fails in masks.items()}
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    @property
    def host_ids(self) -> FloatArray:
        """The numbers of the hosts."""
        return self.search.fleet.number("host_id")[self.at]

    def nearest(self) -> IntArray:
        """Return indexes of hosts that the VM does not fit on: fewest obstacles first, then least that is lacking."""
        where = np.flatnonzero(self.numbers)
        return where[np.lexsort((self.host_ids[where], self._lacking(where), self.numbers[where]))]

    def _lacking(self, where: IntArray) -> FloatArray:
        """Return how much is lacking of hosts in all."""
        lacking = np.zeros(len(where))
        hosts = Rows(self.search.fleet, self.at[where])
        for clause, fails in self.failing:
            here, measure = fails[where], SHORTFALLS.get(clause.name)
            lacking += here if measure is None else np.where(here, measure(self.demand, hosts), 0.0)
        return np.round(lacking, _DIGITS)

    def nearest_one(self) -> int | None:
        """Return the index of the first of them without ordering the others; None where the VM fits or no host is."""
        if not len(self.numbers) or not self.numbers.all():
            return None
        where = np.flatnonzero(self.numbers == self.numbers.min())
        lacking = self._lacking(where)
        where = where[lacking == lacking.min()]
        return int(where[self.host_ids[where].argmin()])

    def only(self, names: frozenset[str]) -> BoolArray:
        """Return the hosts from which clauses of these names keep the VM, and no others."""
        mask = self.numbers > 0
        for clause, fails in self.failing:
            if clause.name not in names:
                mask &= ~fails
        return mask


def ask(demand: Demand, search: Search) -> Asked:
    """Ask every clause that concerns a VM of every host, the slow ones of those that nothing else rules out."""
    fleet = search.fleet
    at = present_rows(fleet)
    hosts = Rows(fleet, at)
    mine = [clause for clause in search.clauses if clause.concerns(demand, fleet)]
    slow = tuple(clause for clause in mine if clause.is_slow)
    numbers = np.zeros(len(at), dtype=np.int64)
    failing = []
    for clause in mine:
        if not clause.is_slow:
            fails = ~clause.holds(demand, hosts)
            if fails.any():
                failing.append((clause, fails))
                numbers += fails
    left = np.flatnonzero(numbers == 0)
    for clause in slow if len(left) else ():
        fails = np.zeros(len(at), dtype=np.bool_)
        fails[left] = ~clause.holds(demand, Rows(fleet, at[left]))
        if fails.any():
            failing.append((clause, fails))
            numbers += fails
    return Asked(demand=demand, search=search, at=at, failing=tuple(failing), numbers=numbers, slow=slow)


def present_rows(fleet: Fleet) -> IntArray:
    """Return the rows that have a host."""
    if len(fleet.row_of) == fleet.count:
        return np.arange(fleet.count)
    return np.fromiter(fleet, dtype=np.int64, count=len(fleet.row_of))


def _lacks(name: str, needed: float, hosts: Rows) -> FloatArray:
    free = np.maximum(0.0, hosts.number(name))
    return (needed - free) / needed if needed > 0 else np.zeros(len(hosts.at))


def _lacks_memory(demand: Demand, hosts: Rows) -> FloatArray:
    return _lacks("memory_free", demand.capacity.memory_mib, hosts)


def _lacks_cpu(demand: Demand, hosts: Rows) -> FloatArray:
    return _lacks("cpu_free", demand.capacity.cpu_cores, hosts)


def _lacks_disk(demand: Demand, hosts: Rows) -> FloatArray:
    found = np.zeros(len(hosts.at))
    for name, needed in demand.datastores.items():
        found = np.maximum(found, _lacks(f"disk:{name}", needed, hosts))
    return found


#: Clauses of which one can say how far off a host is, 0 to 1; of others it is 1.
SHORTFALLS: Final[dict[str, Callable[[Demand, Rows], FloatArray]]] = {
    "memory": _lacks_memory,
    "cpu": _lacks_cpu,
    "disk": _lacks_disk,
}
#: Sums of parts are the same whatever they were summed with, to so many digits.
_DIGITS: Final = 9
