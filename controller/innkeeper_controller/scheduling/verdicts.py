"""Why each host was or was not chosen for a VM: every clause asked of every host, with the words of those that fail.

The same functions choose and explain, so an obstacle that is told is one that counts.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from innkeeper_controller.scheduling.clauses import Clause
from innkeeper_controller.scheduling.fleet import Fleet, FloatArray, IntArray
from innkeeper_controller.scheduling.hosts import Rows, one_host
from innkeeper_controller.scheduling.model import Demand, HostVerdict, Obstacle, Verdicts
from innkeeper_controller.scheduling.scores import concerned, total_score
from innkeeper_controller.scheduling.search import Search
from innkeeper_plugins.vocabulary import HostId


def counts_of(demand: Demand, search: Search) -> dict[str, int]:
    """Return ``{clause: hosts that fail it}``, the one that most fail first; a host counts for each that it fails."""
    at = present_rows(search.fleet)
    counts: dict[str, int] = {}
    for clause in _mine(demand, search):
        failing = len(at) - int(np.count_nonzero(clause.holds(demand, Rows(search.fleet, at))))
        if failing:
            counts[clause.name] = counts.get(clause.name, 0) + failing
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def present_rows(fleet: Fleet) -> IntArray:
    """Return the rows that have a host."""
    return np.fromiter(fleet, dtype=np.int64, count=len(fleet.row_of))


def obstacles_on(demand: Demand, fleet: Fleet, host_id: HostId, clauses: tuple[Clause, ...]) -> Iterator[Obstacle]:
    """Go over why a VM does not fit on one host, by some clauses; nothing where it does.

    Raises:
        KeyError: there is no such host.
    """
    row = fleet.row_of[host_id]
    rows = Rows(fleet, np.array([row]))
    for clause in clauses:
        if clause.concerns(demand, fleet) and not clause.holds(demand, rows).item(0):
            yield clause.words(demand, one_host(fleet, row))


def verdicts(demand: Demand, search: Search) -> Verdicts:
    """Return for every host whether it can take the VM, every clause that fails, and the scores of those that fit."""
    fleet = search.fleet
    at = present_rows(fleet)
    hosts = Rows(fleet, at)
    obstacles: list[list[Obstacle]] = [[] for _ in range(len(at))]
    for clause in _mine(demand, search):
        for index in np.flatnonzero(~clause.holds(demand, hosts)).tolist():
            obstacles[index].append(clause.words(demand, one_host(fleet, at.item(index))))
    fits = np.array([not each for each in obstacles], dtype=np.bool_)
    scores = _scores(demand, search, at[fits])
    found = []
    for row, those in zip(at.tolist(), obstacles, strict=True):
        view = one_host(fleet, row).view
        mine = {} if those else next(scores)
        found.append(HostVerdict(host_id=view.host_id, host_name=view.name, obstacles=tuple(those), scores=mine))
    found.sort(key=_closeness)
    nearest = found[0] if found and not found[0].fits else None
    return Verdicts(
        vm_id=demand.vm_id,
        hosts=tuple(found),
        counts=counts_of(demand, search),
        nearest_miss=f"{nearest.host_name} comes closest: {_reasons(nearest.obstacles)}." if nearest else "",
    )


def _scores(demand: Demand, search: Search, at: IntArray) -> Iterator[dict[str, float]]:
    """Go over the scores of rows that fit, by name."""
    hosts = Rows(search.fleet, at)
    columns: dict[str, FloatArray] = {}
    if demand.rank is not None:
        columns["rank"] = hosts.ranked(demand.rank)
    policy = concerned(search.policy, demand)
    columns.update((score.name, score.of(demand, hosts)) for score, _ in policy)
    columns["total"] = total_score(policy, demand, hosts)
    return (
        dict(zip(columns, values, strict=True)) for values in zip(*(c.tolist() for c in columns.values()), strict=True)
    )


def _mine(demand: Demand, search: Search) -> list[Clause]:
    return [clause for clause in search.clauses if clause.concerns(demand, search.fleet)]


def _closeness(verdict: HostVerdict) -> tuple[int, float, float, float, HostId]:
    rank, total = verdict.scores.get("rank", 0.0), verdict.scores.get("total", 0.0)
    missing = sum(obstacle.shortfall for obstacle in verdict.obstacles)
    return len(verdict.obstacles), missing, -rank, -total, verdict.host_id


def _reasons(obstacles: Sequence[Obstacle]) -> str:
    return "; ".join(obstacle.message for obstacle in obstacles)
