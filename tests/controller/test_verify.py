"""Each check finds the fault that it is there for, and a healthy state has none."""

import msgspec
import pytest
from tests.controller.builders import (
    a_host,
    a_lease,
    a_network,
    a_reactor,
    a_site,
    a_vm,
    an_image,
    ask,
    change,
    put,
    submit,
    turn_of,
)

from innkeeper_controller import verify
from innkeeper_controller.records import AddressRange, Datastore, Holding, OperationStatus
from innkeeper_plugins.vocabulary import Capacity, HostId, ImageId, OperationId, PciWish, VmId, VmState

replace = msgspec.structs.replace


def found(reactor):
    return [(each.check, each.subject, each.message) for each in verify.findings(reactor.cluster)]


def busy():
    reactor = a_site()
    vm = a_vm(reactor)
    ask(reactor, "vm.suspend", vm_id=vm.vm_id)
    return reactor, reactor.cluster.vms[vm.vm_id]


@pytest.mark.parametrize("state", [each for each in VmState if each.value in "PENDING HOLD RUNNING UNKNOWN SUSPENDED"])
def test_a_healthy_state_has_no_finding(state):
    reactor = a_site()
    a_vm(reactor, state)
    ask(reactor, "network.hold", network="lan", address="10.0.0.9")

    assert found(reactor) == []
    assert found(busy()[0]) == []


def test_books_that_are_wrong():
    reactor = a_site()
    a_vm(reactor)
    reactor.cluster.used[HostId(1)] = Capacity(cpu_cores=1.0, memory_mib=1024)
    reactor.cluster.used[HostId(2)] = Capacity(cpu_cores=0.5)

    assert [(check, subject) for check, subject, _ in found(reactor)] == [
        ("capacity-books", "host:1"),
        ("capacity-books", "host:2"),
    ]


@pytest.mark.parametrize(
    ("capacity", "message"),
    [
        (Capacity(cpu_cores=8, memory_mib=511), "VMs take 512 MiB of 511 MiB"),
        (Capacity(cpu_cores=0.5, memory_mib=512), "VMs take 1.0 of 0.5 cores"),
    ],
)
def test_a_host_that_gives_more_than_it_has(capacity, message):
    reactor = a_site()
    a_vm(reactor)
    host = reactor.cluster.hosts[HostId(1)]
    change(reactor, host, advertisement=replace(host.advertisement, capacity=capacity))

    assert found(reactor) == [("capacity-exceeded", "host:1", message)]


def test_a_host_that_nothing_is_known_of_is_not_judged():
    reactor = a_reactor(a_host(1, connected=False, memory_mib=1), a_network(), an_image())
    a_vm(reactor)

    assert found(reactor) == []


def test_an_address_of_a_vm_that_is_gone():
    reactor = a_reactor(a_network())
    put(reactor, a_lease(a_network(), 3, 77))

    assert found(reactor) == [("lease-owners", "lease:0.0.3", "10.0.0.4 is leased to VM 77, which is gone")]


def test_an_address_that_its_vm_does_not_know_of():
    reactor = a_site()
    vm = submit(reactor)
    put(reactor, a_lease(a_network(), 3, vm.vm_id))

    ((check, subject, message),) = found(reactor)
    assert (check, subject) == ("lease-owners", "vm:0")
    assert "10.0.0.4" in message


def test_a_vm_whose_address_was_given_away():
    reactor = a_site()
    submit(reactor)
    lease = reactor.cluster.leases["0.0.0"]
    change(reactor, lease, vm_id=None, nic_id=None)

    assert [(check, subject) for check, subject, _ in found(reactor)] == [("lease-owners", "vm:0")]


def test_an_address_that_was_given_twice():
    reactor = a_reactor(a_network())
    put(reactor, a_lease(a_network(), 1), a_lease(a_network(), 2, mac="02:00:0a:00:00:02"))

    assert found(reactor) == [
        ("addresses-once", "lease:0.0.2", "02:00:0a:00:00:02 is leased twice, also as 0.0.1"),
        ("ranges", "lease:0.0.2", "10.0.0.3 is not the address that its range has there"),
    ]


def test_an_address_of_a_range_that_is_gone_and_a_number_that_two_ranges_have():
    ranges = (AddressRange(size=1, ip="10.0.0.1"), AddressRange(size=1, ip="10.0.9.1"))
    reactor = a_reactor(a_network(ranges=ranges))
    put(reactor, a_lease(a_network(), 5), a_lease(a_network(), 0, range_index=4))

    assert found(reactor) == [
        ("ranges", "network:0", "two of its ranges have the number 0"),
        ("ranges", "lease:0.0.5", "10.0.0.6 is in no range of its network"),
        ("ranges", "lease:0.4.0", "10.0.0.1 is in no range of its network"),
    ]


def test_a_reservation_and_its_parent_that_disagree():
    mine = AddressRange(size=2, ip="10.0.0.1", parent_ar_id=0)
    child = a_network(1, "mine", ranges=(mine,), parent_id=0)
    reactor = a_reactor(a_network(), child)
    put(reactor, a_lease(a_network(), 0, reserved_by=1), a_lease(a_network(), 7, reserved_by=1))
    put(reactor, a_lease(a_network(), 8, reserved_by=5))

    assert found(reactor) == [
        ("reservations", "lease:0.0.7", "it is reserved by network 1, which does not have it"),
        ("reservations", "lease:0.0.8", "it is reserved by network 5, which does not have it"),
    ]
    turn_of(reactor).drop(reactor.cluster.leases["0.0.7"])
    assert ("reservations", "network:1", "it has 2 addresses, but 1 are reserved for it") in found(reactor)


