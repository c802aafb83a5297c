"""Requests that wait for room, and which of them something that ended has made room for.

It keeps no clock and places nothing. Requests of one kind (size of a VM, number of VMs) wait in one line, so that
what is looked at when a VM ends grows with the kinds that wait and not with the requests.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from innkeeper_controller.simulation.ledger import CPU_TOLERANCE_CORES, Ledger
from innkeeper_plugins.vocabulary import Capacity, HostId

Flags: TypeAlias = NDArray[np.bool_]
#: Number of a request, in the order of arrival.
Request: TypeAlias = int
_FIRST_ROWS = 16
_NOBODY = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Kind:
    """What requests have in common that are placed alike."""

    #: Of each VM.
    capacity: Capacity
    #: They start all at once or not at all.
    vms: int


@dataclass(slots=True)
class _Line:
    kind: Kind
    row: int
    requests: deque[Request] = field(default_factory=deque)


class WaitingRoom:
    """All lines, one a kind; the longest waiting of each is at its head."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._lines: dict[Kind, _Line] = {}
        self._by_row: list[_Line | None] = [None] * _FIRST_ROWS
        self._unused = list(range(_FIRST_ROWS))
        #: By row; rows that are not used ask for more than any host has.
        self._cores = np.full(_FIRST_ROWS, np.inf)
        self._memory_mib = np.full(_FIRST_ROWS, np.inf)
        self._head = np.full(_FIRST_ROWS, _NOBODY)
        self.vms = 0

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __contains__(self, kind: Kind) -> bool:
        return kind in self._lines

    def add(self, kind: Kind, request: Request) -> None:
        """Let a request wait behind those of its kind."""
        line = self._lines.get(kind)
        if line is None:
            line = self._open(kind, request)
        line.requests.append(request)
        self.vms += kind.vms

    def serve(self, freed: Iterable[HostId], ledger: Ledger, start: Callable[[Request, Kind], list[HostId]]) -> None:
        """Start what fits now, the longest waiting first.

        Args:
            freed: Hosts that something ended on since the last time; a kind that none of them has room for still
                does not fit anywhere.
            ledger: What hosts have left; ``start`` keeps it up to date.
            start: Tries to place a request and returns its hosts, none where the scheduler refuses.
        """
        masks = {host_id: self._fitting(host_id, ledger) for host_id in freed}
        counts = np.zeros(len(self._by_row), dtype=np.int64)
        for mask in masks.values():
            counts += mask
        refused = np.zeros(len(counts), dtype=np.bool_)
        while (ready := (counts > 0) & ~refused).any():
            row = int(np.where(ready, self._head, _NOBODY).argmin())
            line = self._by_row[row]
            assert line is not None, "rows that are not used fit nowhere"
            hosts = self._start_first(line, start)
            refused[row] = not hosts
            for host_id in set(hosts) & masks.keys():
                counts -= masks[host_id]
                masks[host_id] = self._fitting(host_id, ledger)
                counts += masks[host_id]
            if hosts and not line.requests:
                refused[row] = True

    def _start_first(self, line: _Line, start: Callable[[Request, Kind], list[HostId]]) -> list[HostId]:
        hosts = start(line.requests[0], line.kind)
        if hosts:
            line.requests.popleft()
            self.vms -= line.kind.vms
            if line.requests:
                self._head[line.row] = line.requests[0]
            else:
                self._close(line)
        return hosts

    def _fitting(self, host_id: HostId, ledger: Ledger) -> Flags:
        """Return which rows have VMs that the host could take one of."""
        by_cores = self._cores <= ledger.cores_free[host_id] + CPU_TOLERANCE_CORES
        return by_cores & (self._memory_mib <= ledger.memory_free_mib[host_id])

    def _open(self, kind: Kind, request: Request) -> _Line:
        if not self._unused:
            self._grow()
        row = self._unused.pop()
        line = self._by_row[row] = self._lines[kind] = _Line(kind, row)
        self._cores[row], self._memory_mib[row] = kind.capacity.cpu_cores, kind.capacity.memory_mib
        self._head[row] = request
        return line

    def _close(self, line: _Line) -> None:
        del self._lines[line.kind]
        self._by_row[line.row] = None
        self._cores[line.row] = self._memory_mib[line.row] = np.inf
        self._head[line.row] = _NOBODY
        self._unused.append(line.row)

    def _grow(self) -> None:
        rows = len(self._by_row)
        self._by_row += [None] * rows
        self._unused = list(range(rows, 2 * rows))
        self._cores = np.concatenate([self._cores, np.full(rows, np.inf)])
        self._memory_mib = np.concatenate([self._memory_mib, np.full(rows, np.inf)])
        self._head = np.concatenate([self._head, np.full(rows, _NOBODY)])
