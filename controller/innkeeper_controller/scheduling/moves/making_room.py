"""Makes room for a VM that fits on no host in use: a few others are moved so that it fits on one of them.

It moves nobody itself: the fleet is left as it was, and what is to be done is returned.
"""

from dataclasses import dataclass
from typing import Final, Self

import msgspec
import numpy as np

from innkeeper_controller.scheduling.choice.search import Best, Search
from innkeeper_controller.scheduling.columns.fleet import BoolArray, Fleet, FloatArray, IntArray
from innkeeper_controller.scheduling.columns.hosts import Rows
from innkeeper_controller.scheduling.model import Demand, Load
from innkeeper_controller.scheduling.moves.tenants import DemandOf, Entries, LoadsOn, Tenants
from innkeeper_plugins.vocabulary import HostId, Value, VmId

_replace = msgspec.structs.replace

#: Hosts that are tried, those first that need the fewest moves.
MAX_TRIES: Final = 100
#: What moving VMs away can mend; a host that fails any other clause is no candidate.
AMOUNTS: Final = frozenset({"cpu", "memory"})
#: Parts of a host are this exact, no more.
_EXACTNESS: Final = 1e-9
#: Of VMs that cover as much of what is missing, the smaller one is moved.
_SMALL: Final = 1e-6
_CPU_TOLERANCE_CORES: Final = 1e-6


class Move(Value):
    """A VM that goes from one host to another."""

    vm_id: VmId
    source_id: HostId
    target_id: HostId


class Room(Value):
    """A host on which a VM fits once others were moved away, one after the other."""

    host_id: HostId
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class _Plans:
    """For each candidate, which entries lose VMs: one line a pick, -1 for none."""

    picks: IntArray
    possible: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """One host and what is known of it."""

    row: int
    entries: Entries
    parts: FloatArray
    missing: FloatArray
    #: The entries that lose VMs by the first plan.
    picks: list[int]


