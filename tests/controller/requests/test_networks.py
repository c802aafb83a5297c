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
    change,
    picture,
    refusal,
    submit,
    told,
    turn_of,
)

from innkeeper_controller import leases
from innkeeper_controller.records import AddressRange, Network
from innkeeper_controller.verify import findings
from innkeeper_plugins.vocabulary import VmId, VmState

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
        owner="root",
        ranges=(
            AddressRange(size=5, ip="10.9.0.1"),
            AddressRange(size=2, ar_id=1, type="ETHER", mac="02:00:00:00:00:10"),
        ),
        last_ar_id=1,
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


REACHES_THE_WIRE = ("bridge", "vn_mad", "vlan_id", "physical_device")


@pytest.mark.parametrize("field", REACHES_THE_WIRE)
def test_only_an_administrator_says_where_a_network_reaches_the_wire(field):
    value = 7 if field == "vlan_id" else "br0"
    wire = {"bridge": "br0", field: value}
    error = refused(a_reactor(), "network.add", user=ANN, name="x", ranges=(RANGE,), **{field: value})

    assert error.code == "forbidden"
    assert getattr(ask(a_reactor(), "network.add", name="x", ranges=(RANGE,), **wire), field) == value


def test_a_network_keeps_what_is_not_ours_and_belongs_to_who_made_it():
    reactor = a_reactor()
    ask(reactor, "network.add", user=ANN, template='NAME = x\nMTU = 9000\nOWNER_NOTE = "a b"\n')
    network = reactor.cluster.networks[0]

    assert (network.attributes, network.owner, network.group, network.mode, network.clusters) == (
        {"MTU": "9000", "OWNER_NOTE": "a b"},
        "ann",
        ANN.groups[0],
        0o600,
        (0,),
    )


def test_who_may_not_use_a_network_does_not_see_it():
    reactor = a_reactor(a_network(mode=0o600), a_network(1, "other", owner="bob", group="oneadmin", mode=0o600))
    for rule in list(reactor.cluster.acl_rules.values()):
        turn_of(reactor).drop(rule)

    assert [each.name for each in ask(reactor, "network.list", user=ANN)] == ["lan"]


def a_wide_reactor(**values):
    """Return a reactor with a network of two ranges, the second with IPv6."""
    ranges = (
        AddressRange(size=4, ip="10.0.0.1"),
        AddressRange(size=8, ar_id=1, type="IP4_6", ip="10.0.1.1", global_prefix="2001:db8::"),
    )
    return a_reactor(a_network(ranges=ranges, last_ar_id=1, bridge="br0", mode=0o644, **values))


def ranges_of(reactor, network=0):
    return [(each.ar_id, each.ip, each.size) for each in reactor.cluster.networks[network].ranges]


def test_ranges_come_and_go_and_no_number_is_given_twice():
    reactor = a_wide_reactor()
    ask(reactor, "network.add_range", network="lan", template='AR = [ TYPE = "IP4", IP = 10.0.2.1, SIZE = 2 ]')
    ask(reactor, "network.delete_range", network="lan", ar_id=2)
    ask(reactor, "network.delete_range", network="lan", ar_id=0)
    turn, view = ask_turn(reactor, "network.add_range", network="lan", template="AR = [ IP = 10.0.2.1, SIZE = 3 ]")
    lease = leases.take(turn_of(reactor), reactor.cluster.networks[0], vm_id=VmId(0), nic_id=0)

    assert ranges_of(reactor) == [(1, "10.0.1.1", 8), (3, "10.0.2.1", 3)]
    assert (view.size, told(turn)) == (11, [("range.added", "network:0")])
    assert (lease.lease_id, lease.ip, lease.ip6_global) == ("0.1.0", "10.0.1.1", "2001:db8::aff:fe00:101")


def test_a_range_that_overlaps_another_of_the_network_is_refused():
    error = refused(a_wide_reactor(), "network.add_range", network="lan", template="AR = [ IP = 10.0.1.8, SIZE = 3 ]")

    assert (error.code, str(error)) == (
        "bad_request",
        ("The range has IP addresses that range 1 of network lan has already; begin elsewhere or make it smaller."),
    )


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("AR_ID = 7, SIZE = 5", "not_found"),
        ("SIZE = 5", "bad_request"),
        ("AR_ID = 1, SIZE = x", "bad_request"),
        ("AR_ID = 1, SIZE = 0", "bad_request"),
        ("AR_ID = 0, SIZE = 1000", "bad_request"),
        ("AR_ID = 1, SIZE = 2", "in_use"),
        ("AR_ID = 1, IP = 10.0.1.2", "bad_request"),
        ("AR_ID = 1, TYPE = ETHER", "bad_request"),
        ('AR_ID = 1, GLOBAL_PREFIX = "2001:db9::"', "in_use"),
        ('AR_ID = 0, GLOBAL_PREFIX = "2001:db9::"', "bad_request"),
    ],
)
def test_a_range_is_not_changed_where_that_takes_from_somebody(keys, code):
    reactor = a_wide_reactor()
    ask(reactor, "network.hold", network="lan", address="10.0.1.3")

    assert refused(reactor, "network.update_range", network="lan", template=f"AR = [ {keys} ]").code == code


