"""When a simulated fleet moves VMs rather than open a host: only for a record, and never more than was allowed.

It counts and decides; it moves nothing.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from innkeeper_plugins.vocabulary import Capacity

#: VMs that are moved for one that arrives, at most.
MOVES_AT_ONCE: Final = 3
#: Hosts beyond the fluid record that are opened without a second thought, as a part of it.
_SLACK: Final = 0.01
_EXACTNESS: Final = 1e-9


class _Fluid:
    """How many hosts a demand takes when it is poured into them, the largest first."""

    def __init__(self, sizes: Sequence[float]) -> None:
        self._sizes = sorted(sizes, reverse=True)
        self._sums = list(accumulate(self._sizes))

    def hosts(self, demand: float) -> float:
        full = bisect_left(self._sums, demand * (1 - _EXACTNESS))
        if full == len(self._sums):
            return float(full)
        return full + (demand - (self._sums[full - 1] if full else 0.0)) / self._sizes[full]


class Thrift:
    """Counts of a run so far."""

    def __init__(self, hosts: Sequence[Capacity], moves_per_vm: float) -> None:
        """Begin with empty hosts.

        Args:
            hosts: What each has.
            moves_per_vm: VMs that may be moved for each that was placed, on average.
        """
        self._moves_per_vm = moves_per_vm
        self._cores = _Fluid([host.cpu_cores for host in hosts])
        self._memory = _Fluid([host.memory_mib for host in hosts])
        self._cores_asked = self._memory_asked_mib = 0.0
        #: The most hosts that were in use at once, and the most that the demand would have filled.
        self._record_hosts, self._record_fluid = 0, 0.0
        self._placed = self._moved = 0

    def came(self, capacity: Capacity) -> None:
        """Count a VM that asks for room."""
        self._cores_asked += capacity.cpu_cores
        self._memory_asked_mib += capacity.memory_mib
        filled = max(self._cores.hosts(self._cores_asked), self._memory.hosts(self._memory_asked_mib))
        self._record_fluid = max(self._record_fluid, filled)

    def went(self, capacity: Capacity) -> None:
        """Count a VM that asks for nothing any more."""
        self._cores_asked -= capacity.cpu_cores
        self._memory_asked_mib -= capacity.memory_mib

    def placed(self) -> None:
        """Count a VM that got its host."""
        self._placed += 1

    def opened(self, hosts_in_use: int) -> None:
        """Note how many hosts are in use now that one more is."""
        self._record_hosts = max(self._record_hosts, hosts_in_use)

    def moved(self, moves: int) -> None:
        """Count VMs that were moved."""
        self._moved += moves

    def limit(self, hosts_in_use: int) -> int:
        """Return how many VMs may be moved rather than open a host beside those in use."""
        tolerated = math.ceil((1 + _SLACK) * self._record_fluid - _EXACTNESS)
        if hosts_in_use + 1 <= max(self._record_hosts, tolerated):
            return 0
        return max(0, min(MOVES_AT_ONCE, math.floor(self._moves_per_vm * self._placed) - self._moved))