class RoomMaker:
    """Looks for room on one fleet; what it learnt of who is where it keeps until that changes."""

    def __init__(
        self, search: Search, loads_on: LoadsOn, demand_of: DemandOf, *, max_candidates: int | None = None
    ) -> None:
        """Look by these rules.

        Args:
            search: The fleet, its clauses and the policy by which VMs that are moved get their host.
            loads_on: Gives the VMs on a host that may be moved; those with nodes or devices stay anyway.
            demand_of: Gives what such a VM asks of a host.
            max_candidates: Of how many hosts VMs may be moved away, those that lack least; None for all.
        """
        self._search = search
        self._max_candidates = max_candidates
        self._fleet = search.fleet
        self._tenants = Tenants(search.fleet, loads_on)
        self._demand_of = demand_of

    def find(self, demand: Demand, limit: int) -> Room | None:
        """Return where the VM fits once at most ``limit`` others were moved to hosts in use; None where nowhere.

        The moves hold in the order given: at no instant is a host given away beyond what it has, a VM counted on both
        of its hosts while it moves.
        """
        if limit <= 0:
            return None
        rows = self._candidates(demand)
        if not len(rows):
            return None
        entries = self._tenants.entries(rows)
        if not len(entries.host):
            return None
        movable = self._movable_sizes()
        missing = _missing(demand, self._fleet, rows)
        units = _units(self._fleet, rows)
        parts = self._tenants.needs[entries.size] * units[entries.host]
        plans = _plan(entries, parts, missing, entries.counts * movable[entries.size], limit)
        for index in self._order(rows, parts, plans):
            begin, end = np.searchsorted(entries.host, (index, index + 1)).tolist()
            picks = plans.picks[:, index]
            candidate = _Candidate(
                row=rows.item(index),
                entries=entries.between(begin, end),
                parts=parts[begin:end],
                missing=missing[[index]],
                picks=(picks[picks >= 0] - begin).tolist(),
            )
            found = self._try(demand, candidate, movable, limit)
            if found is not None:
                return found
        return None

    def _candidates(self, demand: Demand) -> IntArray:
        """Return the rows in use that lack nothing but room."""
        question = self._search.question(demand)
        rows = rows_in_use(self._fleet)
        rows = rows[question.eligible.take(rows)]
        for clause in question.clauses:
            if clause.name not in AMOUNTS:
                rows = rows[clause.holds(demand, Rows(self._fleet, rows))]
        if self._max_candidates is None or len(rows) <= self._max_candidates:
            return rows
        lacking = np.maximum(_missing(demand, self._fleet, rows), 0.0).sum(axis=1)
        return np.sort(rows[np.argsort(lacking, kind="stable")[: self._max_candidates]])

    def _movable_sizes(self) -> BoolArray:
        """Say of each size whether any host in use has room for it now."""
        rows = rows_in_use(self._fleet)
        cores = self._fleet.number("cpu_free")[rows] + _CPU_TOLERANCE_CORES
        mib = self._fleet.number("memory_free")[rows]
        return np.array([((cores >= need[0]) & (mib >= need[1])).any() for need in self._tenants.needs], dtype=np.bool_)

    def _order(self, rows: IntArray, parts: FloatArray, plans: _Plans) -> list[int]:
        """Return the candidates, first where the fewest and smallest VMs have to move."""
        sizes = np.append(parts.sum(axis=1), 0.0)
        cost = np.round((plans.picks >= 0).sum(axis=0) + sizes[plans.picks].sum(axis=0), 9)
        ids = self._fleet.number("host_id")[rows]
        return [index for index in np.lexsort((ids, cost)).tolist() if plans.possible[index]][:MAX_TRIES]

    def _try(self, demand: Demand, candidate: _Candidate, movable: BoolArray, limit: int) -> Room | None:
        """Try a plan, and the next best one without a size that went nowhere, until nothing is left to be moved."""
        row, entries, parts = candidate.row, candidate.entries, candidate.parts
        available = entries.counts * movable[entries.size]
        picks = candidate.picks
        while picks:
            picks.sort(key=lambda pick: (-parts[pick].sum(), pick))
            loads = self._loads(row, entries, picks)
            with Trial(self._search) as trial:
                stuck = next((at for at, load in enumerate(loads) if not self._move(trial, load, row)), None)
                if stuck is None:
                    fits = best_among(self._search, demand, np.array([row])) is not None
                    return Room(host_id=self._host_id(row), moves=tuple(trial.moves)) if fits else None
            available[picks[stuck]] = 0
            plans = _plan(entries, parts, candidate.missing, available, limit)
            picks = [pick for pick in plans.picks[:, 0].tolist() if pick >= 0] if plans.possible[0] else []
        return None

    def _loads(self, row: int, entries: Entries, picks: list[int]) -> list[Load]:
        """Return the VMs that a host loses, as their entries come."""
        oldest = {
            pick: iter(self._tenants.oldest(row, entries.size.item(pick), picks.count(pick))) for pick in set(picks)
        }
        return [next(oldest[pick]) for pick in picks]

    def _move(self, trial: "Trial", load: Load, row: int) -> bool:
        return trial.move(load, self._demand_of(load.vm_id), row) is not None

    def _host_id(self, row: int) -> HostId:
        view = self._fleet.views[row]
        assert view is not None, "the row has a host"
        return view.host_id