def test_a_range_grows_shrinks_to_its_leases_and_is_given_out_from_the_lowest_on():
    reactor = a_wide_reactor()
    for number in range(1, 5):
        ask(reactor, "network.hold", network="lan", address=f"10.0.0.{number}")
    leases.take(turn_of(reactor), reactor.cluster.networks[0], vm_id=VmId(0), nic_id=0)
    template = 'AR = [ AR_ID = 0, IP = 10.0.0.1, SIZE = 6, USED_LEASES = 4, MAC = "02:00:0A:00:00:01", NOTE = b ]'
    ask(reactor, "network.update_range", network="lan", template=template)
    lease = leases.take(turn_of(reactor), reactor.cluster.networks[0], vm_id=VmId(0), nic_id=1)
    ask(reactor, "network.update_range", network="lan", template="AR = [ AR_ID = 0, SIZE = 5 ]")

    assert (lease.ip, ranges_of(reactor)[0]) == ("10.0.0.5", (0, "10.0.0.1", 5))
    assert reactor.cluster.networks[0].ranges[0].attributes == {"NOTE": "b"}


def test_a_range_that_a_vm_has_an_address_of_stays_even_by_force():
    reactor = a_site()
    vm = submit(reactor)
    texts = [
        str(refused(reactor, "network.delete_range", network="lan", ar_id=0, force=force)) for force in (False, True)
    ]

    assert texts == [
        f"Range 0 of network lan has addresses leased to VM {vm.vm_id}; terminate them first.",
        (
            f"Range 0 of network lan has addresses leased to VM {vm.vm_id}, which force does not take from them; "
            "terminate them first."
        ),
    ]


def test_force_drops_holds_of_a_range():
    reactor = a_wide_reactor()
    ask(reactor, "network.hold", network="lan", address="10.0.0.2")
    error = refused(reactor, "network.delete_range", network="lan", ar_id=0)
    ask(reactor, "network.delete_range", network="lan", ar_id=0, force=True)

    assert (error.code, reactor.cluster.leases, ranges_of(reactor)) == ("in_use", {}, [(1, "10.0.1.1", 8)])


def reserve(reactor, template, *, user=ANN, network="lan"):
    return ask(reactor, "network.reserve", user=user, network=network, template=template)


def test_a_reservation_is_a_network_of_ones_own_on_the_parents_wire():
    reactor = a_wide_reactor()
    ask(reactor, "network.hold", network="lan", address="10.0.1.2")
    turn, view = ask_turn(reactor, "network.reserve", user=ANN, network="lan", template='SIZE = 5\nNAME = "mine"\n')
    child = reactor.cluster.networks[1]

    assert (child.owner, child.group, child.mode, child.parent_id, child.bridge) == ("ann", "users", 0o600, 0, "br0")
    assert child.ranges == (
        AddressRange(size=5, ar_id=0, type="IP4_6", ip="10.0.1.3", global_prefix="2001:db8::", parent_ar_id=1),
    )
    assert [(each.ip, each.reserved_by) for each in ask(reactor, "network.leases", network="lan")] == [
        ("10.0.1.2", None),
        *((f"10.0.1.{number}", 1) for number in range(3, 8)),
    ]
    assert (view.parent, told(turn)) == ("lan", [("network.reserved", "network:1")])
    assert findings(reactor.cluster) == ()


