"""Rebalancing: which VMs to move so that hosts are used better, step by step, each step checked by every clause.

It moves nobody: the fleet is left as it was. It is greedy; the same fleet gives the same plan.
"""

from typing import Final

from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.moves import consolidating, evening, repairing
from innkeeper_controller.scheduling.moves.balance_plans import (
    DIGITS,
    BalancePlan,
    Goal,
    Limits,
    PlannedMove,
    Work,
)
from innkeeper_controller.scheduling.moves.making_room import Trial
from innkeeper_controller.scheduling.moves.tenants import DemandOf, LoadsOn

__all__ = ["MEASURES", "BalancePlan", "Goal", "Limits", "PlannedMove", "balance"]

#: ``{goal: what is measured, 0 to 1, the less the better}``
MEASURES: Final = {
    Goal.EVEN: "how far hosts are from the part used of all, root of the mean square over cores and memory",
    Goal.CONSOLIDATE: "part of the hosts that has VMs",
    Goal.AFFINITY: "part of what VMs ask about others that is not so, by weight",
}
_NO_LIMITS: Final = Limits()


def balance(
    search: Search,
    goal: Goal,
    loads_on: LoadsOn,
    *,
    demand_of: DemandOf,
    limits: Limits = _NO_LIMITS,
    all_loads_on: LoadsOn | None = None,
) -> BalancePlan:
    """Return what to move.

    Args:
        search: The fleet, its clauses and the policy by which VMs get their hosts; no other thread may use the fleet
            meanwhile.
        goal: What for.
        loads_on: Gives the VMs on a host that may be moved; those with nodes or devices stay anyway.
        demand_of: Gives what such a VM asks of a host.
        limits: How much may be done.
        all_loads_on: Gives all VMs on a host, for what they ask about each other; ``loads_on`` where nothing is said.
    """
    version = search.fleet.version()
    with Trial(search) as trial:
        work = Work(search, loads_on, demand_of, limits, trial)
        if goal is Goal.AFFINITY:
            grievances = repairing.Grievances(search, all_loads_on or loads_on)
            before = grievances.measure
            repairing.improve(work, grievances)
            after = grievances.measure
        else:
            way = {Goal.EVEN: evening, Goal.CONSOLIDATE: consolidating}[goal]
            before = way.measure(search)
            way.improve(work)
            after = way.measure(search)
    if not work.moves or before - after < limits.minimum_gain:
        return BalancePlan(goal=goal, before=round(before, DIGITS), after=round(before, DIGITS), version=version)
    return BalancePlan(
        goal=goal, before=round(before, DIGITS), after=round(after, DIGITS), version=version, moves=tuple(work.moves)
    )
