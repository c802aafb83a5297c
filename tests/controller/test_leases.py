"""Addresses: the lowest free one or the one asked for, to one owner at a time, given back once by every way to DONE."""

import pytest
from tests.controller.builders import (
    ANN,
    NOW_S,
    a_lease,
    a_network,
    a_reactor,
    a_site,
    a_vm,
    ask,
    ask_turn,
    change,
    end_leg,
    finish,
    leg_ended,
    picture,
    refusal,
    say,
    submit,
    turn_of,
)

from innkeeper_controller import leases
from innkeeper_controller.records import AddressRange
from innkeeper_hostagent.protocol.messages import LegStatus
from innkeeper_plugins.vocabulary import HostId, VmId, VmState

MACS_ONLY = a_network(1, "ether", ranges=(AddressRange(size=2, mac="02:00:00:00:00:10"),))


def take(reactor, network=0, **wanted):
    """Lease one address to VM 0 and return it as (ip, mac)."""
    lease = leases.take(turn_of(reactor), reactor.cluster.networks[network], vm_id=VmId(0), nic_id=0, **wanted)
    return lease.ip, lease.mac


def said(act):
    refused = refusal(act)
    return None if refused is None else (refused.code, str(refused))


def test_the_first_address_goes_first_with_the_mac_made_of_it():
    reactor = a_reactor(a_network())

    assert take(reactor) == ("10.0.0.1", "02:00:0a:00:00:01")
    assert list(reactor.cluster.leases.values()) == [a_lease(a_network(), 0, 0)]


@pytest.mark.parametrize(
    "wanted",
    [
        {"ip": "10.0.0.7"},
        {"mac": "02:00:0a:00:00:07"},
        {"ip": "10.0.0.7", "mac": "02:00:0a:00:00:07"},
        {"mac": "02-00-0A-00-00-07"},
    ],
)
def test_an_address_that_is_asked_for_is_given(wanted):
    assert take(a_reactor(a_network()), **wanted) == ("10.0.0.7", "02:00:0a:00:00:07")


def test_the_last_address_of_the_last_range_is_given_and_the_one_after_it_does_not_exist():
    network = a_network(ranges=(AddressRange(size=1, ip="10.0.0.1"), AddressRange(size=2, ar_id=1, ip="10.0.9.254")))
    reactor = a_reactor(network)

    assert take(reactor, ip="10.0.9.255")[0] == "10.0.9.255"
    assert said(lambda: take(reactor, ip="10.0.10.0")) == (
        "no_address",
        "10.0.10.0 is not an address of network lan.",
    )


@pytest.mark.parametrize("wanted", [{"ip": "10.0.0.1", "mac": "02:00:0a:00:00:02"}, {"ip": "x"}, {"mac": "x"}])
def test_what_is_no_address_of_the_network_is_refused(wanted):
    assert said(lambda: take(a_reactor(a_network()), **wanted))[0] == "no_address"


def test_an_address_that_is_taken_is_refused_with_who_has_it():
    reactor = a_site()
    vm = submit(reactor)
    ask(reactor, "network.hold", network="lan", address="10.0.0.3")

    assert said(lambda: take(reactor, ip="10.0.0.1")) == (
        "no_address",
        f"10.0.0.1 of network lan belongs to VM {vm.vm_id}; ask for another or for none.",
    )
    assert said(lambda: take(reactor, ip="10.0.0.3")) == (
        "no_address",
        "10.0.0.3 of network lan is held back; ask for another or for none.",
    )


def test_an_exhausted_network_says_how_full_it_is_and_what_to_do():
    reactor = a_reactor(a_network(size=2))
    take(reactor)
    take(reactor)

    assert said(lambda: take(reactor)) == (
        "no_address",
        (
            "Network lan has no free address (2 of 2 taken); "
            "terminate a VM, release a held address, or make another network."
        ),
    )


