"""The VMs of each host by their size, for those who look for some to be moved; it follows the fleet, and moves none."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from innkeeper_controller.scheduling.columns.fleet import Fleet, FloatArray, IntArray
from innkeeper_controller.scheduling.model import Demand, Load
from innkeeper_plugins.vocabulary import HostId, VmId

#: Gives the VMs on a host that may be moved.
LoadsOn: TypeAlias = Callable[[HostId], Iterable[Load]]
#: Gives what such a VM asks of a host.
DemandOf: TypeAlias = Callable[[VmId], Demand]

_NONE: Final[IntArray] = np.zeros(0, dtype=np.int64)


def is_bound(load: Load) -> bool:
    """Say whether a VM holds nodes or devices of its host: such a one is moved by people only."""
    return bool(load.numa_cells or load.pci_addresses or load.numa is not None)


@dataclass(frozen=True, slots=True)
class _Here:
    """One host's VMs: which sizes there are, and who has them, the oldest first."""

    sizes: IntArray
    counts: IntArray
    by_size: dict[int, list[Load]]


@dataclass(frozen=True, slots=True)
class Entries:
    """VMs of one size on one host, an entry each, hosts one after the other; arrays have one element an entry."""

    #: Which of the rows asked for.
    host: IntArray
    size: IntArray
    counts: IntArray
    #: Where the entries of each row that has any begin.
    starts: IntArray

    def between(self, begin: int, end: int) -> "Entries":
        """Return some that are all of one host."""
        zeros = np.zeros(end - begin, dtype=np.int64)
        return Entries(zeros, self.size[begin:end], self.counts[begin:end], zeros[:1])


class Tenants:
    """Who is on which row; asks again only for rows that changed."""

    def __init__(self, fleet: Fleet, loads_on: LoadsOn) -> None:
        """Look at this fleet.

        Args:
            fleet: The hosts.
            loads_on: Gives the VMs on a host that may be moved, no others.
        """
        self.fleet = fleet
        self._loads_on = loads_on
        self._here: dict[int, _Here] = {}
        self._seen = fleet.changes.seen
        self._size_of: dict[tuple[float, int], int] = {}
        self._needs: list[tuple[float, int]] = []

    @property
    def needs(self) -> FloatArray:
        """Cores and MiB of each size."""
        return np.array(self._needs, dtype=np.float64).reshape(-1, 2)

    def entries(self, rows: IntArray) -> Entries:
        """Return all entries of these rows."""
        self._follow()
        here = [self._on(row) for row in rows.tolist()]
        counts = [len(each.sizes) for each in here]
        host = np.repeat(np.arange(len(here)), counts)
        starts = np.cumsum([0, *counts])[:-1][np.array(counts, dtype=np.int64) > 0] if here else _NONE
        return Entries(
            host=host,
            size=np.concatenate([each.sizes for each in here]) if here else _NONE,
            counts=np.concatenate([each.counts for each in here]) if here else _NONE,
            starts=starts,
        )

    def oldest(self, row: int, size: int, count: int) -> list[Load]:
        """Return the oldest VMs of a size on a row."""
        return self._on(row).by_size[size][:count]

    def _follow(self) -> None:
        changed = self.fleet.changes.since(self._seen)
        self._seen = self.fleet.changes.seen
        if changed is None:
            self._here.clear()
            return
        for row in changed:
            self._here.pop(row, None)

    def _on(self, row: int) -> _Here:
        here = self._here.get(row)
        if here is None:
            here = self._here[row] = self._look(row)
        return here

    def _look(self, row: int) -> _Here:
        by_size: dict[int, list[Load]] = {}
        view = self.fleet.views[row]
        for load in self._loads_on(view.host_id) if view is not None else ():
            if not is_bound(load):
                by_size.setdefault(self._size(load), []).append(load)
        for loads in by_size.values():
            loads.sort(key=_number)
        sizes = sorted(by_size)
        counts = [len(by_size[size]) for size in sizes]
        return _Here(np.array(sizes, dtype=np.int64), np.array(counts, dtype=np.int64), by_size)

    def _size(self, load: Load) -> int:
        need = load.capacity.cpu_cores, load.capacity.memory_mib
        size = self._size_of.get(need)
        if size is None:
            size = self._size_of[need] = len(self._needs)
            self._needs.append(need)
        return size


def _number(load: Load) -> VmId:
    return load.vm_id
