"""Requests about virtual networks: one vocabulary for templates and parameters, and what keeps a network."""

import pytest
from tests.controller.builders import (
    ANN,
    BOB,
    TEMPLATE,
    a_network,
    a_reactor,
    a_site,
    a_vm,
    ask,
    ask_turn,
    picture,
    refusal,
    submit,
    told,
)

from innkeeper_controller.records import AddressRange, Network
from innkeeper_plugins.vocabulary import VmState

RANGE = {"size": 5, "ip": "10.9.0.1"}


def refused(reactor, request, /, **params):
    """Return the refusal, after checking that it has changed nothing."""
    before = picture(reactor.cluster)
    error = refusal(lambda: ask(reactor, request, **params))
    assert picture(reactor.cluster) == before
    return error


def mistakes(**params):
    error = refused(a_reactor(), "network.add", user=ANN, **{"name": "lan", "ranges": (RANGE,), **params})
    assert error.code == "bad_template"
    return [(each.field, each.message) for each in error.mistakes]


def test_a_network_is_made_of_its_parts():
    reactor = a_reactor()
    turn, view = ask_turn(
        reactor,
        "network.add",
        user=ANN,
        name="lan",
        ranges=(RANGE, {"size": 2, "mac": "02:00:00:00:00:10"}),
        bridge="br0",
        vlan_id=7,
        physical_device="eth0",
        gateway="10.9.0.254",
        netmask="255.255.255.0",
        dns="10.9.0.253",
    )

    assert reactor.cluster.networks[0] == Network(
        network_id=0,
        name="lan",
        owner="ann",
        ranges=(AddressRange(size=5, ip="10.9.0.1"), AddressRange(size=2, mac="02:00:00:00:00:10")),
        bridge="br0",
        vlan_id=7,
        physical_device="eth0",
        gateway="10.9.0.254",
        netmask="255.255.255.0",
        dns="10.9.0.253",
    )
    assert (view.size, view.taken, told(turn)) == (7, 0, [("network.added", "network:0")])


def test_parts_win_over_the_template():
    reactor = a_reactor()
    template = "NAME = lan\nBRIDGE = br0\nGATEWAY = 10.9.0.254\nAR = [ IP = 10.9.0.1, SIZE = 5 ]\n"
    whole = ask(reactor, "network.add", template=template)
    mixed = ask(
        reactor, "network.add", template=template, name="other", bridge="br1", ranges=({"size": 1, "ip": "10.8.0.1"},)
    )

    assert (whole.name, whole.bridge, whole.size) == ("lan", "br0", 5)
    assert (mixed.name, mixed.bridge, mixed.gateway, mixed.ranges) == (
        "other",
        "br1",
        "10.9.0.254",
        (AddressRange(size=1, ip="10.8.0.1"),),
    )


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"bridge": "br0 ; reboot"}, "BRIDGE"),
        ({"bridge": "x" * 16}, "BRIDGE"),
        ({"vlan_id": 0}, "VLAN_ID"),
        ({"vlan_id": 4095}, "VLAN_ID"),
        ({"physical_device": "../eth0"}, "PHYDEV"),
        ({"gateway": "10.9"}, "GATEWAY"),
        ({"netmask": "many"}, "NETWORK_MASK"),
        ({"dns": "x;y"}, "DNS"),
        ({"ranges": ({"size": 0, "ip": "10.9.0.1"},)}, "AR/SIZE"),
        ({"ranges": ({"size": -3, "ip": "10.9.0.1"},)}, "AR/SIZE"),
        ({"ranges": ({"size": 5},)}, "AR/IP"),
        ({"ranges": ({"size": 5, "ip": "10.9.0.300"},)}, "AR/IP"),
        ({"ranges": ({"size": 5, "mac": "03:00:00:00:00:01"},)}, "AR/MAC"),
        ({"ranges": ({"size": 2**25, "ip": "10.9.0.1"},)}, "AR/SIZE"),
        ({"ranges": (RANGE, {"size": 2, "ip": "10.9.0.5"})}, "AR/IP"),
        ({"template": "BRIDGE = [ X = 1 ]\n"}, "BRIDGE"),
        ({"template": "NONSENSE\n"}, ""),
    ],
)
def test_parts_are_held_to_what_templates_are_held_to(params, field):
    assert field in [name for name, _ in mistakes(**params)]


