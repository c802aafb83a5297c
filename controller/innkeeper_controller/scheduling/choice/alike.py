"""VMs of one kind share the work: who asked before, and only what changed since is looked at again."""

import heapq
from collections.abc import Collection, Hashable
from typing import Final

import numpy as np

from innkeeper_controller.scheduling.choice.search import Best, Question, Search
from innkeeper_controller.scheduling.columns.fleet import Fleet, repelled_keys
from innkeeper_controller.scheduling.columns.hosts import Rows, all_rows, one_row
from innkeeper_controller.scheduling.model import Demand
from innkeeper_controller.scheduling.scores import concerned, total_score

#: Kinds of VM that are remembered.
MAX_KINDS: Final = 16


def kind_of(demand: Demand, fleet: Fleet) -> Hashable:
    """Return what is the same for VMs that fit and score alike everywhere; None for one that is to be asked alone.

    A VM whose coming changes how others fit on hosts that it did not go to, that others keep away, or that is asked
    for slowly, is alone.
    """
    if demand.terms or demand.groups or demand.numa is not None or demand.pci:
        return None
    if is_kept_away(demand, fleet):
        return None
    return (
        demand.capacity.cpu_cores,
        demand.capacity.memory_mib,
        demand.hypervisor,
        demand.arch,
        demand.cpu_flags,
        tuple(demand.datastores.items()),
        demand.transfer_drivers,
        demand.bridges,
        None if demand.clusters is None else tuple(demand.clusters),
        tuple(demand.images.items()),
        demand.requirements,
        demand.rank,
        demand.excluded,
        demand.ends_at_s,
        tuple(demand.attributes.items()),
    )


def is_kept_away(demand: Demand, fleet: Fleet) -> bool:
    """Say whether VMs keep this one away by its number, so that no other is like it."""
    return any(each.rows(repelled_keys((), (demand.vm_id,))) for each in fleet.repelling.values())


class Alike:
    """The rankings of the kinds that were asked for lately."""

    def __init__(self, search: Search) -> None:
        """Remember nothing yet."""
        self._search = search
        self._rankings: dict[Hashable, Ranking] = {}
        self._last: Hashable = None

    def best(self, demand: Demand, kind: Hashable) -> Best | None:
        """Return the best host for a VM of a kind; the second one of it in a row is worth a ranking."""
        ranking = self._rankings.get(kind)
        if ranking is not None and ranking.is_current():
            return ranking.best()
        if kind != self._last:
            self._last = kind
            return self._search.best(demand)
        if len(self._rankings) >= MAX_KINDS:
            del self._rankings[next(iter(self._rankings))]
        ranking = self._rankings[kind] = Ranking(self._search, demand)
        return ranking.best()


class Ranking:
    """All hosts that fit VMs of one kind, best first; brought up to date when asked."""

    def __init__(self, search: Search, demand: Demand) -> None:
        """Rank all hosts as they are."""
        self._search = search
        self._fleet: Fleet = search.fleet
        self._demand = demand
        self._question: Question = search.question(demand)
        self._became = self._fleet.became.seen
        self._seen = self._fleet.changes.seen
        found = self._looked_at(all_rows(self._fleet))
        #: ``(-rank, -score, host id, row)``, the best last.
        self._ranked = sorted(found, reverse=True)
        #: Those that changed since, with how often their row had changed then.
        self._changed: list[tuple[tuple[float, float, float, int], int]] = []
        self._times: dict[int, int] = {}

    def is_current(self) -> bool:
        """Say whether it can be brought up to date, rather than made anew."""
        is_scored_alike = concerned(self._search.policy, self._demand, self._fleet) == self._question.policy
        return is_scored_alike and self._fleet.changes.since(self._seen) is not None

    def best(self) -> Best | None:
        """Return the best host as things are."""
        newer = self._fleet.changes.since(self._seen)
        assert newer is not None, "asked only while it is current"
        self._seen = self._fleet.changes.seen
        if self._became != self._fleet.became.seen:
            self._became = self._fleet.became.seen
            self._question = self._search.question(self._demand)
        if newer:
            self._look_again(dict.fromkeys(newer) if len(newer) > 1 else newer)
        while self._ranked and self._ranked[-1][3] in self._times:
            self._ranked.pop()
        while self._changed and self._changed[0][1] != self._times[self._changed[0][0][3]]:
            heapq.heappop(self._changed)
        heads = [*self._ranked[-1:], *(entry for entry, _ in self._changed[:1])]
        if not heads:
            return None
        rank, score, host_id, row = min(heads)
        return Best(-rank, -score, host_id, row)

    def _look_again(self, rows: Collection[int]) -> None:
        times = self._times
        for row in rows:
            times[row] = times.get(row, 0) + 1
        hosts = one_row(self._fleet, *rows) if len(rows) == 1 else Rows(self._fleet, np.array(list(rows)))
        for entry in self._looked_at(hosts):
            heapq.heappush(self._changed, (entry, times[entry[3]]))

    def _looked_at(self, hosts: Rows) -> list[tuple[float, float, float, int]]:
        """Return the entries of those hosts that the VM fits on."""
        demand = self._question.demand
        fits = self._search.fits(self._question, hosts)
        if not fits.all():
            if not fits.any():
                return []
            hosts = Rows(self._fleet, hosts.at[fits])
        scores = -total_score(self._question.policy, demand, hosts)
        ranks = -hosts.ranked(demand.rank) if demand.rank is not None else np.zeros(len(hosts.at))
        ids = hosts.number("host_id")
        return list(zip(ranks.tolist(), scores.tolist(), ids.tolist(), hosts.at.tolist(), strict=True))
