"""Which host each VM gets, and why."""

import os
from random import Random

import pytest
from msgspec.structs import replace
from sample_hosts import DEVICES, NODES, make_fleet, make_load, random_demand, random_host, rooms

from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.model import NoPlacement, Placement
from innkeeper_controller.scheduling.scores import POLICIES
from innkeeper_controller.scheduling.wishes import Relation, Term
from innkeeper_plugins.vocabulary import HostId, NumaCell, NumaWish, PciWish, PinPolicy, VmId

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
RUNS = int(os.environ.get("INNKEEPER_RUNS", "20"))


def chosen(demands, fleet, policy="packing"):
    """Return the host of each VM, None where it got none."""
    return [getattr(each, "host_id", None) for each in Placer(fleet, POLICIES[policy]).place_all(demands)]


def test_packing_fills_the_fullest_host_that_fits(demand, host):
    fleet = make_fleet(host(1), host(2), host(3), used={2: (4, 4096), 3: (7.5, 0)})

    assert chosen([demand()], fleet) == [2]


def test_striping_takes_the_emptiest_host(demand, host):
    fleet = make_fleet(host(1), host(2), host(3), used={1: (4, 0), 3: (1, 0)})

    assert chosen([demand(1), demand(2), demand(3)], fleet, "striping") == [2, 3, 2]


def test_load_aware_takes_the_host_that_is_least_busy_and_knows_no_nonsense(demand, host):
    fleet = make_fleet(host(1), host(2), host(3))
    for number, busy in ((1, 0.5), (2, 0.1), (3, float("nan"))):
        fleet.hear(HostId(number), busy)

    assert chosen([demand()], fleet, "load-aware") == [2]
    assert fleet.number("load").tolist() == [0.5, 0.1, 1.0]


def test_fixed_takes_the_host_of_highest_priority(demand, host):
    assert chosen([demand()], make_fleet(host(1), host(2, priority=0.75)), "fixed") == [2]


def test_a_host_on_which_vms_failed_lately_comes_later(demand, host):
    assert chosen([demand()], make_fleet(host(1, failures=1), host(2))) == [2]


def test_the_rank_of_the_vm_comes_before_the_policy(demand, host):
    fleet = make_fleet(host(1), host(2), used={2: (4, 0)})

    assert chosen([demand(rank="FREE_CPU")], fleet) == [1]
    assert chosen([demand(2, rank="-FREE_CPU")], fleet, "striping") == [2]


def test_of_equal_hosts_the_one_that_has_the_image_is_taken_then_the_one_with_the_lowest_id(demand, host):
    images = {"a": 100}

    assert chosen([demand(images=images)], make_fleet(host(2), host(3, images=frozenset({"a"})), host(1))) == [3]
    assert chosen([demand(images=images)], make_fleet(host(2), host(3), host(1))) == [1]


def test_an_image_that_a_vm_brings_to_a_host_draws_the_next_ones_there(demand, host):
    fleet = make_fleet(host(1), host(2), host(3), used={3: (1, 0)})
    demands = [demand(number, images={"a": 1}, cpu_cores=0, memory_mib=0) for number in (1, 2)]

    assert chosen(demands, fleet, "striping") == [1, 1]


def test_what_one_vm_takes_the_next_ones_no_longer_see(demand, host):
    def fleet():
        return make_fleet(host(1, cpu_cores=2, datastores=rooms(default=40)), host(2, cpu_cores=2))

    assert chosen([demand(number) for number in range(1, 6)], fleet()) == [1, 1, 2, 2, None]
    assert chosen([demand(number, datastores={"default": 30}) for number in (1, 2)], fleet()) == [1, 2]


def test_what_a_vm_gives_back_the_next_ones_can_have(demand, host):
    placer = Placer(make_fleet(host(1, cpu_cores=1)))
    first, second = demand(1), demand(2)

    assert placer.place(first).host_id == 1
    assert placer.place(second) == NoPlacement(vm_id=VmId(2), counts={"cpu": 1})
    placer.end(HostId(1), first)
    assert placer.place(second).host_id == 1


def test_requirements_see_what_was_placed_before_in_the_same_pass(demand, host):
    apart = [demand(1), demand(2, requirements="!(CURRENT_VMS = 1)"), demand(3, requirements="CURRENT_VMS = 2")]
    alone = [demand(number, requirements="RUNNING_VMS < 1") for number in (1, 2, 3)]

    assert chosen(apart, make_fleet(host(1), host(2))) == [1, 2, 2]
    assert chosen(alone, make_fleet(host(1), host(2))) == [1, 2, None]


def test_a_host_may_begin_to_fit_when_another_vm_was_placed_on_it(demand, host):
    first, third = (demand(number, requirements="RUNNING_VMS > 0") for number in (1, 3))

    assert chosen([first, demand(2), third], make_fleet(host(1))) == [None, 1, 1]


def test_members_of_a_group_that_are_to_be_apart_get_a_host_each(demand, host):
    term = Term(relation=Relation.APART, groups=("db",))
    demands = [demand(number, groups=("db",), terms=(term,)) for number in (1, 2, 3)]

    assert chosen(demands, make_fleet(host(1), host(2))) == [1, 2, None]


def test_a_vm_that_an_earlier_one_of_its_kind_was_not_is_kept_away_by_name(demand, host):
    fleet = make_fleet(host(1), host(2))
    fleet.take(HostId(1), make_load(9, terms=(Term(relation=Relation.APART, vm_ids=(VmId(3),)),)))

    assert chosen([demand(number) for number in (1, 2, 3, 4)], fleet) == [1, 1, 2, 1]