def test_a_network_without_a_range_has_no_address():
    assert said(lambda: take(a_reactor(a_network(ranges=()))))[0] == "no_address"


def test_a_network_of_macs_only_gives_macs():
    reactor = a_reactor(a_network(), MACS_ONLY)

    assert [take(reactor, 1), take(reactor, 1)] == [("", "02:00:00:00:00:10"), ("", "02:00:00:00:00:11")]


def test_a_held_address_is_given_to_nobody_until_it_is_released():
    reactor = a_reactor(a_network(size=2))
    ask(reactor, "network.hold", network="lan", address="10.0.0.1")
    first = take(reactor)[0]
    full = said(lambda: take(reactor))
    ask(reactor, "network.release", network="lan", address="10.0.0.1")

    assert (first, full[0], take(reactor)[0]) == ("10.0.0.2", "no_address", "10.0.0.1")


@pytest.mark.parametrize("address", ["10.0.0.5", "02:00:0a:00:00:05", "02:00:0A:00:00:05"])
@pytest.mark.parametrize("again", ["10.0.0.5", "02:00:0a:00:00:05", "02:00:0A:00:00:05"])
def test_what_was_held_by_one_of_its_names_is_released_by_any(address, again):
    reactor = a_reactor(a_network())
    ask(reactor, "network.hold", network="lan", address=address)
    ask(reactor, "network.release", network="lan", address=again)

    assert reactor.cluster.leases == {}


def test_an_empty_address_releases_nothing():
    reactor = a_reactor(a_network(), MACS_ONLY)
    ask(reactor, "network.hold", network="ether", address="02:00:00:00:00:10")
    refused = said(lambda: ask(reactor, "network.release", network="ether", address=""))

    assert refused[0] == "not_found"
    assert len(reactor.cluster.leases) == 1


@pytest.mark.parametrize("address", ["10.0.0.4", "10.9.9.9", "nonsense", ""])
def test_what_nobody_holds_cannot_be_released(address):
    reactor = a_reactor(a_network())

    assert said(lambda: ask(reactor, "network.release", network="lan", address=address)) == (
        "not_found",
        f"Nobody holds {address}; `inn network leases lan` lists what is taken.",
    )


def test_an_address_of_a_vm_is_not_released_by_hand():
    reactor = a_site()
    submit(reactor)

    assert said(lambda: ask(reactor, "network.release", network="lan", address="10.0.0.1")) == (
        "in_use",
        "VM 0 has 10.0.0.1; it gives it back when it is terminated.",
    )


@pytest.mark.parametrize("address", ["10.0.0.0", "10.0.0.11", "fe80::1", "x", ""])
def test_what_is_not_of_the_network_cannot_be_held(address):
    reactor = a_reactor(a_network())

    assert said(lambda: ask(reactor, "network.hold", network="lan", address=address))[0] == "no_address"


def drops(turn):
    return [change.key for change in turn.changes if change.kind == "lease" and change.new is None]


TWO_NICS = 'NAME = web\nMEMORY = 512\nNIC = [ NETWORK = "lan" ]\nNIC = [ NETWORK = "lan", IP = 10.0.0.9 ]\n'


@pytest.mark.parametrize("state", [VmState.PENDING, VmState.HOLD, VmState.FAILED])
def test_a_vm_without_host_gives_its_addresses_back_once_when_it_is_terminated(state):
    reactor = a_site()
    vm = a_vm(reactor, state, template=TWO_NICS)
    change(reactor, vm, host_id=None)
    before = len(reactor.cluster.leases)
    turn, answer = ask_turn(reactor, "vm.terminate", vm_id=vm.vm_id)

    assert (answer.state, len(drops(turn)), before - len(reactor.cluster.leases)) == ("DONE", 2, 2)