class Trial:
    """Moves that are tried on a fleet, and all taken back at the end."""

    def __init__(self, search: Search) -> None:
        """Try on the fleet of this search."""
        self._search = search
        self._fleet = search.fleet
        self._done: list[tuple[HostId, Load, HostId, Load]] = []
        self.moves: list[Move] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.take_back()

    def move(self, load: Load, demand: Demand, row: int, targets: IntArray | None = None) -> Best | None:
        """Move a VM to the best other host.

        Args:
            load: What it takes where it is.
            demand: What it asks of a host.
            row: Where it is.
            targets: Rows that it may go to; all others in use where nothing is said.

        Returns:
            Where it went; None where it fits on none, and then nothing has changed.
        """
        view = self._fleet.views[row]
        assert view is not None, "the row has a host"
        if targets is None:
            targets = rows_in_use(self._fleet)
        self._fleet.give_back(view.host_id, load)
        best = best_among(self._search, demand, targets[targets != row])
        if best is None:
            self._fleet.take(view.host_id, load)
            return None
        # Images that it would bring are not noted: the fleet could not forget them again.
        self.note(view.host_id, load, HostId(int(best.host_id)), _replace(demand, images={}))
        return best

    def note(self, source_id: HostId, load: Load, target_id: HostId, taken: Load) -> None:
        """Count a VM that was given back by one host on another."""
        self._fleet.take(target_id, taken)
        self._done.append((source_id, load, target_id, taken))
        self.moves.append(Move(vm_id=load.vm_id, source_id=source_id, target_id=target_id))

    def take_back(self, left: int = 0) -> None:
        """Undo all but the first so many moves."""
        while len(self._done) > left:
            source_id, load, target_id, taken = self._done.pop()
            self._fleet.give_back(target_id, taken)
            self._fleet.take(source_id, load)
            self.moves.pop()


def rows_in_use(fleet: Fleet) -> IntArray:
    """Return the rows with a VM at least."""
    return np.flatnonzero(fleet.number("vms") > 0)


def best_among(search: Search, demand: Demand, rows: IntArray) -> Best | None:
    """Return the best of some rows by all clauses and the policy; None where the VM fits on none."""
    return search.best_of(search.question(demand), rows)


def _units(fleet: Fleet, rows: IntArray) -> FloatArray:
    return np.stack([fleet.number("cpu_unit")[rows], fleet.number("memory_unit")[rows]], axis=1)


def _missing(demand: Demand, fleet: Fleet, rows: IntArray) -> FloatArray:
    """Return which part of each host is missing for the VM, in cores and in memory; negative where some is left."""
    cores = demand.capacity.cpu_cores - fleet.number("cpu_free")[rows] - _CPU_TOLERANCE_CORES
    mib = demand.capacity.memory_mib - fleet.number("memory_free")[rows]
    return np.stack([cores, mib], axis=1) * _units(fleet, rows)


def _plan(entries: Entries, parts: FloatArray, missing: FloatArray, available: IntArray, limit: int) -> _Plans:
    """Choose for each host VMs that cover what is missing: which covers most first, then the smaller, then the older.

    Args:
        entries: The VMs by host and size.
        parts: Which part of its host each takes, in cores and in memory.
        missing: Which part of each host is missing.
        available: How many of each entry may be moved.
        limit: VMs of one host, at most.
    """
    missing, available = missing.copy(), available.copy()
    smallness = _SMALL * parts.sum(axis=1)
    lines = [_pick(entries, parts, smallness, missing, available) for _ in range(limit)]
    picks = np.array(lines).reshape(limit, len(missing))
    possible = np.logical_and((missing <= _EXACTNESS).all(axis=1), (picks >= 0).any(axis=0))
    for line in picks:
        at = np.flatnonzero(possible & (line >= 0))
        needless = at[(missing[at] + parts[line[at]] <= _EXACTNESS).all(axis=1)]
        missing[needless] += parts[line[needless]]
        line[needless] = -1
    return _Plans(picks, possible)


def _pick(
    entries: Entries, parts: FloatArray, smallness: FloatArray, missing: FloatArray, available: IntArray
) -> IntArray:
    """Take one VM more out of each host that still lacks something, and return the entry of each; -1 for none."""
    chosen = np.full(len(missing), -1, dtype=np.int64)
    covered = np.minimum(parts, np.maximum(missing, 0.0)[entries.host]).sum(axis=1)
    gain = np.where((available > 0) & (covered > _EXACTNESS), covered - smallness, -1.0)
    most = np.full(len(missing), -1.0)
    most[entries.host[entries.starts]] = np.maximum.reduceat(gain, entries.starts)
    best = np.flatnonzero((gain > -1.0) & (gain == most[entries.host]))
    # Entries of one host lie side by side: the first of the best ones of each.
    going = best[np.diff(entries.host[best], prepend=-1) > 0]
    hosts = entries.host[going]
    chosen[hosts] = going
    available[going] -= 1
    missing[hosts] -= parts[going]
    return chosen