def test_a_vm_is_granted_nodes_and_devices_that_nobody_else_gets(demand, host):
    fleet = make_fleet(host(1, numa=NODES, pci=DEVICES[:1]), host(2, numa=NODES, pci=DEVICES[:1]))
    wishes = {"numa": NumaWish(pin_policy=PinPolicy.CORE), "pci": (PciWish(vendor="10de"),), "vcpus": 2}

    assert chosen([demand(number, **wishes) for number in (1, 2, 3)], fleet) == [1, 2, None]
    assert [(load.numa_cells, load.pci_addresses) for load in fleet.special_loads(0)] == [
        ((NumaCell(cell_id=0, host_node=1, vcpus=(0, 1), memory_mib=512, cpus=(2, 3)),), ("0000:01:00.0",))
    ]


def test_a_vm_that_fits_nowhere_holds_up_nobody_and_says_what_keeps_it_out(demand, host):
    fleet = make_fleet(host(1), host(2), host(3, usable=False, unusable_reason="lost"))

    decisions = Placer(fleet).place_all([demand(1, memory_mib=10**6), demand(2), demand(3, memory_mib=10**6)])

    assert decisions[0] == NoPlacement(vm_id=VmId(1), counts={"memory": 3, "host state": 1})
    assert isinstance(decisions[1], Placement)
    assert decisions[2] == NoPlacement(vm_id=VmId(3), counts={"memory": 3, "host state": 1})


def test_without_hosts_nothing_is_placed(demand):
    assert Placer(make_fleet()).place_all([demand(1)]) == [NoPlacement(vm_id=VmId(1), counts={})]
    assert Placer(make_fleet()).place_all([]) == []


def test_a_host_that_comes_or_goes_between_two_choices_counts_from_then_on(demand, host):
    fleet = make_fleet()
    placer = Placer(fleet)

    assert placer.choose(demand(1)) is None
    fleet.put(host(1))
    assert placer.choose(demand(1)).host_id == 1
    fleet.put(host(1, usable=False))
    assert placer.choose(demand(1)) is None
    fleet.put(host(2))
    fleet.drop(HostId(1))
    assert placer.choose(demand(1)).host_id == 2
    fleet.drop(HostId(2))
    assert placer.choose(demand(1)) is None


def test_a_placement_tells_rank_and_score(demand, host):
    fleet = make_fleet(host(1, cpu_cores=4, memory_mib=2048))

    assert Placer(fleet).place(demand(rank="FREE_CPU", images={"a": 1})) == Placement(
        vm_id=VmId(1), host_id=HostId(1), rank=400.0, score=0.25
    )


@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_no_host_is_ever_given_more_than_it_has(seed):
    random = Random(seed)
    fleet = make_fleet(*(random_host(random, number) for number in range(1, random.randint(1, 9))))
    demands = [random_demand(random, number) for number in range(1, 60)]
    taken = Placer(fleet, random.choice(tuple(POLICIES.values()))).place_all(demands)

    rows = [fleet.row_of[each.host_id] for each in taken if isinstance(each, Placement)]
    names = ("cpu_free", "memory_free", "disk:default", "disk:fast")
    free = {name: [fleet.number(name).item(row) for row in rows] for name in names}
    assert min(free["cpu_free"], default=0) >= -1e-6
    assert all(each >= 0 for name in names[1:] for each in free[name] if each != float("-inf"))


def test_demands_that_are_equal_but_for_their_number_are_spread_as_if_each_were_alone(demand, host):
    def fleet():
        return make_fleet(*(host(number, cpu_cores=2 + number % 3) for number in range(1, 12)))

    one = demand(requirements="RUNNING_VMS < 3")
    alike, alone = Placer(fleet()), fleet()
    demands = [replace(one, vm_id=VmId(number)) for number in range(1, 40)]

    assert [alike.place(each) for each in demands] == [Placer(alone).place(each) for each in demands]


def test_vms_alike_that_are_near_or_far_from_others_are_looked_for_once_where_they_fit_nowhere(demand, host):
    apart = (Term(relation=Relation.APART, groups=("web",)),)
    placer = Placer(make_fleet(host(1), host(2)))
    asked = []
    best = placer.search.best
    placer.search.best = lambda each: asked.append(each.vm_id) or best(each)
    found = placer.place_all(demand(number, groups=("web",), terms=apart) for number in range(6))

    assert [isinstance(each, Placement) for each in found] == [True, True, False, False, False, False]
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_who_asked_in_vain_before_leads_nobody_to_another_choice(seed, demand, host):
    random = Random(seed)
    fleet = make_fleet(*(host(number, cpu_cores=3.0) for number in range(1, 5)))
    placer = Placer(fleet)
    terms = (
        (Term(relation=Relation.APART, groups=("web",)),),
        (Term(relation=Relation.TOGETHER, groups=("db",)),),
        tuple(Term(relation=Relation.APART, vm_ids=(VmId(each),)) for each in random.sample(range(60), 20)),
    )
    taken = []
    for number in range(60):
        asked = demand(number, cpu_cores=random.choice((1.0, 2.0)), groups=("web",), terms=random.choice(terms))
        found = Placer(fleet).choose(asked)
        assert placer.choose(asked) == found
        if found is not None:
            fleet.take(found.host_id, asked)
            taken.append((found.host_id, asked))
        if taken and random.random() < 0.2:
            fleet.give_back(*taken.pop(random.randrange(len(taken))))
