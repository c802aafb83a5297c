"""Repairs affinity: a VM that is not near or far from others as was asked goes where fewer have cause to complain."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from innkeeper_controller.scheduling import affinity
from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.columns.fleet import IntArray, repelled_keys
from innkeeper_controller.scheduling.columns.hosts import Rows
from innkeeper_controller.scheduling.model import Demand, Load
from innkeeper_controller.scheduling.moves.balance_plans import LEAST_GAIN, Work, usable_rows
from innkeeper_controller.scheduling.moves.making_room import best_among
from innkeeper_controller.scheduling.moves.tenants import LoadsOn, is_bound
from innkeeper_controller.scheduling.wishes import Relation, Term
from innkeeper_plugins.vocabulary import VmId

#: A hard term weighs so much; wishes have weights of their own.
HARD_WEIGHT: Final = 10.0
_ROUNDS: Final = 3


class Grievances:
    """What VMs that are on hosts have to complain of."""

    def __init__(self, search: Search, all_loads_on: LoadsOn) -> None:
        """Hear them all.

        Args:
            search: The fleet.
            all_loads_on: Gives all VMs of a host, also those that may not be moved.
        """
        self._fleet = search.fleet
        self.loads: dict[VmId, Load] = {}
        self._about: dict[str, set[VmId]] = {}
        for row in self._fleet:
            view = self._fleet.views[row]
            for load in all_loads_on(view.host_id) if view is not None else ():
                if load.terms:
                    self.loads[load.vm_id] = load
                    for key in (key for term in load.terms for key in repelled_keys(term.groups, term.vm_ids)):
                        self._about.setdefault(key, set()).add(load.vm_id)
        self.of: dict[VmId, float] = {vm_id: self._hear(vm_id) for vm_id in sorted(self.loads)}
        #: All that could be complained of.
        self.weight = sum(
            HARD_WEIGHT if term.is_hard else term.weight for load in self.loads.values() for term in load.terms
        )

    @property
    def measure(self) -> float:
        """Which part of what is asked, by weight, is not as it should be."""
        return sum(self.of.values()) / self.weight if self.weight else 0.0

    def about(self, load: Load) -> list[VmId]:
        """Return those whose complaints may change when a VM moves, itself included."""
        keys = repelled_keys(load.groups, (load.vm_id,))
        found = set().union(*(self._about.get(key, ()) for key in keys))
        return sorted(found | ({load.vm_id} & self.loads.keys()))

    def hear_again(self, vm_ids: Iterable[VmId]) -> dict[VmId, float]:
        """Return what these have to complain of now."""
        return {vm_id: self._hear(vm_id) for vm_id in vm_ids}

    def _hear(self, vm_id: VmId) -> float:
        """Return the weight of a VM's terms that do not hold where it is, as if it came there only now."""
        load, fleet = self.loads[vm_id], self._fleet
        rows = fleet.rows_with_vm(vm_id)
        view = fleet.views[rows[0]] if rows else None
        if view is None:
            return 0.0
        fleet.give_back(view.host_id, load)
        here = Rows(fleet, np.array(rows[:1]))
        hard = [term for term in load.terms if term.is_hard]
        total = sum(HARD_WEIGHT for term in hard if not affinity.holds_there(term, here).item(0))
        if len(hard) < len(load.terms):
            met = affinity.satisfied(load, here).item(0)  # type: ignore[arg-type]  # reads terms only
            total += (1.0 - met) * sum(term.weight for term in load.terms if not term.is_hard)
        fleet.take(view.host_id, load)
        return total


def improve(work: Work, grievances: Grievances) -> None:
    """Move whoever complains most, and whom others complain of, until nothing gets better."""
    for _ in range(_ROUNDS):
        count = len(work.moves)
        for load, row in _candidates(work, grievances):
            if work.moves_left > 0 and work.left_of(row):
                _move(work, grievances, load, row)
        if len(work.moves) == count:
            return


def _candidates(work: Work, grievances: Grievances) -> Iterator[tuple[Load, int]]:
    """Give VMs that complain or are complained of, with their rows, who complains most first."""
    fleet, found = work.search.fleet, []
    for row in usable_rows(work.search).tolist():
        for load in work.loads(row):
            weight = sum(grievances.of[vm_id] for vm_id in grievances.about(load)) if grievances.of else 0.0
            if weight > LEAST_GAIN and not is_bound(load):
                found.append((-grievances.of.get(load.vm_id, 0.0), -weight, load.vm_id, load, row))
    for *_, vm_id, load, row in sorted(found, key=lambda each: each[:3]):
        if vm_id not in work.moved and row in fleet.rows_with_vm(vm_id):
            yield load, row


def _move(work: Work, grievances: Grievances, load: Load, row: int) -> None:
    """Move a VM where the fewest complain, or leave it."""
    heard = grievances.about(load)
    before = sum(grievances.of[vm_id] for vm_id in heard)
    demand = work.demand_of(load.vm_id)
    targets = _calmest(work, demand, load, row)
    if before <= LEAST_GAIN or not len(targets) or work.trial.move(load, demand, row, targets) is None:
        return
    after = grievances.hear_again(heard)
    gain = (before - sum(after.values())) / grievances.weight
    if gain <= LEAST_GAIN:
        work.give_up()
        return
    reason = _reason(grievances, load, after)
    grievances.of.update(after)
    work.keep(reason, gain)


def _calmest(work: Work, demand: Demand, load: Load, row: int) -> IntArray:
    """Return the rows on which the VM fits and which meet most of its wishes."""
    search, host_id = work.search, work.host_id(row)
    rows = work.with_moves_left(usable_rows(search))
    rows = rows[rows != row]
    search.fleet.give_back(host_id, load)
    fitting = search.fitting(search.question(demand), rows)
    if len(fitting) and affinity.has_wishes(demand):
        met = np.round(affinity.satisfied(demand, Rows(search.fleet, fitting)), 9)
        fitting = fitting[met == met.max()]
    if len(fitting) and best_among(search, demand, fitting) is None:
        fitting = fitting[:0]
    search.fleet.take(host_id, load)
    return fitting


def _reason(grievances: Grievances, load: Load, after: dict[VmId, float]) -> str:
    """Return who is better off."""
    if after.get(load.vm_id, 0.0) < grievances.of.get(load.vm_id, 0.0):
        return f"it is to be {_asked(load.terms)}"
    glad = next(vm_id for vm_id in sorted(after) if after[vm_id] < grievances.of[vm_id])
    return f"VM {glad} is to be {_asked(grievances.loads[glad].terms)}"


def _asked(terms: tuple[Term, ...]) -> str:
    words = {Relation.TOGETHER: "with", Relation.APART: "apart from", Relation.SPREAD: "spread with"}
    return " and ".join(f"{words[term.relation]} {affinity.whom(term)}" for term in terms)
