"""Near whom and far from whom a VM may be: the terms of its own, and those of VMs that keep it away.

A place is a host, or all hosts with one value of the label that a term has as its scope.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np

from innkeeper_controller.scheduling.columns.fleet import BoolArray, Fleet, FloatArray, IntArray, repelled_keys
from innkeeper_controller.scheduling.columns.hosts import OneHost, Rows
from innkeeper_controller.scheduling.model import Demand, Load, Obstacle
from innkeeper_controller.scheduling.wishes import HOST_SCOPE, OWNER_MARK, Relation, Term
from innkeeper_controller.scheduling.words import few, listed
from innkeeper_plugins.vocabulary import HostId, VmId

#: ``(name of the clause, relation that it is about)``
CLAUSES: Final = (
    ("affinity", Relation.TOGETHER),
    ("anti-affinity", Relation.APART),
    ("spread", Relation.SPREAD),
)


def holding(relation: Relation) -> Callable[[Demand, Rows], BoolArray]:
    """Return what says of each host whether all hard terms of a relation hold there."""

    def holds(demand: Demand, hosts: Rows) -> BoolArray:
        mask = np.ones(len(hosts.at), dtype=np.bool_)
        for term in _hard(demand, relation):
            mask &= holds_there(term, hosts)
        return mask

    return _holds_apart if relation is Relation.APART else holds


def _holds_apart(demand: Demand, hosts: Rows) -> BoolArray:
    """Say of each host whether nobody is there whom the VM, or who the VM, is kept away from: all asked at once."""
    fleet = hosts.fleet
    taken = list(_repelling_rows(demand, fleet)) if fleet.repelling else []
    scoped = []
    for term in demand.terms:
        if term.is_hard and term.relation is Relation.APART:
            if term.scope == HOST_SCOPE:
                taken += _rows_of(term, fleet)
            else:
                scoped.append(term)
    mask = ~hosts.among(taken) if taken else np.ones(len(hosts.at), dtype=np.bool_)
    for term in scoped:
        mask &= holds_there(term, hosts)
    return mask


def concerning(relation: Relation) -> Callable[[Demand, Fleet], bool]:
    """Return what says whether a VM has hard terms of a relation, or others have some about it."""

    def concerns(demand: Demand, fleet: Fleet) -> bool:
        for term in demand.terms:
            if term.is_hard and term.relation is relation:
                return True
        if relation is not Relation.APART or not fleet.repelling:
            return False
        return any(True for _ in _repelling_rows(demand, fleet))

    return concerns


def _hard(demand: Demand, relation: Relation) -> Iterator[Term]:
    return (term for term in demand.terms if term.is_hard and term.relation is relation) if demand.terms else iter(())


def _repelling_rows(demand: Demand, fleet: Fleet) -> Iterator[IntArray]:
    """Go over rows where VMs keep this one away."""
    keys = repelled_keys(demand.groups, (demand.vm_id,))
    for scope, repelling in fleet.repelling.items():
        for rows in repelling.rows(keys):
            yield rows if scope == HOST_SCOPE else _rows_of_places(fleet, scope, rows)


def _rows_of_places(fleet: Fleet, scope: str, rows: IntArray) -> IntArray:
    """Return all rows of the places that the given rows are in."""
    codes = fleet.places(scope).codes
    # One more place than there is, the last, for those that are in none (-1).
    wanted = np.zeros(codes.max(initial=-1) + 2, dtype=np.bool_)
    wanted[codes[rows]] = True
    wanted[-1] = False
    return np.flatnonzero(wanted[codes])


def holds_there(term: Term, hosts: Rows) -> BoolArray:
    """Say of each host whether a term holds there."""
    if term.relation is Relation.SPREAD:
        return _spread_holds(term, hosts)
    members = _rows_of(term, hosts.fleet)
    if term.relation is Relation.TOGETHER and not members:
        return _in_scope(term.scope, hosts)
    if term.scope == HOST_SCOPE:
        found = hosts.among(members)
    else:
        found = hosts.among([_rows_of_places(hosts.fleet, term.scope, rows) for rows in members])
    return found if term.relation is Relation.TOGETHER else ~found & _in_scope(term.scope, hosts)


def _rows_of(term: Term, fleet: Fleet) -> list[IntArray]:
    """Return the rows that hold any of those whom a term means; an empty list where nobody does."""
    found = fleet.groups.rows(term.groups)
    if not term.vm_ids:
        return found
    rows = [row for vm_id in term.vm_ids for row in fleet.rows_with_vm(vm_id)]
    return [*found, np.array(rows, dtype=np.int64)] if rows else found


def _in_scope(scope: str, hosts: Rows) -> BoolArray:
    return np.ones(len(hosts.at), dtype=np.bool_) if scope == HOST_SCOPE else hosts.places(scope) >= 0


def _spread_holds(term: Term, hosts: Rows) -> BoolArray:
    counts, least = counts_by_place(term, hosts)
    return (counts + 1 - least <= term.max_skew) & _in_scope(term.scope, hosts)


def counts_by_place(term: Term, hosts: Rows) -> tuple[FloatArray, float]:
    """Return how many of those whom a term means each host's place has, and the least of all places.

    A host that is lost still is one: it comes back, and until then nobody crowds the others.
    """
    fleet = hosts.fleet
    counts = np.zeros(fleet.count)
    for row, count in fleet.groups.counts(term.groups).items():
        counts[row] += count
    for vm_id in term.vm_ids:
        for row in fleet.rows_with_vm(vm_id):
            counts[row] += 1
    expected = fleet.each("expected", lambda view: view.is_expected)[: fleet.count]
    if term.scope == HOST_SCOPE:
        return counts.take(hosts.at), float(counts[expected].min()) if expected.any() else 0.0
    codes = fleet.places(term.scope).codes[: fleet.count]
    placed = codes >= 0
    if not (placed & expected).any():
        return np.zeros(len(hosts.at)), 0.0
    of_place = np.bincount(codes[placed], weights=counts[placed], minlength=int(codes.max()) + 1)
    least = float(of_place[np.unique(codes[placed & expected])].min())
    return np.where(codes[hosts.at] >= 0, of_place[codes[hosts.at]], 0.0), least


def telling(relation: Relation) -> Callable[[Demand, OneHost], Obstacle]:
    """Return what says which term does not hold on a host."""
    name = next(each for each, of in CLAUSES if of is relation)

    def words(demand: Demand, host: OneHost) -> Obstacle:
        rows = Rows(host.fleet, np.array([host.row]))
        failing = [term for term in _hard(demand, relation) if not holds_there(term, rows)[0]]
        texts = [_why_not(term, host, rows) for term in failing]
        if relation is Relation.APART and any(host.row in kept for kept in _repelling_rows(demand, host.fleet)):
            texts.append(_repelled(demand, host))
        return Obstacle(clause=name, message="; ".join(texts))

    return words


def bare(group: str) -> str:
    """Return a group's name without its owner."""
    return group.rpartition(OWNER_MARK)[2]


