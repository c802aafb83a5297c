"""How much of a host may be given away: one arithmetic for views, checks, changes of size and other documents."""

import math

import msgspec
import pytest
from tests.controller.builders import (
    ANN,
    BARE,
    a_host,
    a_reactor,
    a_vm,
    ask,
    change,
    refusal,
)

from innkeeper_controller import verify
from innkeeper_controller.inventory import Allowance, Inventory
from innkeeper_controller.placement.allowances import breach, capacity_of, given_of_disk, inventories_of
from innkeeper_plugins.vocabulary import Capacity, DatastoreFacts, HostId, VmState

replace = msgspec.structs.replace


def a_place(own=None, shared=None):
    """Return a cluster and its host of 8 cores, 16 GiB and a datastore, of which that is decided."""
    reactor = a_reactor(a_host())
    change(reactor, reactor.cluster.clusters[0], allowances=shared or {})
    return reactor.cluster, change(reactor, reactor.cluster.hosts[HostId(1)], allowances=own or {})


def test_where_nothing_is_decided_all_may_be_given_away_once():
    found = inventories_of(*a_place())

    assert (found.cpu, found.memory, found.disk) == (
        Inventory(total=8.0),
        Inventory(total=16384),
        {"default": Inventory(total=100_000)},
    )
    assert capacity_of(*a_place()) == Capacity(cpu_cores=8.0, memory_mib=16384)


def test_what_is_decided_of_the_host_counts_before_its_clusters():
    cluster, host = a_place(
        {"cpu": Allowance(reserved=2.0), "disk": Allowance(allocation_ratio=2.0)},
        {"cpu": Allowance(reserved=1.0, allocation_ratio=4.0, max_unit=6.0), "memory": Allowance(reserved=1024.0)},
    )
    found = inventories_of(cluster, host)

    assert (found.cpu, found.memory, found.disk) == (
        Inventory(total=8.0, reserved=2.0, allocation_ratio=4.0, max_unit=6.0),
        Inventory(total=16384, reserved=1024.0),
        {"default": Inventory(total=100_000, allocation_ratio=2.0)},
    )
    assert capacity_of(cluster, host) == Capacity(cpu_cores=24.0, memory_mib=15360)


def test_a_host_of_a_cluster_that_is_gone_is_asked_alone():
    cluster, host = a_place(shared={"cpu": Allowance(allocation_ratio=4.0)})

    assert capacity_of(cluster, replace(host, cluster_id=7)).cpu_cores == 8.0


def test_more_reserved_than_there_is_leaves_nothing():
    assert capacity_of(*a_place({"cpu": Allowance(reserved=9.0)})).cpu_cores == 0.0


def test_memory_is_counted_in_whole_mib():
    assert capacity_of(*a_place({"memory": Allowance(reserved=0.5)})).memory_mib == 16383


def test_what_vms_were_given_of_a_datastore_is_what_scheduling_counts():
    reactor = a_reactor(a_host())
    for _ in range(2):
        a_vm(reactor, template="MEMORY = 1\nDISK = [ TYPE = fs, SIZE = 100 ]\n")
    a_vm(reactor, VmState.HOLD, template="MEMORY = 1\nDISK = [ TYPE = fs, SIZE = 100 ]\n")

    assert given_of_disk(reactor.cluster, reactor.cluster.hosts[HostId(1)]) == {"default": 200}


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0.5, ""),
        (16.0, ""),
        (0.1 * 9, ""),
        (0.4, "at least 0.5"),
        (16.1, "at most 16"),
        (0.75, "a multiple of 0.1"),
    ],
)
def test_one_vm_takes_what_the_rules_let_it(amount, words):
    assert breach(Inventory(total=64.0, min_unit=0.5, max_unit=16.0, step_size=0.1), amount) == words


def test_no_rule_is_broken_where_there_is_none():
    assert [breach(Inventory(total=1.0), amount) for amount in (0.0, 1e9, math.pi)] == ["", "", ""]


