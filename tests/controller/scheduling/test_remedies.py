"""What would help is enough, and less is not: more room on a host, a smaller VM, the end of others."""

import pytest
from msgspec.structs import replace
from sample_hosts import make_demand, make_fleet, make_host, make_load, rooms
from test_verdicts import SEEDS, Site, limited

from innkeeper_controller.inventory import Inventory
from innkeeper_controller.scheduling.answers.asking import ask
from innkeeper_controller.scheduling.answers.remedies import MAX_ENDS, joined, smaller
from innkeeper_controller.scheduling.answers.verdicts import nearest_words, obstacles_on, verdicts
from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.clauses import CLAUSES
from innkeeper_controller.scheduling.scores import POLICIES
from innkeeper_controller.scheduling.wishes import Relation, Term
from innkeeper_plugins.vocabulary import HostId

MORE = {"memory": ("memory", 1.0), "cpu": ("cpu", 0.01)}


def told(demand, *hosts, used=None, loads=None, **more):
    """Return the verdicts on hosts with ``{host: loads}`` on them."""
    fleet = make_fleet(*hosts, used=used)
    for number, those in (loads or {}).items():
        for load in those:
            fleet.take(HostId(number), load)
    more.setdefault("loads_on", lambda host_id: (loads or {}).get(host_id, []))
    return verdicts(demand, Search(fleet, POLICIES["packing"]), **more)


# --- tried on random fleets


@pytest.mark.parametrize("seed", SEEDS)
def test_the_amount_that_is_said_to_be_missing_is_enough_and_less_is_not(seed):
    site = Site(seed)
    for _ in range(6):
        demand = site.demand()
        for verdict in site.verdicts(demand).hosts:
            for obstacle in (each for each in verdict.obstacles if each.clause in MORE):
                field, step = MORE[obstacle.clause]
                view = site.views[verdict.host_id]
                has = getattr(view, field)
                clause = [each for each in CLAUSES if each.name == obstacle.clause]
                for less, expected in ((0.0, 0), (step, 1)):
                    undo = site.put(replace(view, **{field: limited(has, has.capacity + obstacle.amount - less)}))
                    assert len(list(obstacles_on(demand, site.fleet, verdict.host_id, tuple(clause)))) == expected
                    undo()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_vms_whose_end_is_said_to_help_are_enough_and_none_of_them_may_stay(seed):
    site = Site(seed, hosts=4)
    for _ in range(20):
        demand = site.demand()
        before = site.fleet.picture()
        found = site.verdicts(demand)
        if not found.ends_vm_ids:
            continue
        assert site.fleet.picture() == before
        name = found.ends.removeprefix("It would fit on ").partition(" ")[0]
        host_id = int(name.removeprefix("h"))
        assert len(found.ends_vm_ids) <= MAX_ENDS
        for kept in (None, *found.ends_vm_ids):
            undo = [site.end(vm_id) for vm_id in found.ends_vm_ids if vm_id != kept]
            assert site.fits(demand, host_id) == (kept is None)
            for each in reversed(undo):
                each()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_vms_end_helps_where_that_is_said(seed):
    site = Site(seed, hosts=3)
    for _ in range(10):
        demand = site.demand()
        if site.verdicts(demand).ends == "No VM's end would make it fit anywhere.":
            undo = [site.end(vm_id) for loads in list(site.loads.values()) for vm_id in list(loads)]
            assert not any(site.fits(demand, number) for number in site.views)
            for each in reversed(undo):
                each()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_smaller_vm_that_is_said_to_fit_does_and_a_little_more_does_not(seed):
    site = Site(seed)
    for _ in range(10):
        demand = site.demand()
        asked = ask(demand, site.search)
        found = smaller(asked, asked.nearest())
        if found is None:
            continue
        capacity, name = found
        host_id, wants = int(name.removeprefix("h")), demand.capacity
        assert site.fits(replace(demand, capacity=capacity), host_id)
        if capacity.memory_mib < wants.memory_mib:
            more = replace(capacity, memory_mib=capacity.memory_mib + 1)
            assert not site.fits(replace(demand, capacity=more), host_id)
        if capacity.cpu_cores < wants.cpu_cores:
            more = replace(capacity, cpu_cores=capacity.cpu_cores + 0.01)
            assert not site.fits(replace(demand, capacity=more), host_id)


# --- in words


def test_the_nearest_host_is_named_with_what_it_lacks_and_what_would_help():
    hosts = [make_host(1), make_host(2), make_host(3, usable=False, unusable_reason="disabled")]
    loads = {
        1: [make_load(7, memory_mib=6144), make_load(8, memory_mib=1024)],
        2: [make_load(9, memory_mib=1024), make_load(10, memory_mib=1024)],
    }
    found = told(make_demand(memory_mib=7168), *hosts, loads=loads)

    assert (found.fitting, found.hosts_total, found.counts) == (0, 3, {"memory": 2, "host state": 1})
    assert found.nearest_miss == "h2 comes closest: 7 GiB of memory are needed, 6 GiB of 8 GiB are free."
    assert found.nearest == "h2 comes closest, it lacks 1 GiB of memory"
    assert found.remedy == "h2 would take it with 1 GiB more memory."
    assert found.switch == "h3 would take it after `inn host enable h3`."
    assert found.smaller == "MEMORY = 6144 instead of 7168 in its template would do on h2."
    assert (found.ends, found.ends_vm_ids) == ("It would fit on h2 if VM 9 ended.", (9,))


