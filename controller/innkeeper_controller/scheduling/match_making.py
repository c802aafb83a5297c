"""Match-making: puts each waiting VM on the best host that has everything it asks for, and says why.

VMs are taken in the order given, and what one takes the next ones no longer see.
A VM that fits nowhere holds up nobody.
The choice is the one that trying every host would make; identical VMs share the work.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from innkeeper_controller.scheduling.attributes import with_vm
from innkeeper_controller.scheduling.clauses import Check, checks_for
from innkeeper_controller.scheduling.model import (
    Decision,
    Demand,
    HostVerdict,
    HostView,
    NoPlacement,
    Obstacle,
    Placement,
    Verdicts,
)
from innkeeper_controller.scheduling.scores import POLICIES, Score, score_name, total_score
from innkeeper_plugins.vocabulary import Capacity, HostId

_replace = msgspec.structs.replace
Policy: TypeAlias = tuple[tuple[Score, float], ...]
#: -rank, -score, host id, index, version of the host that was scored; the least is the best.
_Entry: TypeAlias = tuple[float, float, HostId, int, int]


def place(demands: Sequence[Demand], hosts: Sequence[HostView], *, policy: str = "packing") -> list[Decision]:
    """Return one decision for each demand, in the same order.

    Of the hosts that fit, the one with the highest rank is chosen, then with the highest score, then with the
    lowest id.

    Args:
        demands: What waits, the most urgent first.
        hosts: All hosts.
        policy: A key of ``POLICIES``.

    Raises:
        KeyError: there is no such policy.
    """
    return _Pass(hosts, POLICIES[policy]).run(demands)


def verdicts(demand: Demand, hosts: Sequence[HostView], *, policy: str = "packing") -> Verdicts:
    """Return for every host whether it can take the VM, every clause that fails, and the scores of those that fit.

    Raises:
        KeyError: there is no such policy.
    """
    checks = checks_for(demand)
    found = [_verdict(demand, host, checks, POLICIES[policy]) for host in hosts]
    found.sort(key=_closeness)
    counts = Counter(clause for each in found for clause in {obstacle.clause for obstacle in each.obstacles})
    nearest = found[0] if found and not found[0].fits else None
    return Verdicts(
        vm_id=demand.vm_id,
        hosts=tuple(found),
        counts=dict(counts.most_common()),
        nearest_miss=f"{nearest.host_name} comes closest: {_reasons(nearest.obstacles)}." if nearest else "",
    )


def _verdict(demand: Demand, host: HostView, checks: Sequence[Check], policy: Policy) -> HostVerdict:
    obstacles = tuple(obstacle for check in checks if (obstacle := check(demand, host)) is not None)
    scores = {} if obstacles else _scores(demand, host, policy)
    return HostVerdict(host_id=host.host_id, host_name=host.name, obstacles=obstacles, scores=scores)


def _scores(demand: Demand, host: HostView, policy: Policy) -> dict[str, float]:
    rank = {"rank": demand.rank.of(host.attributes)} if demand.rank else {}
    named = {score_name(score): score(demand, host) for score, _ in policy}
    return {**rank, **named, "total": total_score(policy, demand, host)}


def _closeness(verdict: HostVerdict) -> tuple[int, float, float, float, HostId]:
    rank, total = verdict.scores.get("rank", 0.0), verdict.scores.get("total", 0.0)
    missing = sum(obstacle.shortfall for obstacle in verdict.obstacles)
    return len(verdict.obstacles), missing, -rank, -total, verdict.host_id


def _reasons(obstacles: Sequence[Obstacle]) -> str:
    return "; ".join(obstacle.message for obstacle in obstacles)


def with_placed(host: HostView, demand: Demand) -> HostView:
    """Return the host with the VM on it."""
    used = Capacity(
        cpu_cores=host.used.cpu_cores + demand.capacity.cpu_cores,
        memory_mib=host.used.memory_mib + demand.capacity.memory_mib,
    )
    taken = {name: host.datastores[name] - mib for name, mib in demand.datastores.items()}
    return _replace(
        host,
        used=used,
        attributes=with_vm(host.attributes, host.total, used, demand.vm_id),
        datastores={**host.datastores, **taken} if taken else host.datastores,
        images=host.images.union(demand.images) if demand.images else host.images,
    )


class _Pass:
    """One pass over what waits: the hosts as they fill, and what is known of each class of VM."""

    def __init__(self, hosts: Sequence[HostView], policy: Policy) -> None:
        self.hosts = list(hosts)
        self.policy = policy
        #: How often each host was filled.
        self.versions = [0] * len(self.hosts)
        #: Indexes of the hosts filled, in order.
        self.filled: list[int] = []
        self._classes: dict[object, _Class] = {}

    def run(self, demands: Sequence[Demand]) -> list[Decision]:
        """Decide on each in turn."""
        return [self._decide(demand) for demand in demands]

    def _decide(self, demand: Demand) -> Decision:
        key = _class_key(demand)
        known = self._classes.get(key)
        if known is None:
            known = self._classes[key] = _Class(self, demand)
        best = known.best()
        if best is None:
            return NoPlacement(vm_id=demand.vm_id, counts=known.counts())
        index, rank, score = best
        host = self.hosts[index]
        self.hosts[index] = with_placed(host, demand)
        self.versions[index] += 1
        self.filled.append(index)
        return Placement(vm_id=demand.vm_id, host_id=host.host_id, rank=rank, score=score)


def _class_key(demand: Demand) -> object:
    """Return what is the same for VMs that fit and score alike everywhere."""
    return (
        demand.capacity.cpu_cores,
        demand.capacity.memory_mib,
        demand.hypervisor,
        tuple(demand.datastores.items()),
        demand.transfer_drivers,
        demand.bridges,
        None if demand.clusters is None else tuple(demand.clusters),
        tuple(demand.images.items()),
        demand.requirements,
        demand.rank,
        demand.excluded,
    )


class _Class:
    """The hosts that fit VMs of one kind, best first; brought up to date only when asked."""

    def __init__(self, the_pass: _Pass, demand: Demand) -> None:
        self._pass = the_pass
        self._demand = demand
        self._checks = checks_for(demand)
        self._heap: list[_Entry] = []
        #: ``{index: clause}`` of hosts that do not fit.
        self._kept_out: dict[int, str] = {}
        self._seen = len(the_pass.filled)
        self._heap += (entry for index in range(len(the_pass.hosts)) if (entry := self._entry(index)))
        heapq.heapify(self._heap)

    def best(self) -> tuple[int, float, float] | None:
        """Return index, rank and score of the best host; None where none fits."""
        filled = self._pass.filled
        for index in set(filled[self._seen :]):
            entry = self._entry(index)
            if entry:
                heapq.heappush(self._heap, entry)
        self._seen = len(filled)
        versions = self._pass.versions
        while self._heap and self._heap[0][4] != versions[self._heap[0][3]]:
            heapq.heappop(self._heap)
        if not self._heap:
            return None
        rank, score, _, index, _ = self._heap[0]
        return index, -rank, -score

    def counts(self) -> dict[str, int]:
        """Return how many hosts each clause keeps out."""
        return dict(Counter(self._kept_out.values()).most_common())

    def _entry(self, index: int) -> _Entry | None:
        """Score a host as it is now, or note what keeps it out."""
        host, demand = self._pass.hosts[index], self._demand
        for check in self._checks:
            obstacle = check(demand, host)
            if obstacle is not None:
                self._kept_out[index] = obstacle.clause
                return None
        self._kept_out.pop(index, None)
        rank = demand.rank.of(host.attributes) if demand.rank else 0.0
        score = total_score(self._pass.policy, demand, host)
        return -rank, -score, host.host_id, index, self._pass.versions[index]