def test_a_host_that_may_give_more_than_it_has_is_not_overfull():
    reactor = a_reactor(a_host(cpu_cores=1.0))
    for _ in range(2):
        a_vm(reactor, template=BARE)
    before = verify.findings(reactor.cluster)
    ask(reactor, "host.set", host="h1", cpu={"allocation_ratio": 2.0})

    assert [each.message for each in before] == ["VMs take 2.0 of 1.0 cores"]
    assert verify.findings(reactor.cluster) == ()


def test_a_host_that_became_overfull_is_told_of_and_keeps_its_vms():
    reactor = a_reactor(a_host())
    vm = a_vm(reactor, template=BARE)
    ask(reactor, "host.set", host="h1", memory={"reserved": 16000})

    assert [each.message for each in verify.findings(reactor.cluster)] == ["VMs take 512 MiB of 384 MiB"]
    assert reactor.cluster.vms[vm.vm_id].host_id == 1


def resized(allowances, **sizes):
    reactor = a_reactor(a_host())
    vm = a_vm(reactor, VmState.POWEROFF, template=BARE)
    change(reactor, reactor.cluster.hosts[HostId(1)], allowances=allowances)
    error = refusal(lambda: ask(reactor, "vm.resize", user=ANN, vm_id=vm.vm_id, **sizes))
    return error and (error.code, str(error))


@pytest.mark.parametrize(
    ("allowances", "sizes", "told"),
    [
        ({"cpu": Allowance(allocation_ratio=4.0)}, {"cpu_cores": 32.0}, None),
        (
            {"cpu": Allowance(reserved=6.0)},
            {"cpu_cores": 3.0},
            ("no_capacity", "VM 0 needs 2 cores more; host h1 has 1 free."),
        ),
        (
            {"memory": Allowance(max_unit=1024.0)},
            {"memory_mib": 2048},
            ("no_capacity", "Host h1 gives a VM at most 1024 MiB of memory; VM 0 would have 2048."),
        ),
        (
            {"cpu": Allowance(min_unit=1.0)},
            {"cpu_cores": 0.5},
            ("no_capacity", "Host h1 gives a VM at least 1 cores; VM 0 would have 0.5."),
        ),
        # What is not changed breaks no rule.
        ({"cpu": Allowance(min_unit=2.0)}, {"memory_mib": 1024}, None),
    ],
)
def test_a_vm_grows_as_far_as_its_host_may_give(allowances, sizes, told):
    assert resized(allowances, **sizes) == told


def test_a_host_tells_what_may_be_given_of_each_resource():
    reactor = a_reactor(a_host(datastores=("default", "fast")))
    a_vm(reactor, template=BARE)
    ask(reactor, "cluster.set", cluster="default", disk={"allocation_ratio": 2.0})
    shown = ask(reactor, "host.set", host="h1", cpu={"reserved": 2, "allocation_ratio": 4, "max_unit": 4})
    (listed,) = ask(reactor, "host.list")

    assert (listed.capacity, listed.may_give) == (
        Capacity(cpu_cores=8.0, memory_mib=16384),
        Capacity(cpu_cores=24.0, memory_mib=16384),
    )
    assert shown.allowances == {"cpu": Allowance(reserved=2.0, allocation_ratio=4.0, max_unit=4.0)}
    assert {name: (each.may_give, each.given, each.max_unit) for name, each in shown.resources.items()} == {
        "cpu": (24.0, 1.0, 4.0),
        "memory": (16384.0, 512, None),
        "disk.default": (200_000.0, 0, None),
        "disk.fast": (200_000.0, 0, None),
    }
    assert DatastoreFacts(name="fast", total_mib=100_000, free_mib=50_000) in shown.advertisement.datastores
    # Nothing of it is infinite, which JSON cannot say.
    assert b"null" not in msgspec.json.encode(shown.resources)