def test_a_cluster_that_is_gone():
    datastore = Datastore(datastore_id=100, name="fast", clusters=(9,))
    reactor = a_reactor(replace(a_host(1), cluster_id=7), a_network(clusters=(0, 8)), datastore)

    assert found(reactor) == [
        ("clusters", "host:1", "it is in cluster 7, which is gone"),
        ("clusters", "network:0", "it is in cluster 8, which is gone"),
        ("clusters", "datastore:fast", "it is in cluster 9, which is gone"),
    ]


def test_a_vm_that_is_busy_with_an_operation_that_has_ended():
    reactor, vm = busy()
    change(reactor, reactor.cluster.operations[vm.operation_id], status=OperationStatus.DONE)

    assert found(reactor) == [("operations", "vm:0", "it is busy with o0, which does not run")]


def test_a_vm_that_is_busy_with_an_operation_that_nobody_knows():
    reactor = a_site()
    change(reactor, a_vm(reactor), operation_id=OperationId("o9"))

    assert found(reactor) == [("operations", "vm:0", "it is busy with o9, which does not run")]


def test_a_vm_that_is_on_its_way_without_an_operation():
    reactor = a_site()
    change(reactor, a_vm(reactor), state=VmState.EPILOG)

    assert found(reactor) == [("operations", "vm:0", "it is EPILOG, but no operation runs")]


def test_two_operations_on_one_vm():
    reactor, vm = busy()
    put(reactor, replace(reactor.cluster.operations[vm.operation_id], operation_id=OperationId("o5")))

    assert found(reactor) == [
        ("operations", "vm:0", "more than one operation runs on it"),
        ("operations", "vm:0", "o5 runs on it, but it is busy with o0"),
    ]


def test_an_operation_that_runs_on_a_vm_at_rest():
    reactor, vm = busy()
    change(reactor, vm, operation_id=None, state=VmState.RUNNING)

    assert found(reactor) == [("operations", "vm:0", "o0 runs on it, but it is busy with nothing")]


def test_an_operation_that_runs_on_an_image_that_is_gone():
    reactor = a_site()
    ask(reactor, "image.delete", image="tiny")
    reactor.cluster.images.clear()

    assert found(reactor) == [("operations", "image:0", "o0 runs on it, but it is busy with nothing")]


@pytest.mark.parametrize("where", ["host_id", "destination_id", "sealed_on"])
def test_a_vm_on_a_host_that_is_gone(where):
    reactor = a_site()
    change(reactor, a_vm(reactor), **{where: HostId(9)})

    assert ("places", "vm:0", "it is on host 9, which is gone") in found(reactor)


@pytest.mark.parametrize("state", [VmState.RUNNING, VmState.SUSPENDED, VmState.POWEROFF])
def test_a_vm_that_is_nowhere(state):
    reactor = a_site()
    change(reactor, a_vm(reactor, state), host_id=None)

    assert found(reactor) == [("places", "vm:0", f"it is {state}, but on no host")]


@pytest.mark.parametrize("state", [VmState.STOPPED, VmState.UNDEPLOYED])
def test_a_vm_whose_files_are_nowhere(state):
    reactor = a_site()
    change(reactor, a_vm(reactor, state), sealed_on=None)

    assert found(reactor) == [("places", "vm:0", f"it is {state}, but its files are on no host")]


@pytest.mark.parametrize("state", [VmState.PENDING, VmState.HOLD])
def test_a_vm_that_waits_for_a_host_and_has_one(state):
    reactor = a_site()
    change(reactor, a_vm(reactor, state), host_id=HostId(1))

    assert found(reactor) == [("places", "vm:0", f"it is {state}, but on host 1")]


def test_a_queue_that_does_not_know_who_waits():
    reactor = a_site()
    vm = submit(reactor, hold=False)
    reactor.cluster.pending = {VmId(7): None}

    assert sorted(found(reactor)) == [
        ("queue", "vm:0", "the queue and its state disagree"),
        ("queue", "vm:7", "the queue and its state disagree"),
    ]
    assert vm.state is VmState.PENDING


def test_images_of_vms_that_the_books_do_not_know():
    reactor = a_site()
    submit(reactor, count=2)
    reactor.cluster.vms_of_image[ImageId(0)] = {VmId(0)}
    change(reactor, reactor.cluster.images[0], persistent=True)

    assert found(reactor) == [
        ("image-users", "image:0", "VMs [0, 1] have it, but [0] are on the books"),
        ("image-users", "image:0", "it is persistent, but VMs [0, 1] have it"),
    ]
    del reactor.cluster.images[0]
    assert found(reactor)[1] == ("image-users", "image:0", "it is gone, but VMs [0, 1] are made of it")


def test_a_vm_that_holds_what_it_cannot_hold():
    reactor = a_site()
    waits, runs = a_vm(reactor, VmState.PENDING), a_vm(reactor)
    change(reactor, waits, spec=replace(waits.spec, pci=(PciWish(),), pci_addresses=("0000:3b:00.0",)))
    change(reactor, runs, leaving=Holding())

    # What two VMs of one host hold is looked for in test_claims.
    assert found(reactor) == [
        ("nodes-and-devices", "vm:0", "it holds nodes or devices of a host, but is on none"),
        ("nodes-and-devices", "vm:1", "it holds something of a host that it leaves, but it goes to none"),
    ]


def test_every_check_has_found_something_here():
    assert set(verify.CHECKS) == {
        "capacity-books",
        "capacity-exceeded",
        "nodes-and-devices",
        "lease-owners",
        "addresses-once",
        "ranges",
        "reservations",
        "clusters",
        "operations",
        "places",
        "queue",
        "image-users",
    }
