"""Which host each VM gets, and why."""

import os

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sample_hosts import random_demands, random_hosts

from innkeeper_controller.scheduling.clauses import checks_for
from innkeeper_controller.scheduling.match_making import place, verdicts, with_placed
from innkeeper_controller.scheduling.model import HostVerdict, NoPlacement, Obstacle, Placement, Verdicts
from innkeeper_controller.scheduling.scores import POLICIES, total_score
from innkeeper_plugins.vocabulary import Capacity, HostId, VmId

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
ALL = settings(max_examples=100, deadline=None)


def chosen(demands, hosts, **more):
    """Return the host of each VM, None where it got none."""
    return [getattr(each, "host_id", None) for each in place(demands, hosts, **more)]


def test_packing_fills_the_fullest_host_that_fits(demand, host):
    hosts = [host(1), host(2, used_cpu_cores=4, used_memory_mib=4096), host(3, used_cpu_cores=7.5)]

    assert chosen([demand()], hosts) == [2]


def test_striping_takes_the_emptiest_host(demand, host):
    hosts = [host(1, used_cpu_cores=4), host(2), host(3, used_cpu_cores=1)]

    assert chosen([demand(1), demand(2), demand(3)], hosts, policy="striping") == [2, 3, 2]


def test_the_rank_of_the_vm_comes_before_the_policy(demand, host):
    hosts = [host(1), host(2, used_cpu_cores=4)]

    assert chosen([demand(rank="FREE_CPU")], hosts) == [1]
    assert chosen([demand(rank="-FREE_CPU")], hosts, policy="striping") == [2]


def test_of_equal_hosts_the_one_that_has_the_image_is_taken_then_the_one_with_the_lowest_id(demand, host):
    images = {"a": 100}

    assert chosen([demand(images=images)], [host(2), host(3, images=frozenset({"a"})), host(1)]) == [3]
    assert chosen([demand(images=images)], [host(2), host(3), host(1)]) == [1]


def test_what_one_vm_takes_the_next_ones_no_longer_see(demand, host):
    hosts = [host(1, cpu_cores=2, datastores={"default": 40}), host(2, cpu_cores=2)]

    assert chosen([demand(number) for number in range(1, 6)], hosts) == [1, 1, 2, 2, None]
    assert chosen([demand(1, datastores={"default": 30}), demand(2, datastores={"default": 30})], hosts) == [1, 2]


def test_requirements_see_what_was_placed_before_in_the_same_pass(demand, host):
    apart = [demand(1), demand(2, requirements="!(CURRENT_VMS = 1)"), demand(3, requirements="CURRENT_VMS = 2")]

    assert chosen(apart, [host(1), host(2)]) == [1, 2, 2]
    assert chosen([demand(number, requirements="RUNNING_VMS < 1") for number in (1, 2, 3)], [host(1), host(2)]) == [
        1,
        2,
        None,
    ]


def test_a_host_may_begin_to_fit_when_another_vm_was_placed_on_it(demand, host):
    waiting = demand(1, requirements="RUNNING_VMS > 0")
    again = demand(3, requirements="RUNNING_VMS > 0")

    assert chosen([waiting, demand(2), again], [host(1)]) == [None, 1, 1]


def test_a_vm_that_fits_nowhere_holds_up_nobody_and_says_what_keeps_it_out(demand, host):
    hosts = [host(1), host(2), host(3, usable=False, unusable_reason="lost")]

    decisions = place([demand(1, memory_mib=10**6), demand(2), demand(3, memory_mib=10**6)], hosts)

    assert decisions[0] == NoPlacement(vm_id=VmId(1), counts={"memory": 2, "host state": 1})
    assert isinstance(decisions[1], Placement)
    assert decisions[2] == NoPlacement(vm_id=VmId(3), counts={"memory": 2, "host state": 1})


def test_without_hosts_nothing_is_placed(demand):
    assert place([demand(1)], []) == [NoPlacement(vm_id=VmId(1), counts={})]
    assert place([], []) == []


def test_an_unknown_policy_is_refused(demand, host):
    with pytest.raises(KeyError):
        place([demand()], [host()], policy="random")


def test_a_placement_tells_rank_and_score(demand, host):
    hosts = [host(1, cpu_cores=4, memory_mib=2048)]

    assert place([demand(rank="FREE_CPU", images={"a": 1})], hosts) == [
        Placement(vm_id=VmId(1), host_id=HostId(1), rank=400.0, score=0.25)
    ]


def exhaustive(demands, hosts, policy):
    """Try every host for every VM, as plainly as can be."""
    hosts, decisions = list(hosts), []
    for demand in demands:
        fitting = [host for host in hosts if not any(check(demand, host) for check in checks_for(demand))]
        if not fitting:
            decisions.append(None)
            continue

        def quality(host, demand=demand):
            rank = demand.rank.of(host.attributes) if demand.rank else 0.0
            return -rank, -total_score(POLICIES[policy], demand, host), host.host_id

        best = min(fitting, key=quality)
        hosts[hosts.index(best)] = with_placed(best, demand)
        decisions.append(best.host_id)
    return decisions