def test_those_with_a_low_priority_are_named_rather_and_then_the_smaller_ones():
    loads = {1: [make_load(7, memory_mib=4096), make_load(8, memory_mib=2048), make_load(9, memory_mib=2048)]}
    wanted = make_demand(memory_mib=1024)

    assert told(wanted, make_host(1), loads=loads).ends_vm_ids == (8,)
    assert told(wanted, make_host(1), loads=loads, priority_of=lambda vm_id: -(vm_id == 7)).ends_vm_ids == (7,)


def test_as_few_as_possible_are_named_and_never_more_than_some():
    small = [make_load(10 + number, memory_mib=512) for number in range(16)]

    assert told(make_demand(memory_mib=4000), make_host(1), loads={1: small}).ends_vm_ids == tuple(range(10, 18))
    assert told(make_demand(memory_mib=4097), make_host(1), loads={1: small}).ends == ""
    big = [make_load(30, memory_mib=5000), *small[:6]]
    assert told(make_demand(memory_mib=5000), make_host(1), loads={1: big}).ends_vm_ids == (30,)


def test_cores_and_memory_that_are_missing_are_told_together():
    found = told(make_demand(cpu_cores=10.5, memory_mib=8292), make_host(1))

    assert found.remedy == "h1 would take it with 100 MiB more memory and 2.5 more cores."
    assert found.smaller == "MEMORY = 8192 instead of 8292 and CPU = 8 instead of 10.5 in its template would do on h1."
    assert found.ends == "No VM's end would make it fit anywhere."


def test_nothing_is_said_of_the_end_of_others_where_they_are_not_in_the_way():
    assert told(make_demand(hypervisor="vmware"), make_host(1), make_host(2, usable=False)).ends == ""


def test_a_host_that_is_off_is_switched_on_and_given_room():
    found = told(make_demand(memory_mib=9216), make_host(1, usable=False, unusable_reason="disabled"))

    assert found.remedy == "h1 would take it with 1 GiB more memory and after `inn host enable h1`."
    assert found.smaller == ""
    assert joined(["with 1 core", "with 1 GiB", "with 1 core"]) == "with 1 core and 1 GiB"


def test_a_host_with_more_given_away_than_it_has_says_so():
    (host,) = told(make_demand(), make_host(1, memory_mib=1024), used={1: (0.5, 1536)}).hosts
    (obstacle,) = host.obstacles

    assert obstacle.message == "512 MiB of memory are needed, none of 1 GiB is free (512 MiB too much are given away)"
    assert (obstacle.amount, obstacle.shortfall) == (1024.0, 1.0)


def test_fractions_of_what_an_allocation_ratio_makes_are_rounded_so_that_it_suffices():
    host = make_host(1, memory=Inventory(total=1000, allocation_ratio=1.0005))
    found = told(make_demand(memory_mib=1001), host)

    assert found.remedy == "h1 would take it with 1 MiB more memory."
    assert found.smaller == "MEMORY = 1000 instead of 1001 in its template would do on h1."


def test_every_datastore_that_is_too_small_is_told():
    host = make_host(1, datastores=rooms(default=10, fast=100))
    (verdict,) = told(make_demand(datastores={"default": 16, "fast": 1124}), host).hosts
    (obstacle,) = verdict.obstacles

    assert obstacle.message == (
        "16 MiB are needed in datastore default, 10 MiB are free; "
        "1124 MiB are needed in datastore fast, 100 MiB are free"
    )
    assert obstacle.remedy == "with 6 MiB more in datastore default and 1 GiB more in datastore fast"


def test_those_in_the_way_are_named_with_where_they_are():
    hosts = [make_host(number, labels={"rack": f"r{number // 3}"}) for number in (1, 2, 3)]
    apart = Term(relation=Relation.APART, groups=("web",), scope="rack")
    loads = {2: [make_load(7, groups=("web",))], 3: [make_load(8, terms=(replace(apart, groups=("db",)),))]}
    found = told(make_demand(groups=("db",), terms=(apart,)), *hosts, loads=loads)

    assert [(each.host_name, each.obstacles[0].message, each.obstacles[0].remedy) for each in found.hosts] == [
        (
            "h1",
            "the VM is to be apart from group web, and one is in rack r0 (VM 7 on h2)",
            "once VM 7 on h2 has ended",
        ),
        ("h2", "the VM is to be apart from group web, and one is in rack r0 (VM 7)", "once VM 7 has ended"),
        ("h3", "a VM on the same rack is to be apart from group db (VM 8)", "once VM 8 has ended"),
    ]


def test_one_that_is_to_be_with_others_is_told_where_they_are():
    wanted = make_demand(terms=(Term(relation=Relation.TOGETHER, groups=("db",)),))
    found = told(wanted, make_host(1), make_host(2, memory_mib=100), loads={2: [make_load(7, groups=("db",))]})

    assert found.hosts[1].obstacles[0].message == (
        "the VM is to be with group db, and none of them is on this host; they are on h2"
    )


def test_the_few_words_of_the_nearest_host_say_what_is_no_amount_too():
    hosts = (make_host(1, bridges=frozenset(), memory_mib=100), make_host(2, usable=False, unusable_reason="lost"))
    fleet = make_fleet(*hosts)
    search = Search(fleet, POLICIES["packing"])

    assert nearest_words(ask(make_demand(), search)) == "h2 comes closest: the host is lost"
    fleet.drop(HostId(2))
    assert nearest_words(ask(make_demand(), search)) == (
        "h1 comes closest, it lacks 412 MiB of memory; the host has no bridge br0"
    )
    assert nearest_words(ask(make_demand(memory_mib=1, bridges=frozenset()), search)) == ""


def test_nothing_is_said_of_ends_where_nobody_knows_who_is_where():
    found = told(make_demand(memory_mib=7168), make_host(1), used={1: (1, 4096)}, loads_on=None)

    assert (found.ends, found.ends_vm_ids) == ("", ())