def whom(term: Term) -> str:
    """Return whom a term is about, as people say it."""
    groups = [f"group {bare(name)}" for name in term.groups]
    return listed([*groups, *(f"VM {vm_id}" for vm_id in term.vm_ids)])


def _why_not(term: Term, host: OneHost, rows: Rows) -> str:
    place = place_words(term.scope, host)
    if term.scope != HOST_SCOPE and term.scope not in host.view.labels:
        return f"the VM is to be placed by {term.scope}, and the host has no label {term.scope}"
    match term.relation:
        case Relation.TOGETHER:
            return f"the VM is to be with {whom(term)}, and none of them is {place}{_where_they_are(term, host.fleet)}"
        case Relation.APART:
            return f"the VM is to be apart from {whom(term)}, and one is {place}"
        case Relation.SPREAD:
            counts, least = counts_by_place(term, rows)
            return (
                f"{counts[0]:g} of {whom(term)} are {place}, the emptiest {term.scope} has {least:g}, "
                f"and they may differ by {term.max_skew}"
            )


def _where_they_are(term: Term, fleet: Fleet) -> str:
    """Return where those are whom a VM is to be with, as far as it is short."""
    rows = {row for each in _rows_of(term, fleet) for row in each.tolist()}
    views = [view for row in sorted(rows) if (view := fleet.views[row]) is not None]
    if term.scope == HOST_SCOPE:
        return f"; they are on {few([view.name for view in views])}" if views else ""
    places = sorted({view.labels[term.scope] for view in views if term.scope in view.labels})
    return f"; they are in {term.scope} {few(places)}" if places else ""


