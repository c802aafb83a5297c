"""What if: lines are placed as the scheduler would, hosts that die leave no trace, and full is full."""

from random import Random

import msgspec
import pytest
from sample_hosts import make_demand, make_fleet, make_host, random_demand, random_host

from innkeeper_controller.scheduling.answers.what_if import Lost, Outcome, Unit, commonest, fill, lose, place_line
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.model import Placement
from innkeeper_controller.scheduling.options import OrderOptions
from innkeeper_controller.scheduling.wishes import Relation, Term
from innkeeper_plugins.vocabulary import HostId, VmId

replace = msgspec.structs.replace
NO_LIMITS = OrderOptions()
SEEDS = range(40)


def alone(*demands, owner="ann"):
    return [Unit(owner=owner, demands=(demand,)) for demand in demands]


def a_crowd(seed, hosts=12, vms=60):
    """Return what places on random hosts, and what random VMs took of which."""
    random = Random(seed)
    fleet = make_fleet(*(random_host(random, number, plain=0.5) for number in range(1, hosts + 1)))
    placer = Placer(fleet)
    taken = {}
    for number in range(1, vms + 1):
        demand = random_demand(random, number, list(taken)[:5], [])
        placer.place(demand)
        rows = fleet.rows_with_vm(number)
        if rows and demand.numa is None and not demand.pci:
            taken[number] = (fleet.views[rows[0]].host_id, demand)
    return random, placer, taken


# --- lines


def test_those_who_stand_in_line_take_what_those_behind_them_no_longer_have():
    placer = Placer(make_fleet(make_host(1, cpu_cores=2.0), make_host(2, cpu_cores=1.0)))
    outcome = place_line(placer, alone(*(make_demand(number) for number in range(1, 5))), NO_LIMITS, {})

    assert outcome == Outcome(hosts={1: 1, 2: 1, 3: 2} if 1 in outcome.hosts else {}, left_out={})
    assert placer.choose(make_demand(9)) is None


def test_a_gang_that_does_not_fit_whole_takes_nothing():
    fleet = make_fleet(make_host(1, cpu_cores=2.0))
    before = fleet.picture()
    gang = Unit(owner="ann", demands=tuple(make_demand(number) for number in (1, 2, 3)))

    assert place_line(Placer(fleet), [gang], NO_LIMITS, {}) == Outcome(hosts={}, left_out={})
    assert fleet.picture() == before


def test_who_has_all_that_a_user_may_have_is_left_out_with_the_reason():
    options = OrderOptions(max_placed_per_user=2)
    outcome = place_line(Placer(make_fleet(make_host())), alone(*map(make_demand, (1, 2))), options, {"ann": 1})

    assert (outcome.hosts, list(outcome.left_out)) == ({1: 1}, [2])
    assert "which is the limit" in outcome.left_out[VmId(2)]


def test_a_limit_of_one_pass_only_puts_who_is_over_it_behind_the_others():
    options = OrderOptions(max_per_pass_and_user=1)
    line = [*alone(*map(make_demand, (1, 2, 3))), *alone(make_demand(4), owner="bob")]
    outcome = place_line(Placer(make_fleet(make_host(cpu_cores=3.0))), line, options, {})

    assert outcome == Outcome(hosts={1: 1, 4: 1, 2: 1}, left_out={})


def test_who_may_go_to_one_host_only_goes_there_or_nowhere():
    placer = Placer(make_fleet(make_host(1, cpu_cores=1.0), make_host(2), make_host(3)))
    wanted = {VmId(1): HostId(1), VmId(2): HostId(1), VmId(3): HostId(3), VmId(4): HostId(9), VmId(5): None}
    outcome = place_line(placer, alone(*map(make_demand, range(1, 6))), NO_LIMITS, {}, wanted=wanted)

    assert outcome == Outcome(hosts={1: 1, 3: 3}, left_out={})


@pytest.mark.parametrize("seed", SEEDS)
def test_a_line_goes_where_single_vms_would_have_gone_one_after_the_other(seed):
    random, placer, taken = a_crowd(seed, vms=20)
    demands = [random_demand(random, number, list(taken)[:5], []) for number in range(100, 130)]
    other = Placer(placer.fleet.copy())
    decisions = other.place_all(demands)
    outcome = place_line(placer, alone(*demands), NO_LIMITS, {})

    assert outcome.hosts == {each.vm_id: each.host_id for each in decisions if isinstance(each, Placement)}
    assert placer.fleet == other.fleet


# --- hosts that die


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fleet_is_as_before_after_hosts_have_died_on_trial(seed):
    random, placer, taken = a_crowd(seed)
    before, version = placer.fleet.picture(), placer.fleet.version()
    for host_id in list(placer.fleet.row_of):
        dead = frozenset({host_id, random.choice(list(placer.fleet.row_of))})
        lost = [
            Lost(load=demand, host_id=there, demand=replace(demand, excluded=dead))
            for there, demand in taken.values()
            if there in dead
        ]
        losses = lose(placer, lost, told=1)

        assert not dead & set(losses.hosts.values())
        assert len(losses.hosts) == len(lost)
        assert len(losses.verdicts) == min(1, list(losses.hosts.values()).count(None))
    assert (placer.fleet.picture(), placer.fleet.version()) == (before, version)


def test_vms_of_a_dead_host_keep_nobody_away_any_more():
    apart = Term(relation=Relation.APART, groups=("db",), scope="rack")
    rack = {"labels": {"rack": "r1"}}
    placer = Placer(make_fleet(make_host(1, **rack), make_host(2, **rack)))
    demand = make_demand(1, groups=("db",), terms=(apart,))
    placer.fleet.take(HostId(1), demand)
    lost = Lost(load=demand, host_id=HostId(1), demand=replace(demand, excluded=frozenset({HostId(1)})))

    assert lose(placer, [lost], told=9).hosts == {1: 2}


# --- full


@pytest.mark.parametrize("seed", SEEDS)
def test_as_many_fit_on_each_host_as_come_there_one_after_the_other(seed):
    random, placer, taken = a_crowd(seed, vms=20)
    demand = random_demand(random, 1000, list(taken)[:5], [])
    demand = replace(demand, capacity=replace(demand.capacity, cpu_cores=1.0), groups=random.choice(((), ("a",))))
    other = Placer(placer.fleet.copy())
    filled = fill(placer, demand, 10_000)
    counts, number = {}, 1000
    while isinstance(found := other.place(replace(demand, vm_id=VmId(number))), Placement):
        counts[found.host_id] = counts.get(found.host_id, 0) + 1
        number += 1

    assert (filled.fits, filled.is_full) == (counts, True)
    assert all(filled.keeps_out.values()), "a host that nothing keeps one more out of has room"
    assert set(filled.fits) <= filled.could
    assert placer.choose(replace(demand, vm_id=VmId(number))) is None


@pytest.mark.parametrize(("limit", "is_full"), [(0, False), (7, False), (8, True), (9, True)])
def test_counting_ends_at_the_limit_and_says_so(limit, is_full):
    filled = fill(Placer(make_fleet(make_host(cpu_cores=8.0))), make_demand(), limit)

    assert (filled.count, filled.is_full) == (min(limit, 8), is_full)


def test_what_keeps_out_most_often_comes_first():
    assert commonest([("cpu",), ("memory", "cpu"), ()]) == {"cpu": 2, "memory": 1}