@pytest.mark.parametrize(
    ("template", "ip"),
    [
        ("SIZE = 2 NAME = x", "10.0.0.1"),
        ("SIZE = 2 NAME = x AR_ID = 1", "10.0.1.1"),
        ("SIZE = 2 NAME = x IP = 10.0.1.4", "10.0.1.4"),
        ("SIZE = 2 NAME = x MAC = 02:00:0a:00:00:02", "10.0.0.2"),
    ],
)
def test_a_reservation_is_cut_where_it_is_asked_for(template, ip):
    reactor = a_wide_reactor()
    reserve(reactor, template)

    assert ranges_of(reactor, 1) == [(0, ip, 2)]


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ("NAME = x", "bad_request"),
        ("SIZE = 0 NAME = x", "bad_request"),
        ("SIZE = 20000 NAME = x", "bad_request"),
        ("SIZE = 2", "bad_request"),
        ("SIZE = 2 NAME = lan", "name_taken"),
        ("SIZE = 9 NAME = x", "no_address"),
        ("SIZE = 5 NAME = x AR_ID = 0", "no_address"),
        ("SIZE = 2 NAME = x AR_ID = 9", "not_found"),
        ("SIZE = 2 NAME = x IP = 10.0.0.4", "no_address"),
        ("SIZE = 2 NAME = x IP = 10.0.0.1 AR_ID = 1", "no_address"),
        ("SIZE = 2 NETWORK_ID = 0", "bad_request"),
        ("SIZE = 2 NETWORK_ID = 7", "not_found"),
    ],
)
def test_a_reservation_that_cannot_be_is_refused(template, code):
    assert refused(a_wide_reactor(), "network.reserve", user=ANN, network="lan", template=template).code == code


def test_a_reservation_grows_by_its_parent_alone_and_gives_ranges_back():
    reactor = a_wide_reactor()
    reserve(reactor, "SIZE = 2 NAME = mine")
    view = reserve(reactor, "SIZE = 3 NETWORK_ID = 1 AR_ID = 1")
    codes = [
        refused(reactor, "network.add_range", network="mine", template="AR = [ IP = 10.9.0.1, SIZE = 1 ]").code,
        refused(reactor, "network.update_range", network="mine", template="AR = [ AR_ID = 0, SIZE = 1 ]").code,
        refused(reactor, "network.reserve", network="mine", template="SIZE = 1 NAME = x").code,
        refused(reactor, "network.free_range", network="lan", ar_id=0).code,
    ]
    grown = ranges_of(reactor, 1)
    ask(reactor, "network.free_range", user=ANN, network="mine", ar_id=0)

    assert (view.size, grown) == (5, [(0, "10.0.0.1", 2), (1, "10.0.1.1", 3)])
    assert codes == ["wrong_state"] * 4
    assert ranges_of(reactor, 1) == [(1, "10.0.1.1", 3)]
    assert sorted(reactor.cluster.leases) == ["0.1.0", "0.1.1", "0.1.2"]
    assert findings(reactor.cluster) == ()


def test_a_deleted_reservation_gives_everything_back_and_its_parent_stays_until_then():
    reactor = a_wide_reactor()
    reserve(reactor, "SIZE = 2 NAME = mine")
    ask(reactor, "network.hold", network="mine", user=ANN, address="10.0.0.1")
    codes = [
        refused(reactor, "network.delete", network="lan").code,
        refused(reactor, "network.delete_range", network="lan", ar_id=0, force=True).code,
        refused(reactor, "network.release", network="lan", address="10.0.0.1").code,
        refused(reactor, "network.hold", network="lan", address="10.0.0.1").code,
    ]
    ask(reactor, "network.delete", user=ANN, network="mine")

    assert codes == ["in_use", "in_use", "in_use", "no_address"]
    assert (list(reactor.cluster.networks), reactor.cluster.leases) == ([0], {})


def test_a_reservation_counts_against_the_limits_of_its_owner():
    reactor = a_wide_reactor()
    change(reactor, ANN, limits={"network.0.leases": 3.0})
    ann = reactor.cluster.users["ann"]
    reserve(reactor, "SIZE = 2 NAME = mine", user=ann)
    error = refused(reactor, "network.reserve", user=ann, network="lan", template="SIZE = 2 NAME = more")

    assert error.code == "over_quota"
    assert reactor.cluster.usages.of(("user", "ann")) == {"network.0.leases": 2.0}


def test_a_vlan_without_a_bridge_on_the_hosts_is_refused():
    reactor = a_site()
    made = refused(reactor, "network.add", template="NAME = vl\nVN_MAD = 802.1Q\nPHYDEV = eth0\nVLAN_ID = 50\n")
    changed = refused(reactor, "network.update", network="lan", template="VLAN_ID = 50\n", append=True)

    assert [made.code, changed.code] == ["bad_request"] * 2


def test_an_update_that_replaces_all_leaves_nothing_of_what_guests_were_told():
    reactor = a_site()
    ask(reactor, "network.update", network="lan", template="GATEWAY = 10.0.0.254\nDNS = 10.0.0.253\n", append=True)
    ask(reactor, "network.update", network="lan", template="NOTE = new\n", append=False)
    lan = reactor.cluster.networks[0]

    assert (lan.gateway, lan.dns, lan.attributes) == ("", "", {"NOTE": "new"})