def test_all_mistakes_are_told_at_once():
    found = mistakes(vlan_id=9999, gateway="x", ranges=({"size": 0, "ip": "10.9.0.1"},))

    assert {name for name, _ in found} == {"VLAN_ID", "GATEWAY", "AR/SIZE"}


@pytest.mark.parametrize("name", ["", "7", "\u0667"])
def test_a_network_needs_a_name_that_is_one(name):
    error = refused(a_reactor(), "network.add", name=name, ranges=(RANGE,))

    assert (error.code, str(error).startswith(f"{name!r} is no network name;")) == ("bad_request", True)


@pytest.mark.parametrize("name", ["a/b", "x\ny"])
def test_a_name_that_no_template_may_have_is_refused(name):
    assert refused(a_reactor(), "network.add", name=name, ranges=(RANGE,)).code in {"bad_template", "bad_request"}


def test_a_name_is_given_once():
    error = refused(a_reactor(a_network()), "network.add", name="lan", ranges=(RANGE,))

    assert (error.code, str(error)) == ("name_taken", "There is a network lan already; choose another name.")


def test_a_network_may_be_without_ranges_for_the_time_being():
    assert ask(a_reactor(), "network.add", name="later").size == 0


def test_a_network_is_shown_with_how_full_it_is():
    reactor = a_site()
    submit(reactor)
    ask(reactor, "network.hold", network="lan", address="10.0.0.9")

    assert (ask(reactor, "network.show", network="0", user=BOB).taken, ask(reactor, "network.list")[0].size) == (2, 10)


def test_a_network_that_vms_have_addresses_of_stays():
    reactor = a_site()
    submit(reactor, TEMPLATE, count=9)
    error = refused(reactor, "network.delete", network="lan")

    assert (error.code, str(error)) == (
        "in_use",
        "Network lan has addresses leased to VM 0, 1, 2, 3, 4, 5, 6, 7; terminate them first.",
    )


@pytest.mark.parametrize("state", [VmState.STOPPED, VmState.FAILED, VmState.HOLD])
def test_a_network_stays_as_long_as_the_vm_lives(state):
    reactor = a_site()
    a_vm(reactor, state)

    assert refused(reactor, "network.delete", network="lan").code == "in_use"


def test_a_deleted_network_is_forgotten_by_name():
    reactor = a_reactor(a_network())
    turn, _ = ask_turn(reactor, "network.delete", network="lan")

    assert (reactor.cluster.networks, reactor.cluster.network_ids) == ({}, {})
    assert told(turn) == [("network.deleted", "network:0")]


def test_what_is_held_and_released_is_told():
    reactor = a_reactor(a_network())
    held, lease = ask_turn(reactor, "network.hold", network="lan", address="10.0.0.4", user=ANN)
    released, _ = ask_turn(reactor, "network.release", network="lan", address="10.0.0.4", user=ANN)

    assert (lease.ip, lease.mac, lease.vm_id) == ("10.0.0.4", "02:00:0a:00:00:04", None)
    assert [told(held), told(released)] == [[("address.held", "network:0")], [("address.released", "network:0")]]


def test_a_network_has_so_many_ranges_and_no_more():
    ranges = tuple({"size": 1, "ip": f"10.{n // 250}.{n % 250}.1"} for n in range(257))
    error = refused(a_reactor(), "network.add", name="many", ranges=ranges)

    assert (error.code, str(error)) == ("bad_request", "A network has at most 256 ranges, not 257.")
    assert ask(a_reactor(), "network.add", name="many", ranges=ranges[:256]).size == 256


def test_a_template_that_cannot_be_read_is_told_with_its_place():
    error = refused(a_reactor(), "network.add", template="NAME = lan\nAR = [ SIZE = 5\n")

    assert (error.code, error.mistakes[0].line > 0) == ("bad_template", True)