def rivals(demand: Demand, host: OneHost, loads_on: Callable[[HostId], Iterable[Load]]) -> dict[VmId, str]:
    """Return the VMs that this one is to be apart from, or that keep it away, and the name of the host of each.

    Args:
        demand: The VM.
        host: Where the clause does not hold.
        loads_on: Gives what the VMs on a host take of it.
    """
    own = list(_hard(demand, Relation.APART))
    rows = {row for term in own for each in _rows_of(term, host.fleet) for row in each.tolist()}
    rows |= {row for each in _repelling_rows(demand, host.fleet) for row in each.tolist()}
    found: dict[VmId, str] = {}
    for view in (view for row in sorted(rows) if (view := host.fleet.views[row]) is not None):
        scopes = {scope for scope in view.labels if view.labels[scope] == host.view.labels.get(scope)}
        scopes |= {HOST_SCOPE} if view.host_id == host.view.host_id else set()
        for load in loads_on(view.host_id) if scopes else ():
            theirs = (term for term in load.terms if term.is_hard and term.relation is Relation.APART)
            is_one = any(_means(term, load) for term in own if term.scope in scopes)
            if is_one or any(_means(term, demand) for term in theirs if term.scope in scopes):
                found[load.vm_id] = view.name
    return found


def ends_would_help(demand: Demand, host: OneHost) -> bool:
    """Say whether the end of those in the way is all that it takes for a VM that is to be apart from others.

    Not where the host is in no place of a scope; and one that wants to be near others may want the same ones.
    """
    if any(term.is_hard and term.relation is not Relation.APART for term in demand.terms):
        return False
    scopes = {term.scope for term in _hard(demand, Relation.APART)} - {HOST_SCOPE}
    return scopes <= host.view.labels.keys()


def _means(term: Term, load: Load) -> bool:
    return load.vm_id in term.vm_ids or not set(term.groups).isdisjoint(load.groups)


def place_words(scope: str, host: OneHost) -> str:
    """Return where a host is in a scope: ``on this host``, ``in rack r1``."""
    return "on this host" if scope == HOST_SCOPE else f"in {scope} {host.view.labels.get(scope, '?')}"


def _repelled(demand: Demand, host: OneHost) -> str:
    names = listed(f"group {bare(name)}" for name in demand.groups) or f"VM {demand.vm_id}"
    scopes = " or ".join("host" if scope == HOST_SCOPE else scope for scope in sorted(host.fleet.repelling))
    return f"a VM on the same {scopes} is to be apart from {names}"


def satisfied(demand: Demand, hosts: Rows) -> FloatArray:
    """Return which part of a VM's wishes about others each host meets, 0 to 1, by their weights."""
    total = np.zeros(len(hosts.at))
    weights = 0.0
    for term in demand.terms:
        if not term.is_hard:
            total += term.weight * _how_well(term, hosts)
            weights += term.weight
    return total / weights if weights else total


def _how_well(term: Term, hosts: Rows) -> FloatArray:
    if term.relation is not Relation.SPREAD:
        return holds_there(term, hosts).astype(np.float64)
    counts, least = counts_by_place(term, hosts)
    return np.where(_in_scope(term.scope, hosts), 1.0 / (1.0 + np.maximum(0.0, counts - least)), 0.0)


def has_wishes(demand: Demand) -> bool:
    """Say whether the VM has any wish about others."""
    return any(not term.is_hard for term in demand.terms)