@pytest.mark.parametrize(
    ("verb", "state"),
    [("shutdown", VmState.RUNNING)]
    + [
        ("terminate", state)
        for state in (
            VmState.RUNNING,
            VmState.UNKNOWN,
            VmState.SUSPENDED,
            VmState.STOPPED,
            VmState.POWEROFF,
            VmState.UNDEPLOYED,
            VmState.FAILED,
        )
    ],
)
def test_a_vm_gives_its_addresses_back_once_when_its_last_step_has_ended(verb, state):
    reactor = a_site()
    vm = a_vm(reactor, state, template=TWO_NICS)
    begun, _ = ask_turn(reactor, f"vm.{verb}", vm_id=vm.vm_id)
    ended = end_leg(reactor, vm)

    assert (drops(begun), drops(ended)) == ([], ["0.0.0", "0.0.8"])
    assert (reactor.cluster.leases, reactor.cluster.vms, reactor.cluster.leases_of) == ({}, {}, {})


def test_an_end_that_was_asked_for_meanwhile_gives_the_addresses_back_as_well():
    reactor = a_site()
    vm = a_vm(reactor, VmState.HOLD)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1")
    ask(reactor, "vm.terminate", vm_id=vm.vm_id)
    ended = end_leg(reactor, vm, LegStatus.CANCELLED, outcomes={})

    assert drops(ended) == ["0.0.0"]
    assert (reactor.cluster.vms, reactor.cluster.leases) == ({}, {})


def test_no_failure_on_the_way_gives_addresses_back():
    reactor = a_site()
    vm = a_vm(reactor, VmState.HOLD)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1")
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={})
    after_failure = dict(reactor.cluster.leases)
    ask(reactor, "vm.recover", vm_id=vm.vm_id, how="rollback")
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1")
    finish(reactor, vm)

    assert after_failure == reactor.cluster.leases == {"0.0.0": a_lease(a_network(), 0, vm.vm_id)}


def test_ends_of_a_vm_that_is_done_already_change_nothing():
    reactor = a_site()
    vm = a_vm(reactor)
    ask(reactor, "vm.terminate", vm_id=vm.vm_id)
    operation = next(iter(reactor.cluster.operations.values()))
    finish(reactor, vm)
    other = submit(reactor)
    before = picture(reactor.cluster)
    say(reactor, 1, leg_ended(operation))

    assert picture(reactor.cluster) == before
    assert other.spec.nics[0].ip == "10.0.0.1"


def test_a_bulk_submission_that_runs_out_of_addresses_keeps_none():
    reactor = a_site()
    submit(reactor)
    before = picture(reactor.cluster)
    refused = refusal(lambda: submit(reactor, count=10, user=ANN))

    assert (refused.code, picture(reactor.cluster)) == ("no_address", before)


def test_a_deleted_network_takes_its_held_addresses_with_it():
    reactor = a_reactor(a_network(), a_network(1, "other"))
    ask(reactor, "network.hold", network="lan", address="10.0.0.3")
    ask(reactor, "network.hold", network="other", address="10.0.1.3")
    ask(reactor, "network.delete", network="lan")

    assert list(reactor.cluster.leases) == ["1.0.2"]


def test_leases_of_a_network_are_listed_in_order_with_their_owners():
    reactor = a_site()
    ask(reactor, "network.hold", network="lan", address="10.0.0.10")
    ask(reactor, "network.hold", network="lan", address="10.0.0.2")
    submit(reactor)
    listed = ask(reactor, "network.leases", network="lan", now_s=NOW_S)

    assert [(each.ip, each.vm_id, each.nic_id) for each in listed] == [
        ("10.0.0.1", 0, 0),
        ("10.0.0.2", None, None),
        ("10.0.0.10", None, None),
    ]


def test_the_host_that_a_vm_is_on_plays_no_part_in_its_addresses():
    reactor = a_site()
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2")
    finish(reactor, vm)

    assert reactor.cluster.vms[vm.vm_id].host_id == HostId(2)
    assert reactor.cluster.leases == {"0.0.0": a_lease(a_network(), 0, vm.vm_id)}
