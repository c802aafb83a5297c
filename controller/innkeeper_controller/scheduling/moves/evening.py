"""Evens out: from the fullest host the VM goes where that makes hosts most alike, again and again."""

import math
from typing import Final, NamedTuple

import numpy as np

from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.columns.fleet import FloatArray, IntArray
from innkeeper_controller.scheduling.model import Load
from innkeeper_controller.scheduling.moves.balance_plans import LEAST_GAIN, Work, usable_rows
from innkeeper_controller.scheduling.moves.tenants import is_bound

_RESOURCES: Final = ("cpu", "memory")
#: Moves that gain alike but for this are told apart by their numbers.
_EXACTNESS: Final = 1e-9


class _Best(NamedTuple):
    """The best move of a host."""

    gain: float
    load: Load
    row: int


class _Spread:
    """How unlike hosts are: the root of the mean square of what they are above or below the part used of all.

    Hosts weigh as much as they have, so that a move changes nothing but the two hosts' share of the sum.
    """

    def __init__(self, search: Search) -> None:
        self._fleet = search.fleet
        self.rows = usable_rows(search)
        totals = {name: search.fleet.number(f"{name}_total")[self.rows] for name in _RESOURCES}
        self.weights = {name: _parts(total) for name, total in totals.items()}
        self.level = {name: float((self.weights[name] * self.part(name)).sum()) for name in _RESOURCES}

    def part(self, name: str) -> FloatArray:
        """Return the used part of each of the rows."""
        return self._fleet.number(f"{name}_part")[self.rows]

    def squares(self) -> float:
        """Return the mean square."""
        return sum(
            float((self.weights[name] * (self.part(name) - self.level[name]) ** 2).sum()) for name in _RESOURCES
        ) / len(_RESOURCES)

    def fullest(self) -> IntArray:
        """Return indexes of the rows, the fullest first."""
        above = sum((self.part(name) - self.level[name] for name in _RESOURCES), np.zeros(len(self.rows)))
        return np.lexsort((self._fleet.number("host_id")[self.rows], -np.round(above, 9)))

    def gains(self, load: Load, source: int) -> FloatArray:
        """Return how much less the mean square is with the VM on each of the rows instead of on its own."""
        total = np.zeros(len(self.rows))
        for name, amount in zip(_RESOURCES, (load.capacity.cpu_cores, load.capacity.memory_mib), strict=True):
            off = self.part(name) - self.level[name]
            weight, more = self.weights[name], amount * self._fleet.number(f"{name}_unit")[self.rows]
            left = weight[source] * (off[source] ** 2 - (off[source] - more[source]) ** 2)
            total += left + weight * (off**2 - (off + more) ** 2)
        total[source] = -np.inf
        return total / len(_RESOURCES)


def measure(search: Search) -> float:
    """Return how unlike hosts are that take VMs: 0 for all alike, at most 1."""
    return math.sqrt(_Spread(search).squares()) if len(usable_rows(search)) else 0.0


def improve(work: Work) -> None:
    """Move one VM after the other from the fullest host that any move of makes things better."""
    spread = _Spread(work.search)
    stuck: set[int] = set()
    moved: set[int] = set()
    while work.moves_left > 0:
        source = next((each for each in spread.fullest().tolist() if each not in stuck), None)
        if source is None:
            return
        row = spread.rows.item(source)
        best = _best_of_host(work, spread, source, moved) if work.left_of(row) else None
        if best is None:
            stuck.add(source)
            continue
        before, reason = spread.squares(), _reason(work, row, best.row)
        demand = work.demand_of(best.load.vm_id)
        target = work.trial.move(best.load, demand, row, np.array([best.row]))
        assert target is not None, "it fitted a moment ago"
        gain = math.sqrt(before) - math.sqrt(spread.squares())
        work.keep(reason, gain)
        moved.add(best.load.vm_id)


def _best_of_host(work: Work, spread: _Spread, source: int, moved: set[int]) -> _Best | None:
    """Return the move off one host that gains most."""
    row, best = spread.rows.item(source), None
    whole = math.sqrt(spread.squares())
    # So much off the squares is as little as counts off their root.
    least = 2 * whole * LEAST_GAIN
    open_to = np.isin(spread.rows, work.with_moves_left(spread.rows)) if work.limits.max_per_host else None
    for load in work.loads(row):
        if load.vm_id in moved or is_bound(load):
            continue
        gains = spread.gains(load, source)
        hopeful = gains > max(least, best.gain + _EXACTNESS if best is not None else 0.0)
        at = np.flatnonzero(hopeful if open_to is None else hopeful & open_to)
        target = _target(work, load, row, spread.rows[at], gains[at]) if len(at) else None
        if target is not None:
            best = _Best(target[0], load, target[1])
    return best


def _target(work: Work, load: Load, row: int, rows: IntArray, gains: FloatArray) -> tuple[float, int] | None:
    """Return the row on which the VM gains most of those that it fits on, and how much that is."""
    search, host_id = work.search, work.host_id(row)
    search.fleet.give_back(host_id, load)
    try:
        question = search.question(work.demand_of(load.vm_id))
        fitting = search.fitting(question, rows) if not question.slow else rows[:0]
    finally:
        search.fleet.take(host_id, load)
    if not len(fitting):
        return None
    of_fitting = np.round(gains[np.isin(rows, fitting)], 12)
    ids = search.fleet.number("host_id")[fitting]
    index = np.lexsort((ids, -of_fitting)).item(0)
    return of_fitting.item(index), fitting.item(index)


def _parts(totals: FloatArray) -> FloatArray:
    whole = totals.sum()
    return totals / whole if whole > 0 else np.zeros(len(totals))


def _reason(work: Work, source: int, target: int) -> str:
    """Return what is so before the move."""
    fleet, texts = work.search.fleet, []
    for row in (source, target):
        view = fleet.views[row]
        cpu, memory = (fleet.number(f"{name}_part").item(row) for name in _RESOURCES)
        texts.append(f"{view.name if view else row} has {cpu:.0%} of its cores and {memory:.0%} of its memory in use")
    return ", ".join(texts)