@seed(SEED)
@ALL
@given(random_hosts(), random_demands(), st.sampled_from(sorted(POLICIES)))
def test_the_choice_is_the_one_that_trying_every_host_would_make(hosts, demands, policy):
    assert chosen(demands, hosts, policy=policy) == exhaustive(demands, hosts, policy)


@seed(SEED)
@ALL
@given(random_hosts(), random_demands())
def test_no_host_is_ever_given_more_than_it_has(hosts, demands):
    by_id = {host.host_id: host for host in hosts}
    of_vm = {demand.vm_id: demand for demand in demands}
    for decision in place(demands, hosts):
        if isinstance(decision, Placement):
            by_id[decision.host_id] = with_placed(by_id[decision.host_id], of_vm[decision.vm_id])

    for before in hosts:
        after = by_id[before.host_id]
        if after is not before:
            assert after.used.cpu_cores <= after.total.cpu_cores + 1e-6
            assert after.used.memory_mib <= after.total.memory_mib
            assert all(free >= 0 for free in after.datastores.values())


def test_verdicts_tell_for_every_host_what_fails_or_how_good_it_would_be(demand, host):
    hosts = [
        host(1, used_cpu_cores=4),
        host(2, memory_mib=256, bridges=frozenset()),
        host(3, used_cpu_cores=6),
        host(4, memory_mib=500),
    ]

    assert verdicts(demand(9, rank="FREE_CPU"), hosts) == Verdicts(
        vm_id=VmId(9),
        hosts=(
            HostVerdict(
                host_id=HostId(1),
                host_name="h1",
                scores={"rank": 400.0, "packing": 0.34375, "image locality": 1.0, "total": 0.64375},
            ),
            HostVerdict(
                host_id=HostId(3),
                host_name="h3",
                scores={"rank": 200.0, "packing": 0.46875, "image locality": 1.0, "total": 0.76875},
            ),
            HostVerdict(
                host_id=HostId(4),
                host_name="h4",
                obstacles=(
                    Obstacle(
                        clause="memory",
                        message="512 MiB of memory are needed, 500 MiB of 500 MiB are free",
                        shortfall=12 / 512,
                    ),
                ),
            ),
            HostVerdict(
                host_id=HostId(2),
                host_name="h2",
                obstacles=(
                    Obstacle(
                        clause="memory",
                        message="512 MiB of memory are needed, 256 MiB of 256 MiB are free",
                        shortfall=0.5,
                    ),
                    Obstacle(clause="bridge", message="the host has no bridge br0"),
                ),
            ),
        ),
        counts={"memory": 2, "bridge": 1},
    )


def test_the_nearest_miss_is_named_where_nothing_fits(demand, host):
    hosts = [host(1, memory_mib=4096), host(2, memory_mib=6144), host(3, usable=False, unusable_reason="lost")]

    assert verdicts(demand(memory_mib=8000), hosts).nearest_miss == (
        "h2 comes closest: 8000 MiB of memory are needed, 6 GiB of 6 GiB are free."
    )
    assert verdicts(demand(), []).nearest_miss == ""
    assert verdicts(demand(), hosts).nearest_miss == ""


def mended(host, demand, clause):
    """Return host and demand with just that obstacle out of the way."""
    need, used, total = demand.capacity, host.used, host.total
    enough = {
        "memory": {"total": Capacity(cpu_cores=total.cpu_cores, memory_mib=used.memory_mib + need.memory_mib)},
        "cpu": {"total": Capacity(cpu_cores=used.cpu_cores + need.cpu_cores, memory_mib=total.memory_mib)},
        "host state": {"usable": True},
        "hypervisor": {"hypervisors": host.hypervisors | {demand.hypervisor}},
        "datastore": {"datastores": {**host.datastores, **demand.datastores}},
        "bridge": {"bridges": host.bridges | demand.bridges},
    }
    less = {"requirements": {"requirements": None}, "exclusion": {"excluded": frozenset()}}
    return replace(host, **enough.get(clause, {})), replace(demand, **less.get(clause, {}))


@seed(SEED)
@ALL
@given(random_hosts(), random_demands())
def test_a_vm_fits_once_the_stated_obstacles_are_gone_and_not_before(hosts, demands):
    by_id = {host.host_id: host for host in hosts}
    for demand in demands[:3]:
        for verdict in verdicts(demand, hosts).hosts:
            better_host, better_demand = by_id[verdict.host_id], demand
            for obstacle in verdict.obstacles:
                assert chosen([better_demand], [better_host]) == [None]
                better_host, better_demand = mended(better_host, better_demand, obstacle.clause)

            assert chosen([better_demand], [better_host]) == [verdict.host_id]
