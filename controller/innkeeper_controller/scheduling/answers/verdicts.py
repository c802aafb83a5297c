"""Why each host was or was not chosen for a VM: every clause asked once of every host, words for those that fail.

The same functions choose and explain, so an obstacle that is told is one that counts.
``verdicts`` is the whole of it; with a limit on the hosts that are told, it is as quick among ten thousand hosts.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
import numpy as np

from innkeeper_controller.scheduling.affinity import ends_would_help, rivals
from innkeeper_controller.scheduling.answers.asking import Asked, ask
from innkeeper_controller.scheduling.answers.remedies import Ends, LoadsOn, ends_of, remedy_words, smaller_words
from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.clauses import Clause
from innkeeper_controller.scheduling.columns.fleet import Fleet, FloatArray, IntArray
from innkeeper_controller.scheduling.columns.hosts import OneHost, Rows, one_host
from innkeeper_controller.scheduling.model import Alike, Demand, HostVerdict, HostView, Obstacle, Verdicts
from innkeeper_controller.scheduling.scores import concerned, total_score
from innkeeper_controller.scheduling.words import few
from innkeeper_plugins.vocabulary import HostId, VmId

#: Hosts whose VMs are looked through for those that are in the way.
_WITH_RIVALS: Final = 100
#: Clauses that a person mends by a word, and hosts that are looked at for what it is.
_SWITCHED: Final = frozenset({"host state", "ban"})
_SWITCHES: Final = 4
#: Names of hosts that are told of those that fail alike.
_NAMED: Final = 3
#: Obstacles of the nearest host that are told in its few words, beside the first or what it lacks.
_TOLD: Final = 1


def counts_of(demand: Demand, search: Search) -> dict[str, int]:
    """Return ``{clause: hosts that fail it}``, the one that most fail first; a host counts for each that it fails."""
    return ask(demand, search).counts


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


def nearest_words(asked: Asked) -> str:
    """Return the host that comes closest and what it lacks: ``h3 comes closest, it lacks 1.5 GiB of memory``."""
    index = asked.nearest_one()
    return _closest(_Told(asked, None).verdict(index)) if index is not None else ""


def verdicts(
    demand: Demand,
    search: Search,
    *,
    limit: int | None = None,
    loads_on: LoadsOn | None = None,
    priority_of: Callable[[VmId], int] = lambda _: 0,
) -> Verdicts:
    """Return what every clause says of every host about a VM, and what would have to change for it to fit.

    Args:
        demand: What it asks.
        search: The fleet and the policy.
        limit: Hosts that are told, the best and then the nearest; None for all. All are counted.
        loads_on: Gives what the VMs on a host take of it, to say whose end would help and who is in the way; None
            where nobody knows.
        priority_of: Gives the priority of a VM: those with a low one are named rather.
    """
    asked = ask(demand, search)
    fitting, nearest = _best_first(asked), asked.nearest()
    told = _Told(asked, loads_on, of_many=limit is None)
    hosts = list(told.fitting(fitting[:limit]))
    others = [
        told.verdict(index) for index in nearest[: None if limit is None else max(0, limit - len(hosts))].tolist()
    ]
    if asked.slow:
        others.sort(key=_closeness)
    closest = others[0] if others and not hosts else None
    if closest is None and not len(fitting) and len(nearest):
        closest = told.verdict(nearest.item(0))
    ends = ends_of(asked, nearest, loads_on, priority_of) if closest is not None and loads_on is not None else Ends()
    return Verdicts(
        vm_id=demand.vm_id,
        hosts=(*hosts, *others),
        hosts_total=len(asked.at),
        fitting=len(fitting),
        counts=asked.counts,
        alike=_alike(asked, nearest),
        weights={score.name: weight for score, weight in concerned(search.policy, demand, search.fleet)},
        nearest_miss=f"{closest.host_name} comes closest: {_reasons(closest.obstacles)}." if closest else "",
        nearest=_closest(closest) if closest else "",
        remedy=remedy_words(closest.host_name, closest.obstacles) if closest else "",
        switch=_switched_on(asked, nearest, told, closest) if closest else "",
        smaller=smaller_words(asked, nearest) if closest else "",
        ends=ends.words,
        ends_vm_ids=ends.vm_ids,
    )


def _switched_on(asked: Asked, nearest: IntArray, told: "_Told", closest: HostVerdict) -> str:
    """Return what a person would have to do for a host that is only switched off or banned; empty for none."""
    switchable = nearest[asked.only(_SWITCHED)[nearest]][:_SWITCHES]
    for verdict in map(told.verdict, switchable.tolist()):
        words = remedy_words(verdict.host_name, verdict.obstacles)
        if verdict.host_id != closest.host_id and words:
            return words
    return ""


class _OneOfMany(OneHost):
    """One of many hosts that are told of one after the other: columns are quicker as lists then."""

    __slots__ = ("_columns",)

    def __init__(self, fleet: Fleet, row: int, view: HostView, columns: dict[str, list[float]]) -> None:
        self.fleet = fleet
        self.row = row
        self.view = view
        self._columns = columns

    def number(self, name: str) -> float:
        """Return what a column says of the host."""
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = self.fleet.number(name).tolist()
        return column[self.row]


class _Told:
    """Makes the verdicts of single hosts."""

    def __init__(self, asked: Asked, loads_on: LoadsOn | None, *, of_many: bool = False) -> None:
        self._asked = asked
        self._fleet = asked.search.fleet
        self._loads_on = loads_on
        self._looked_through = 0
        self._columns: dict[str, list[float]] | None = {} if of_many else None
        # As lists they are quicker one by one, but it takes a while to make them.
        self._rows = asked.at.tolist() if of_many else asked.at
        self._failing = [(clause.words, fails.tolist() if of_many else fails) for clause, fails in asked.failing]

    def fitting(self, indexes: IntArray) -> Iterator[HostVerdict]:
        """Go over hosts that the VM fits on."""
        for index, scores in zip(indexes.tolist(), _scores(self._asked, indexes), strict=True):
            view = self._host(index).view
            yield HostVerdict(host_id=view.host_id, host_name=view.name, scores=scores)

    def verdict(self, index: int) -> HostVerdict:
        """Return what keeps the VM from a host that it does not fit on."""
        demand, host = self._asked.demand, self._host(index)
        found = [tell(demand, host) for tell, fails in self._failing if fails[index]]
        if self._asked.slow:
            found += self._by_slow_ones(host, {each.clause for each in found})
        if self._loads_on is not None:
            found = [self._with_rivals(each, host, self._loads_on) for each in found]
        return HostVerdict(host_id=host.view.host_id, host_name=host.view.name, obstacles=tuple(found))

    def _host(self, index: int) -> OneHost:
        host = one_host(self._fleet, int(self._rows[index]))
        return host if self._columns is None else _OneOfMany(self._fleet, host.row, host.view, self._columns)

    def _by_slow_ones(self, host: OneHost, known: set[str]) -> Iterator[Obstacle]:
        clauses = tuple(clause for clause in self._asked.slow if clause.name not in known)
        return obstacles_on(self._asked.demand, self._fleet, host.view.host_id, clauses)

    def _with_rivals(self, obstacle: Obstacle, host: OneHost, loads_on: LoadsOn) -> Obstacle:
        if obstacle.clause != "anti-affinity" or self._looked_through >= _WITH_RIVALS:
            return obstacle
        self._looked_through += 1
        found = rivals(self._asked.demand, host, loads_on)
        if not found:
            return obstacle
        here = host.view.name
        names = few([f"VM {vm_id}" + (f" on {name}" if name != here else "") for vm_id, name in found.items()])
        remedy = f"once {names} {'has' if len(found) == 1 else 'have'} ended"
        return msgspec.structs.replace(
            obstacle,
            message=f"{obstacle.message} ({names})",
            remedy=remedy if ends_would_help(self._asked.demand, host) else "",
            vm_ids=tuple(found),
        )


def _best_first(asked: Asked) -> IntArray:
    """Return the indexes of the hosts that fit, in the order of the choice."""
    where = np.flatnonzero(asked.numbers == 0)
    demand, policy = asked.demand, concerned(asked.search.policy, asked.demand, asked.search.fleet)
    hosts, ids = Rows(asked.search.fleet, asked.at[where]), asked.host_ids[where]
    totals = total_score(policy, demand, hosts)
    if demand.rank is None:
        return where[np.lexsort((ids, -totals))]
    return where[np.lexsort((ids, -totals, -hosts.ranked(demand.rank)))]


def _scores(asked: Asked, indexes: IntArray) -> Iterator[dict[str, float]]:
    """Go over the scores of hosts, by name."""
    demand, hosts = asked.demand, Rows(asked.search.fleet, asked.at[indexes])
    columns: dict[str, FloatArray] = {}
    if demand.rank is not None:
        columns["rank"] = hosts.ranked(demand.rank)
    policy = concerned(asked.search.policy, demand, asked.search.fleet)
    columns.update((score.name, score.of(demand, hosts)) for score, _ in policy)
    columns["total"] = total_score(policy, demand, hosts)
    return (
        dict(zip(columns, values, strict=True)) for values in zip(*(c.tolist() for c in columns.values()), strict=True)
    )


def _alike(asked: Asked, nearest: IntArray) -> tuple[Alike, ...]:
    """Return the hosts that do not fit by the set of clauses that they fail, the most first."""
    codes = np.zeros(len(nearest), dtype=np.int64)
    for number, (_, fails) in enumerate(asked.failing):
        codes |= fails[nearest].astype(np.int64) << number
    found, first, counts = np.unique(codes, return_index=True, return_counts=True)
    groups = []
    for code, index, count in sorted(
        zip(found.tolist(), first.tolist(), counts.tolist(), strict=True), key=_most_first
    ):
        rows = asked.at[nearest[np.flatnonzero(codes[index:] == code)[:_NAMED] + index]].tolist()
        names = [clause.name for number, (clause, _) in enumerate(asked.failing) if code >> number & 1]
        groups.append(
            Alike(
                clauses=tuple(dict.fromkeys(names)),
                count=count,
                hosts=tuple(one_host(asked.search.fleet, row).view.name for row in rows),
            )
        )
    return tuple(groups)


def _most_first(group: tuple[int, int, int]) -> tuple[int, int]:
    _, index, count = group
    return -count, index


def _closeness(verdict: HostVerdict) -> tuple[int, float, HostId]:
    missing = sum(obstacle.shortfall for obstacle in verdict.obstacles)
    return len(verdict.obstacles), missing, verdict.host_id


def _reasons(obstacles: Sequence[Obstacle]) -> str:
    return "; ".join(obstacle.message for obstacle in obstacles)


def _closest(nearest: HostVerdict) -> str:
    """Return the host and what it lacks in few words."""
    lacks = [each.lack for each in nearest.obstacles if each.lack]
    others = [each.message for each in nearest.obstacles if not each.lack]
    head = f", it lacks {' and '.join(lacks)}" if lacks else f": {others.pop(0)}"
    rest = f"; and {len(others) - _TOLD} more" if len(others) > _TOLD else ""
    return f"{nearest.host_name} comes closest{head}{''.join(f'; {each}' for each in others[:_TOLD])}{rest}"
