"""Plans that make hosts better used: each move holds by itself, none is for nothing, and planning changes nothing."""

import os
from random import Random

import pytest
from balance_site import Site
from sample_hosts import make_demand, make_host, random_host

from innkeeper_controller.scheduling.moves.balancing import BalancePlan, Goal, PlannedMove
from innkeeper_controller.scheduling.wishes import Relation, Term
from innkeeper_plugins.vocabulary import HostId, VmId

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))


def shown(plan):
    """Return where each VM goes, and how bad things were and are."""
    return [(move.vm_id, move.source_id, move.target_id) for move in plan.moves], plan.before, plan.after


def apart(*groups, hard=True):
    return Term(relation=Relation.APART, groups=groups, is_hard=hard)


def together(*groups, hard=True):
    return Term(relation=Relation.TOGETHER, groups=groups, is_hard=hard)


def test_evening_out_moves_from_the_fullest_host_to_where_that_helps_most():
    site = Site(make_host(1), make_host(2), make_host(3))
    site.put(1, *(make_demand(number, cpu_cores=2, memory_mib=2048) for number in (1, 2, 3)))

    moves, before, after = shown(site.balance(Goal.EVEN))
    assert moves == [(1, 1, 2), (2, 1, 3)]
    assert (before, after) == (0.353553, 0.0)


def test_a_host_is_freed_where_all_of_its_vms_go_elsewhere():
    site = Site(make_host(1), make_host(2), make_host(3))
    site.put(1, make_demand(1, cpu_cores=1), make_demand(2, cpu_cores=2))
    site.put(2, make_demand(3, cpu_cores=5))

    plan = site.balance(Goal.CONSOLIDATE)
    reason = "h1 has only 2 VMs and is free without"
    assert plan == BalancePlan(
        goal=Goal.CONSOLIDATE,
        before=0.666667,
        after=0.333333,
        version=site.fleet.version(),
        moves=(
            PlannedMove(vm_id=VmId(2), source_id=HostId(1), target_id=HostId(2), reason=reason, gain=0.166667),
            PlannedMove(vm_id=VmId(1), source_id=HostId(1), target_id=HostId(2), reason=reason, gain=0.166667),
        ),
    )


def test_a_host_that_cannot_be_emptied_keeps_all_of_its_vms():
    site = Site(make_host(1), make_host(2))
    site.put(1, make_demand(1, cpu_cores=1), make_demand(2, cpu_cores=4)).put(2, make_demand(3, cpu_cores=5))

    assert shown(site.balance(Goal.CONSOLIDATE)) == ([], 1.0, 1.0)


def test_vms_that_are_too_near_to_each_other_are_parted():
    site = Site(make_host(1), make_host(2))
    site.put(1, *(make_demand(number, groups=("db",), terms=(apart("db"),)) for number in (1, 2)))

    plan = site.balance(Goal.AFFINITY)
    assert shown(plan) == ([(1, 1, 2)], 1.0, 0.0)
    assert plan.moves[0].reason == "it is to be apart from group db"


def test_who_is_complained_of_goes_where_who_complains_cannot():
    site = Site(make_host(1), make_host(2))
    stuck = make_demand(1, terms=(apart("noisy"),), pci_addresses=("0000:01:00.0",))
    site.put(1, stuck, make_demand(2, groups=("noisy",)))

    plan = site.balance(Goal.AFFINITY)
    assert shown(plan) == ([(2, 1, 2)], 1.0, 0.0)
    assert plan.moves[0].reason == "VM 1 is to be apart from group noisy"


def test_wishes_are_met_too_where_nothing_hard_forbids_it():
    site = Site(make_host(1), make_host(2))
    site.put(1, make_demand(1, terms=(together("cache", hard=False),)))
    site.put(2, make_demand(2, groups=("cache",)))

    assert shown(site.balance(Goal.AFFINITY)) == ([(1, 1, 2)], 1.0, 0.0)


def test_a_plan_that_gains_too_little_has_no_moves():
    site = Site(make_host(1), make_host(2), make_host(3))
    site.put(1, make_demand(1, cpu_cores=1), make_demand(2, cpu_cores=2)).put(2, make_demand(3, cpu_cores=5))

    assert shown(site.balance(Goal.CONSOLIDATE, minimum_gain=0.4)) == ([], 0.666667, 0.666667)
    assert len(site.balance(Goal.CONSOLIDATE, minimum_gain=0.3).moves) == 2


def random_site(number):
    random = Random(SEED * 1_000 + number)
    site = Site(*[random_host(random, each, plain=0.7) for each in range(1, 9)], policy="packing")
    site.fill(random, 60)
    # Some came together later than they asked to be apart, as people and failed hosts bring about.
    for vm_id in random.sample(sorted(site.demands), min(6, len(site.demands))):
        changed = make_demand(vm_id, groups=("a",), terms=(apart("a", hard=random.random() < 0.5),))
        site.fleet.give_back(site.host_of[vm_id], site.demands[vm_id])
        site.put(site.host_of[vm_id], changed)
    return site, random


@pytest.mark.parametrize("goal", Goal)
@pytest.mark.parametrize("number", range(10))
def test_every_move_holds_in_turn_and_gains_and_planning_leaves_the_fleet_as_it_was(goal, number):
    site, random = random_site(number)
    limits = {"max_moves": random.choice((1, 3, 100)), "max_per_host": random.choice((0, 1, 3))}
    before = site.fleet.copy()

    plan = site.balance(goal, **limits)
    assert site.fleet == before
    assert site.balance(goal, **limits) == plan
    assert all(move.gain >= 0 for move in plan.moves)
    assert plan.after <= plan.before
    assert not plan.moves or plan.after < plan.before
    assert len(plan.moves) <= limits["max_moves"]
    touched = [host_id for move in plan.moves for host_id in (move.source_id, move.target_id)]
    assert not limits["max_per_host"] or all(touched.count(each) <= limits["max_per_host"] for each in set(touched))
    for move in plan.moves:
        site.carry_out(move)
    again = site.balance(goal)
    assert again.before == plan.after
    assert sum(move.gain for move in plan.moves) == pytest.approx(plan.gain, abs=1e-5 * (1 + len(plan.moves)))
